"""Random windows of nights, as the stager's context would hold them."""

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


class Drawn(NamedTuple):
    """B windows of L consecutive epochs.

    - ``at``: int64 (B, L), where each epoch stands in what `Windows.lay_out` returned.
    - ``stage``: int64 (B, L), -1 where there is none or the epoch is not scored.
    - ``scored``: bool (B, L), False for epochs that are unscored, hidden or before the night.
    """

    at: I64
    stage: Tensor
    scored: Tensor


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive epochs ``start`` to ``stop`` of recording number ``recording``, and the place
    of the first of them in the window."""

    recording: int
    start: int
    stop: int
    place: int


class Windows:
    """Windows of ``length`` epochs, each ending at a random epoch of a random night.

    Half of the windows in the second half of a batch have a history of random length (in the
    first half, staged causally, the positions hold every length already), and ``hide`` of all
    have a random run of one to five epochs unscored.
    """

    def __init__(
        self, stages: Sequence[I64], scored: Sequence[Bool], length: int, hide: float
    ) -> None:
        self.length, self.hide = length, hide
        # Nights lie end to end, each preceded by `pad` unscored epochs that no window can cross.
        self.pad = length - 1
        self.sizes = np.array([len(stage) for stage in stages])
        self.before = np.cumsum(np.r_[0, self.sizes[:-1] + self.pad])  # (nights,)
        self.stage = self.lay_out(stages, -1)
        self.scored = self.lay_out(scored, False)
        within = np.concatenate([np.arange(size) for size in self.sizes])
        self.starts = within + np.repeat(self.before, self.sizes)

    def lay_out(self, nights: Sequence[npt.NDArray[T]], fill: float) -> npt.NDArray[T]:
        """Every night's (n, ...) array, end to end with the padding between them."""
        return np.concatenate(
            [
                np.pad(night, [(self.pad, 0)] + [(0, 0)] * (night.ndim - 1), constant_values=fill)
                for night in nights
            ]
        )

    def draw(self, random: np.random.Generator, batch: int) -> Drawn:
        length = self.length
        start = random.choice(self.starts, batch)
        at = start[:, None] + np.arange(length)  # (B, L)
        stage, scored = self.stage[at], self.scored[at]
        position = np.arange(length)
        shorter = random.random(batch) < 0.5
        shorter[: batch // 2] = False
        first = np.where(shorter, random.integers(0, length, batch), 0)
        scored &= position >= first[:, None]
        hidden = random.random(batch) < self.hide
        gap_start = random.integers(0, length, batch)[:, None]
        gap_end = gap_start + random.integers(1, 6, batch)[:, None]
        scored &= ~(hidden[:, None] & (position >= gap_start) & (position < gap_end))
        return Drawn(at, torch.from_numpy(np.where(scored, stage, -1)), torch.from_numpy(scored))

    def draw_labelled(self, random: np.random.Generator, batch: int) -> Drawn:
        """`draw`, until at least one epoch of the batch has a stage to learn from."""
        while True:
            drawn = self.draw(random, batch)
            if (drawn.stage >= 0).any():
                return drawn

    def stretches(self, drawn: Drawn) -> list[Stretch]:
        """The recordings' epochs that the windows of ``drawn`` hold, one stretch a window."""
        found = []
        for start in drawn.at[:, 0]:
            recording = int(np.searchsorted(self.before, start, side="right")) - 1
            first = int(start - self.before[recording]) - self.pad  # negative: before the night
            found.append(Stretch(recording, max(first, 0), first + self.length, max(-first, 0)))
        return found
