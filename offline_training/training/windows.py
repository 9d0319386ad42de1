"""Random windows of nights, shaped like the context of the monitor's stager."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from offline_training.arrays import I64, Bool

T = TypeVar("T", bound=np.generic)

MAX_HIDDEN_EPOCHS = 5
"""Longest run of epochs that is made unscored in a window."""


class DrawnWindows(NamedTuple):
    """B windows of L consecutive epochs.

    - ``rows``: int64 (B, L), the row of each epoch in an array that `Windows.lay_out` returned.
    - ``stage``: int64 (B, L), -1 where the epoch has no stage or is not scored.
    - ``scored``: bool (B, L), False for epochs that are unscored, hidden or before the night.
    """

    rows: I64
    stage: Tensor
    scored: Tensor


@dataclass(frozen=True, slots=True)
class Stretch:
    """Epochs ``start`` to ``stop`` of one recording, and where they go in a window.

    - ``recording`` is the number of the recording.
    - ``place`` is the position of epoch ``start`` in the window.
    """

    recording: int
    start: int
    stop: int
    place: int


class Windows:
    """Source of random windows of ``length`` epochs. Every epoch is equally often the last one.

    - A window never holds epochs of two nights.
    - In the second half of a batch, half of the windows get a history of random length. The first
      half is staged causally, so its positions have histories of every length anyway.
    - A share ``hide`` of all windows has a random run of one to five epochs made unscored.

    ``stages`` are int64 (n,) arrays, one a night, -1 where there is no stage; ``scored`` are bool
    (n,) arrays, False where the monitor would leave the epoch unscored.
    """

    def __init__(
        self, stages: Sequence[I64], scored: Sequence[Bool], length: int, hide: float
    ) -> None:
        self.length, self.hide = length, hide
        # Nights lie end to end, each after `pad` unscored epochs, so no window reaches into the
        # night before.
        self.pad = length - 1
        self.sizes = np.array([len(stage) for stage in stages])
        self.before = np.cumsum(np.r_[0, self.sizes[:-1] + self.pad])  # (nights,)
        self.stage = self.lay_out(stages, -1)
        self.scored = self.lay_out(scored, False)
        within = np.concatenate([np.arange(size) for size in self.sizes])
        self.starts = within + np.repeat(self.before, self.sizes)

    def lay_out(self, nights: Sequence[npt.NDArray[T]], fill: float) -> npt.NDArray[T]:
        """Join the nights' (n, ...) arrays end to end, with ``fill`` in the padding between."""
        return np.concatenate(
            [
                np.pad(night, [(self.pad, 0)] + [(0, 0)] * (night.ndim - 1), constant_values=fill)
                for night in nights
            ]
        )

    def draw(self, random: np.random.Generator, batch: int) -> DrawnWindows:
        """Draw ``batch`` windows. The same state of ``random`` gives the same windows."""
        start = random.choice(self.starts, batch)
        rows = start[:, None] + np.arange(self.length)  # (B, L)
        scored = self.scored[rows]
        scored &= self._history(random, batch)
        scored &= ~self._hidden(random, batch)
        stage = np.where(scored, self.stage[rows], -1)
        return DrawnWindows(rows, torch.from_numpy(stage), torch.from_numpy(scored))

    def _history(self, random: np.random.Generator, batch: int) -> Bool:
        """Choose how far back each window's history reaches. bool (B, L), True within it."""
        shorter = random.random(batch) < 0.5
        shorter[: batch // 2] = False
        first = np.where(shorter, random.integers(0, self.length, batch), 0)
        return np.arange(self.length) >= first[:, None]

    def _hidden(self, random: np.random.Generator, batch: int) -> Bool:
        """Choose the runs of epochs to hide. bool (B, L), True where hidden."""
        chosen = random.random(batch) < self.hide
        start = random.integers(0, self.length, batch)[:, None]
        stop = start + random.integers(1, MAX_HIDDEN_EPOCHS + 1, batch)[:, None]
        position = np.arange(self.length)
        hidden: Bool = chosen[:, None] & (position >= start) & (position < stop)
        return hidden

    def draw_labelled(self, random: np.random.Generator, batch: int) -> DrawnWindows:
        """Draw windows as `draw` does, again until at least one epoch of the batch has a stage."""
        while True:
            drawn = self.draw(random, batch)
            if (drawn.stage >= 0).any():
                return drawn

    def stretches(self, drawn: DrawnWindows) -> list[Stretch]:
        """Return, for each window of ``drawn``, the stretch of a recording that fills it."""
        found = []
        for start in drawn.rows[:, 0]:
            recording = int(np.searchsorted(self.before, start, side="right")) - 1
            first = int(start - self.before[recording]) - self.pad  # negative: before the night
            found.append(Stretch(recording, max(first, 0), first + self.length, max(-first, 0)))
        return found
