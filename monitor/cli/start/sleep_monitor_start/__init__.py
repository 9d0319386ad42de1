"""The installed commands: `sleep-monitor`, `sleep-train` and `sleep-deploy`.

They begin in a package whose name nobody else has, because another `monitor` may come first where
Python looks for modules. It is installed beside the project's packages; here it lies below one of
them. Everything else is in `monitor/programs.py`, which it finds by its path.
"""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType


def _programs() -> ModuleType:
    paths = [folder / "monitor" / "programs.py" for folder in Path(__file__).absolute().parents]
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        sys.exit(f"sleep-monitor: {paths[1]} is missing: install the sleep monitor again")
    spec = spec_from_file_location("sleep_monitor_programs", found)
    assert spec is not None and spec.loader is not None
    programs = module_from_spec(spec)
    spec.loader.exec_module(programs)
    return programs


_PROGRAMS = _programs()
# Here, and not in the commands: multiprocessing imports this module, too, in a child of theirs.
_PROGRAMS.use_own_packages()


def monitor() -> None:
    """Run `sleep-monitor`."""
    _PROGRAMS.run("sleep-monitor")


def train() -> None:
    """Run `sleep-train`."""
    _PROGRAMS.run("sleep-train")


def deploy() -> None:
    """Run `sleep-deploy`."""
    _PROGRAMS.run("sleep-deploy")
