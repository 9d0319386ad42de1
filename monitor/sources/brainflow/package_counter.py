"""A running sample number from the package counter that a board sends."""

from __future__ import annotations

import math
from collections import Counter, deque

import numpy as np
import numpy.typing as npt

from monitor.types import F64

WRAPS = (101, 201, 256, 2**16, 2**24, 2**53)
"""Where counters begin again: Ganglion (0 to 100, or to 200), Cyton and most others (one byte),
Muse (two bytes), Athena (two bytes and a subpackage)."""

WINDOW = 16
AGREE = 13
"""Packages from which the habit of a counter is learnt, and how many of them must agree."""

DOUBT_S = 0.5
"""A counter that claims more lost samples than time has passed for, and this, makes no sense."""


class PackageCounter:
    """Unwraps package numbers into an index of samples that counts the lost ones too.

    - The index rises by at least one a sample, also over `restart`.
    - How many samples share a number, by how much numbers rise, and where they wrap is learnt from
      the numbers; until it is known, and wherever they make no sense, nothing counts as lost.
    - A loss longer than the counter's cycle is resolved by the time that passed.
    """

    def __init__(self, sfreq_hz: float) -> None:
        self._sfreq_hz = sfreq_hz
        self._index = -1
        self._value: int | None = None  # the number of the newest sample
        self._run = 0  # samples that had it
        self._time_s = -math.inf  # when the newest sample came
        self._largest = 0
        self._each: int | None = None  # samples that share a number
        self._step = 1  # from one number to the next
        self._habit: deque[tuple[int, int]] = deque(maxlen=WINDOW)

    def restart(self) -> None:
        """The board was away: its counter begins anew, the index goes on."""
        self._value = None
        self._largest = 0

    def unwrap(self, numbers: F64, stamps_s: F64) -> npt.NDArray[np.int64]:
        """The index (n,) of samples with package ``numbers`` (n,), that came at ``stamps_s`` (n,).

        ``stamps_s`` may jitter: samples that came late together, as after a stall, are known by
        those that came on time after them.
        """
        due = np.arange(numbers.size) / self._sfreq_hz
        came_s = np.minimum.accumulate((stamps_s - due)[::-1])[::-1] + due
        index = np.empty(numbers.size, np.int64)
        for i, (number, time_s) in enumerate(zip(numbers.tolist(), came_s.tolist(), strict=True)):
            value = int(number) if math.isfinite(number) and number >= 0 else self._value
            self._index += 1 + self._lost(value, time_s)
            self._time_s = time_s
            index[i] = self._index
        return index

    def _lost(self, value: int | None, time_s: float) -> int:
        """How many samples are missing before this one."""
        last = self._value
        if value is None or last is None:
            self._value, self._run = value, 1
            self._habit.clear()
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
        # From the last sample, not from its package: Ganglion's first package of a cycle is short.
        lost = (steps - 1) * self._each
        cycle = wrap * self._each // self._step
        passed = (time_s - self._time_s) * self._sfreq_hz - 1.0
        lost += max(0, round((passed - lost) / cycle)) * cycle
        return lost if 0 <= lost <= passed + DOUBT_S * self._sfreq_hz else 0

    def _learn(self, rise: int, run: int) -> None:
        self._habit.append((rise, run))
        if len(self._habit) < WINDOW:
            return
        (step, rises), *_ = Counter(rise for rise, _ in self._habit).most_common(1)
        (each, runs), *_ = Counter(run for _, run in self._habit).most_common(1)
        if step > 0 and min(rises, runs) >= AGREE:
            self._step, self._each = step, each
        self._habit.clear()
