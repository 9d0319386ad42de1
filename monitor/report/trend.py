"""Several nights side by side: the times, the stages and the regularity of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np

from models.contract import EPOCH_S, Stage
from monitor.night.listed import NOON
from monitor.night.record import NightRecord
from monitor.night.regularity import (
    ASLEEP,
    AWAKE,
    MINUTES_PER_DAY,
    UNKNOWN,
    DaysOfSleep,
    sleep_regularity_index,
    standard_deviation_min,
)
from monitor.night.statistics import SleepStatistics
from monitor.report.axis import LocalClock
from monitor.report.words import count_text, minutes_text, spoken_list


@dataclass(frozen=True, slots=True)
class TrendNight:
    """A night as a trend needs it: without signals, so that many nights fit into memory.

    ``start`` and the other times are on the reader's clock. ``bed`` and ``up`` bound the time that
    the statistics cover. ``remark``: what is wrong with the night; "" if nothing is.
    """

    path: Path
    sleeper: str
    start: datetime
    stages: tuple[Stage | None, ...]
    bed: datetime
    up: datetime
    onset: datetime | None
    wake: datetime | None
    statistics: SleepStatistics
    is_live: bool
    remark: str

    @classmethod
    def of(cls, record: NightRecord, clock: LocalClock) -> TrendNight:
        """Return the night of ``record``."""
        night = record.night
        first, stop = night.recording_time
        asleep = [
            index
            for index in range(first, stop)
            if record.revised[index].stage not in (None, Stage.W)
        ]

        def at(index: int) -> datetime:
            return clock(record.session.epoch_start_utc(index))

        remarks = [
            "not ended in order" if record.stored.ended_utc is None else "",
            "damaged file" if record.damaged or record.wrong else "",
        ]
        return cls(
            path=record.path,
            sleeper=record.session.sleeper,
            start=at(0),
            stages=tuple(each.stage for each in record.revised),
            bed=at(first),
            up=at(stop),
            onset=at(asleep[0]) if asleep else None,
            wake=at(asleep[-1] + 1) if asleep else None,
            statistics=night.statistics,
            is_live=record.is_live,
            remark=", ".join(filter(None, remarks)),
        )

    @property
    def evening(self) -> date:
        """The day of the evening, which names the night."""
        return (self.start - NOON).date()

    def of_clock(self, when: datetime) -> float:
        """Return the minutes on the wall clock from noon of `evening` to ``when``."""
        noon = datetime.combine(self.evening, datetime.min.time()) + NOON
        return (when.replace(tzinfo=None) - noon).total_seconds() / 60.0

    @property
    def middle_min(self) -> float | None:
        """The middle of the sleep, in minutes of the wall clock from noon; None without sleep."""
        if self.onset is None or self.wake is None:
            return None
        return (self.of_clock(self.onset) + self.of_clock(self.wake)) / 2.0


def days_of_sleep(nights: Sequence[TrendNight]) -> DaysOfSleep:
    """Return the states of the days that have a night, from noon to noon of the wall clock.

    A minute within a recording is asleep or awake by its stage, and unknown if it is unscored.
    Outside of the recordings a person counts as awake: a headband knows nothing of naps.
    """
    days: DaysOfSleep = {}
    for night in nights:
        minutes = days.setdefault(night.evening, np.full(MINUTES_PER_DAY, AWAKE, np.int8))
        first_min = night.of_clock(night.start)
        for index, stage in enumerate(night.stages):
            minute = int(first_min + index * EPOCH_S / 60.0)
            if 0 <= minute < MINUTES_PER_DAY:
                state = UNKNOWN if stage is None else AWAKE if stage is Stage.W else ASLEEP
                minutes[minute] = state
    return days


@dataclass(frozen=True, slots=True)
class Regularity:
    """The regularity of nights.

    - ``index``: see `sleep_regularity_index`; ``n_pairs``: the pairs of days that it compares.
    - ``middle_sd_min``: standard deviation of the middle of the sleep. ``bed_sd_min`` and
      ``up_sd_min``: of the start and the end of the time that the statistics cover.
    """

    index: float | None
    n_pairs: int
    middle_sd_min: float | None
    bed_sd_min: float | None
    up_sd_min: float | None


def regularity(nights: Sequence[TrendNight]) -> Regularity:
    """Return the regularity of the nights of one person."""
    days = days_of_sleep(nights)
    middles = [night.middle_min for night in nights]
    return Regularity(
        index=sleep_regularity_index(days),
        n_pairs=sum(day + timedelta(days=1) in days for day in days),
        middle_sd_min=standard_deviation_min([each for each in middles if each is not None]),
        bed_sd_min=standard_deviation_min([night.of_clock(night.bed) for night in nights]),
        up_sd_min=standard_deviation_min([night.of_clock(night.up) for night in nights]),
    )


def trend_sentences(nights: Sequence[TrendNight]) -> list[str]:
    """Return the trend in a few plain sentences."""
    slept = [night.statistics.tst_min for night in nights if night.statistics.tst_min]
    if not slept:
        return ["No sleep was found in these nights."]
    many = f"In {count_text(len(slept), 'night')} with sleep"
    lines = [
        f"{many}, you slept {minutes_text(float(np.mean(slept)))} on average, between "
        f"{minutes_text(min(slept))} and {minutes_text(max(slept))}."
    ]
    middles = [night.middle_min for night in nights if night.middle_min is not None]
    spread = standard_deviation_min(middles)
    deep = [(n.statistics.n3_min, "deep sleep") for n in nights if n.statistics.tst_min]
    dream = [(n.statistics.r_min, "dream sleep") for n in nights if n.statistics.tst_min]
    parts = [
        f"{minutes_text(float(np.mean([m for m, _ in each])))} of {each[0][1]}"
        for each in (deep, dream)
    ]
    lines.append(f"A night had {spoken_list(parts)} on average.")
    middle = int(np.mean(middles)) + 720
    clock = f"{middle // 60 % 24:02d}:{middle % 60:02d}"
    line = f"The middle of your sleep was at {clock} on average"
    lines.append(f"{line}." if spread is None else f"{line}, give or take {minutes_text(spread)}.")
    return lines
