"""Work on many epochs, in slices that fit a core's cache and keep every core busy."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from monitor.types import F32

WINDOWS = 8
"""Windows of context in a slice. Larger slices are no faster per epoch, because the values between
the layers no longer fit the cache."""


_most_threads: int | None = None


def limit_threads(n_threads: int) -> None:
    """Let each `Slices` that is made from now on use at most ``n_threads``.

    For a process that is one of several: more threads than cores only take turns.
    """
    global _most_threads
    _most_threads = n_threads


class Slices:
    """Runs a function on slices of its arguments, with as many threads as there are cores.

    The slices depend on the arguments alone, so the number of cores never changes a result. A
    single slice runs in the caller's thread: a caller that stages one epoch at a time never waits
    for another caller. Idle threads sleep.
    """

    def __init__(self, prepare_thread: Callable[[], None] | None = None) -> None:
        """Create the pool. ``prepare_thread`` is called once in each of its threads."""
        # The cores this process may use: in a container these can be fewer than the machine has.
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        n_threads = min(cores or 1, _most_threads or sys.maxsize)
        self._pool = ThreadPoolExecutor(n_threads, "staging", prepare_thread)

    def run(
        self, function: Callable[..., tuple[F32, ...]], *arrays: np.ndarray, length: int
    ) -> tuple[F32, ...]:
        """Return ``function(*arrays)``, computed ``length`` epochs at a time.

        Axis 0 of every argument and every result counts the epochs.
        """
        n = len(arrays[0])
        if n <= length:
            return function(*arrays)
        starts = range(0, n, length)
        slices = ([each[start : start + length] for each in arrays] for start in starts)
        results = list(self._pool.map(lambda parts: function(*parts), slices))
        return tuple(map(np.concatenate, zip(*results, strict=True)))
