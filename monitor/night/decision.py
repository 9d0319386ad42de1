"""The decision of a rule at a moment of the night: to act, or to hold back and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from models.contract import Stage


class Cause(StrEnum):
    """The thing for which a rule was judged.

    EPOCH: the end of an epoch. MARK: a mark. ELECTRODE: an electrode that is off. TIME: a time of
    day, or the time since lights off. LATEST: the latest time of an alarm.
    """

    EPOCH = "epoch"
    MARK = "mark"
    ELECTRODE = "electrode"
    TIME = "time"
    LATEST = "latest"


class HeldReason(StrEnum):
    """The reason for which a rule whose conditions hold does not act.

    - STALE: the epoch or the mark is history: it was late, or the monitor was away.
    - REFRACTORY, CAP: it fired a short time ago, or as often as it may in a night.
    - NOT_ARMED, EXPIRED: nobody armed it, or the time for which it was armed is over.
    - SHAM, DRY_RUN: it would have fired. These count like firings.
    """

    STALE = "stale"
    REFRACTORY = "refractory"
    CAP = "cap"
    NOT_ARMED = "not_armed"
    EXPIRED = "expired"
    SHAM = "sham"
    DRY_RUN = "dry_run"


COUNTED = (None, HeldReason.SHAM, HeldReason.DRY_RUN)
"""The reasons of decisions that count for the refractory time and the cap; None: it fired."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision of the rule called ``rule``.

    - ``reason`` None: the rule fires. ``number`` counts all decisions of the rule in this night,
      ``occasion`` those that fired or would have (`COUNTED`); both from 1.
    - ``time_utc``: when it was decided, on the night's clock.
    - ``epoch_index``, ``sample_utc``: the epoch that it refers to and the end of that, or the time
      of the mark. None if there is none.
    - ``stage``, ``confidence``: of this epoch on the rule's track; None if it is unscored.
    - ``seed``: the seed of the draw, for a rule with a sham share.
    """

    rule: str
    number: int
    occasion: int
    cause: Cause
    reason: HeldReason | None
    time_utc: datetime
    epoch_index: int | None = None
    sample_utc: datetime | None = None
    stage: Stage | None = None
    confidence: float | None = None
    seed: int | None = None

    @property
    def fired(self) -> bool:
        """True if the rule acts."""
        return self.reason is None
