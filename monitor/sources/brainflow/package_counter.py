"""Turn the package numbers of a board into a running sample number."""

from __future__ import annotations

import math
from collections import Counter, deque

import numpy as np
import numpy.typing as npt

from monitor.types import F64

WRAPS = (101, 201, 256, 2**16, 2**24, 2**53)
"""Lengths of a counter's cycle: Ganglion (0 to 100, or to 200), Cyton and most others (one byte),
Muse (two bytes), Athena (two bytes and a subpackage)."""

WINDOW = 16
AGREE = 13
"""Of `WINDOW` packages in a row, at least `AGREE` must show the same pattern before it counts."""

DOUBT_S = 0.5
"""Tolerance for the stamps: a counter makes no sense if it claims more lost samples than fit into
the time that passed and this."""


class PackageCounter:
    """Unwraps package numbers into an index of samples, lost ones included.

    - The index rises by at least one with each sample, also over `restart`.
    - The numbers show how many samples share a number, by how much numbers rise, and where they
      wrap. Until this is known, and where the numbers make no sense, no sample counts as lost.
    - For a loss that is longer than the counter's cycle, the time that passed decides.
    """

    def __init__(self, sfreq_hz: float) -> None:
        self._sfreq_hz = sfreq_hz
        self._index = -1
        self._value: int | None = None  # the number of the newest sample
        self._run = 0  # samples with this number so far
        self._time_s = -math.inf  # when the newest sample came
        self._largest = 0
        self._each: int | None = None  # samples that share a number; None: not known yet
        self._step = 1  # from one number to the next
        self._pattern: deque[tuple[int, int]] = deque(maxlen=WINDOW)  # (rise, samples) of packages

    def restart(self) -> None:
        """Continue the index with a counter that begins anew: the board was away."""
        self._value = None
        self._largest = 0

    def unwrap(self, numbers: F64, stamps_s: F64) -> npt.NDArray[np.int64]:
        """Return the index (n,) of samples with package ``numbers`` (n,) and ``stamps_s`` (n,).

        The stamps may jitter. Samples that came late together, as after a stall, are moved back to
        their times by the samples after them that came on time.
        """
        due_s = np.arange(numbers.size) / self._sfreq_hz
        came_s = np.minimum.accumulate((stamps_s - due_s)[::-1])[::-1] + due_s
        index = np.empty(numbers.size, np.int64)
        for i, (number, time_s) in enumerate(zip(numbers.tolist(), came_s.tolist(), strict=True)):
            value = int(number) if math.isfinite(number) and number >= 0 else self._value
            self._index += 1 + self._lost(value, time_s)
            self._time_s = time_s
            index[i] = self._index
        return index

    def _lost(self, value: int | None, time_s: float) -> int:
        """Return how many samples were lost before the one with number ``value``."""
        last = self._value
        if value is None or last is None:
            self._value, self._run = value, 1
            self._pattern.clear()
            return 0
        if value == last and (self._each is None or self._run < self._each):
            self._run += 1
            return 0
        self._learn(value - last, self._run)
        self._value, self._run = value, 1
        self._largest = max(self._largest, value, last)
        if self._each is None:
            return 0
        wrap = next((w for w in WRAPS if w > self._largest), WRAPS[-1])
        steps, rest = divmod((value - last) % wrap, self._step)
        if rest:
            return 0
        # Counted from the last sample and not from the start of its package: the first package of
        # each cycle of a Ganglion holds only one sample.
        lost = (steps - 1) * self._each
        cycle = wrap * self._each // self._step
        passed = (time_s - self._time_s) * self._sfreq_hz - 1.0
        lost += max(0, round((passed - lost) / cycle)) * cycle
        return lost if 0 <= lost <= passed + DOUBT_S * self._sfreq_hz else 0

    def _learn(self, rise: int, run: int) -> None:
        """Learn the pattern of the counter from a package of ``run`` samples."""
        self._pattern.append((rise, run))
        if len(self._pattern) < WINDOW:
            return
        (step, rises), *_ = Counter(rise for rise, _ in self._pattern).most_common(1)
        (each, runs), *_ = Counter(run for _, run in self._pattern).most_common(1)
        if step > 0 and min(rises, runs) >= AGREE:
            self._step, self._each = step, each
        self._pattern.clear()
