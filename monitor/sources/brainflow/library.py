"""The BrainFlow library, loaded where it is needed. The one place that knows its import trap."""

from __future__ import annotations

import importlib.resources
from typing import Any

from monitor.errors import InputError


def board_shim() -> Any:
    """BrainFlow's module ``board_shim``, ready for use and silent on the terminal.

    Raises `InputError` where the library is missing or cannot be loaded.
    """
    try:
        from brainflow import board_shim as module

        # It asks for the files of a module where Python 3.11 wants a package, and falls back on a
        # `pkg_resources` that newer versions of setuptools no longer have.
        module.files = lambda _: importlib.resources.files("brainflow")
        module.BoardShim.disable_board_logger()
    except ImportError as exc:
        raise InputError(
            "BrainFlow is not installed; install it with: pip install 'brainflow>=5.23,<6'"
        ) from exc
    except (OSError, AttributeError) as exc:
        raise InputError(
            f"BrainFlow cannot be loaded on this computer ({exc}); install a version made for it "
            "with: pip install --force-reinstall 'brainflow>=5.23,<6'"
        ) from exc
    return module
