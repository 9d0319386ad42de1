"""sleep-train as its users call it."""

from __future__ import annotations

import pytest

from tests.offline_training.program import Program


@pytest.fixture
def sleep_train(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(monkeypatch, capsys)
