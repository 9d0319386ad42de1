"""Settings for the whole suite, and what takes long to make and several tests look at."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

# The tests run in as many processes as there are cores, so each process, and each program that it
# starts, computes with one thread. OpenMP reads the variable when PyTorch is imported, and the
# imports of the test modules come after this one.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session", autouse=True)
def user_without_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Point this process, and the programs it starts, at user folders that are empty.

    Without this the tests would read the settings and the exported networks of whoever runs them,
    and all workers would share one folder of nights.
    """
    with pytest.MonkeyPatch.context() as patch:
        for kind in ("CONFIG", "DATA"):
            patch.setenv(f"XDG_{kind}_HOME", str(tmp_path_factory.mktemp(kind.lower())))
        for name in [name for name in os.environ if name.startswith("SLEEP_MONITOR_")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an export of the weights for known gain. Tests must not change it.

    An export takes seconds: the first worker that needs one makes it for all of them.
    """
    from deploy.export import export_onnx
    from models.card import default_weights
    from models.contract import Gain

    folder = shared_folder(tmp_path_factory) / "exported"
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            made = Path(tempfile.mkdtemp(dir=folder.parent))
            export_onnx(default_weights(Gain.KNOWN), made)
            made.rename(folder)
    return folder


def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this run see."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
