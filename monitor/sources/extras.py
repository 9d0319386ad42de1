"""Load the libraries of the extra `formats` when a file needs them."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from monitor.errors import InputError
from monitor.text import clean


def load_extra(name: str, path: Path, kind: str) -> Any:
    """Return the module ``name``, which reads ``path``, a file of ``kind``.

    Raises `InputError` if it is not installed, or cannot be loaded.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        raise InputError(
            f"{path} is {kind}, which the extra 'formats' reads: install it with "
            "pip install '.[formats]' in the project's folder"
        ) from exc
    except (ImportError, OSError, AttributeError) as exc:
        raise InputError(
            f"{path} is {kind}, and its library {name} cannot be loaded ({clean(str(exc))}): "
            f"install it again with pip install --force-reinstall {name}"
        ) from exc
