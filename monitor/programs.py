"""Start the project's programs with the project's own packages, whatever else has their names.

`monitor`, `models` and `deploy` are common names. Python looks for a module in the folder of the
script or the current folder, then in PYTHONPATH, and only then in the standard library and in the
installed packages. So a folder of one of these names, or a file such as redis.py, would be imported
in place of the package that is installed.

This file runs before any package of the project is imported: it is loaded by its path, and imports
the standard library alone. `sleep_monitor_start` (in `monitor/cli/start`) loads it for the
installed commands. Run as a script, it is the program of a child process: `child_command`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import runpy
import sys
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).absolute().parent.parent
"""The folder that holds the project's packages."""

PACKAGES = ("models", "monitor", "offline_training", "deploy")

COMMANDS = {
    "sleep-monitor": "monitor.cli",
    "sleep-train": "offline_training.cli",
    "sleep-deploy": "deploy.cli",
}
"""The module of each installed command. Its ``main`` runs the command and exits."""


def run(command: str) -> NoReturn:
    """Run one of `COMMANDS` and exit.

    If a module cannot be imported, print one line and exit with status 1.
    """
    use_own_packages()
    try:
        importlib.import_module(COMMANDS[command]).main()
    except ImportError as exc:
        sys.exit(f"{command}: {' '.join(str(exc).split())}; {_remedy()}")
    raise AssertionError("main exits")


def child_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs ``module`` as a child process, in any current folder."""
    # -P: the folder of this file holds types.py, which must not replace Python's own.
    return [sys.executable, "-P", __file__, module, *arguments]


def use_own_packages() -> None:
    """Import the project's packages from `ROOT`, and others from where they are installed."""
    # What lies before the standard library is the script's folder and PYTHONPATH: it goes last.
    standard = str(Path(os.__file__).parent)
    n_before = sys.path.index(standard) if standard in sys.path else 0
    sys.path[:] = sys.path[n_before:] + sys.path[:n_before]
    # The children that multiprocessing starts do not look into the current folder either.
    os.environ["PYTHONSAFEPATH"] = "1"
    for name in PACKAGES:
        # Another distribution may write its own __init__.py into the same folder. Ours only offer
        # `monitor.score` to other programs, so they need not run.
        folder = ROOT / name
        spec = importlib.util.spec_from_file_location(
            name, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert spec is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)


def _remedy() -> str:
    """Return what to do if a module cannot be imported, and the packages that may be the cause."""
    # Not needed, and slow to import, where everything is well.
    from importlib.metadata import packages_distributions

    owners = packages_distributions()
    others = {each for name in PACKAGES for each in owners.get(name, ())} - {"sleep-monitor"}
    if others:
        return (
            f"{', '.join(sorted(others))} writes into the same folders of {ROOT}: install the "
            "sleep monitor into an environment of its own"
        )
    return "install the sleep monitor again, into an environment of its own"


if __name__ == "__main__":
    use_own_packages()
    # Now the program sees its own arguments.
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
