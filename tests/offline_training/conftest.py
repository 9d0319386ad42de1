"""Fixtures of the tests of sleep-train."""

from __future__ import annotations

import pytest

from tests.offline_training.program import Program


@pytest.fixture
def sleep_train(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    """Return the console script `sleep-train` as a function."""
    return Program(monkeypatch, capsys)
