"""Results that take long to make, made once for all workers of a run."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from filelock import FileLock

T = TypeVar("T")


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], T]) -> T:
    """Return what ``make`` returns for a new folder; the first worker that needs it calls it.

    The other workers wait, and read the result, which must be picklable. Tests must not change it,
    nor the files in its folder.
    """
    own = factory.getbasetemp()
    # pytest-xdist puts the folders of all workers of a run into one.
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder, result = shared / name, shared / f"{name}.pickle"
    with FileLock(shared / f"{name}.lock"):
        if not result.exists():
            folder.mkdir(exist_ok=True)
            result.write_bytes(pickle.dumps(make(folder)))
    made: T = pickle.loads(result.read_bytes())
    return made
