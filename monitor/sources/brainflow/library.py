"""Load the BrainFlow library when it is needed. Only this module imports it."""

from __future__ import annotations

import importlib.resources
from typing import Any

from monitor.errors import InputError
from monitor.text import clean


def board_shim() -> Any:
    """Return BrainFlow's module ``board_shim``, which no longer writes to the terminal.

    Raises `InputError` if the library is missing or cannot be loaded.
    """
    try:
        from brainflow import board_shim as module

        # BrainFlow looks for the files of a module where Python 3.11 expects a package. It then
        # falls back on `pkg_resources`, which newer versions of setuptools no longer contain.
        module.files = lambda _: importlib.resources.files("brainflow")
        module.BoardShim.disable_board_logger()
    except ImportError as exc:
        raise InputError(
            "BrainFlow is not installed; install it with: pip install 'brainflow>=5.23,<6'"
        ) from exc
    except (OSError, AttributeError) as exc:
        raise InputError(
            f"BrainFlow cannot be loaded on this computer ({clean(str(exc))}); install a version "
            "made for it with: pip install --force-reinstall 'brainflow>=5.23,<6'"
        ) from exc
    return module
