"""Slices: the number of threads never changes a result, and can be limited."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from monitor.staging import slices
from monitor.staging.slices import Slices, limit_threads
from monitor.types import F32


def test_threads_can_be_limited_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "_most_threads", None)  # put back after the test
    numbers = np.arange(40, dtype=np.float32)
    threads: set[str] = set()

    def double(part: F32) -> tuple[F32]:
        threads.add(threading.current_thread().name)
        return (part * 2,)

    (free,) = Slices().run(double, numbers, length=3)
    limit_threads(1)
    threads.clear()
    (limited,) = Slices().run(double, numbers, length=3)
    assert len(threads) == 1
    assert np.array_equal(free, numbers * 2) and np.array_equal(limited, free)
