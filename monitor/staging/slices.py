"""Work on many epochs, cut into slices that stay in a core's cache and keep every core busy."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from monitor.types import F32

WINDOWS = 8
"""Windows of context staged together. More are no faster an epoch: what is between the layers
then leaves the cache."""


class Slices:
    """Runs a function on slices of its arguments, on as many threads as there are cores.

    Slices depend on the arguments alone, never on the machine. A single one runs in the caller's
    thread: who stages an epoch at a time waits for nobody. Idle threads sleep.
    """

    def __init__(self, prepare_thread: Callable[[], None] | None = None) -> None:
        """``prepare_thread`` is called in each new thread."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        self._pool = ThreadPoolExecutor(cores, "staging", prepare_thread)

    def run(
        self, function: Callable[..., tuple[F32, ...]], *arrays: np.ndarray, length: int
    ) -> tuple[F32, ...]:
        """``function(*arrays)``, ``length`` epochs at a time; all count epochs along axis 0."""
        n = len(arrays[0])
        if n <= length:
            return function(*arrays)
        slices = ([each[at : at + length] for each in arrays] for at in range(0, n, length))
        answers = list(self._pool.map(lambda parts: function(*parts), slices))
        return tuple(map(np.concatenate, zip(*answers, strict=True)))
