"""Settings for the whole suite, and fixtures of several folders of tests."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.lsl_peer import confine

# The suite runs in as many processes as there are cores, so each process, and each program that it
# starts, computes with one thread. PyTorch reads the variable when it is imported, and pytest
# imports this file before the test modules.
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Return the number of workers; None leaves it to pytest-xdist, which takes one for each core.

    `pytest -m slow` and `pytest -m gpu` run in one process, because these tests measure times and
    memory.
    """
    return 0 if config.option.markexpr in ("slow", "gpu") else None


@pytest.fixture(scope="session", autouse=True)
def user_without_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Point this process, and the programs it starts, at empty user folders.

    Otherwise the tests would read the settings and the engines of whoever runs them, and
    all workers would share one folder of nights.
    """
    with pytest.MonkeyPatch.context() as patch:
        for kind in ("CONFIG", "DATA"):
            patch.setenv(f"XDG_{kind}_HOME", str(tmp_path_factory.mktemp(kind.lower())))
        for name in [name for name in os.environ if name.startswith("SLEEP_MONITOR_")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def lsl_on_this_machine(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep LSL to this machine, before any test: liblsl reads its configuration once."""
    confine(tmp_path_factory.mktemp("lsl"))


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the machine's clock show the time of Berlin for the test."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


# A busy machine must not fail a test: time belongs in benchmarks.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
