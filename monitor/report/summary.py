"""The night in plain words: what a sleeper reads first."""

from __future__ import annotations

from models.contract import EPOCH_S, Stage
from monitor.report.reported import ReportedNight, runs
from monitor.report.words import (
    count_text,
    dates_text,
    minutes_text,
    spoken_list,
)

MUCH_UNSCORED = 0.1
"""If a larger share of the night is unscored, the first lines say so."""

STARTS = {
    "lights": "the lights went off",
    "lights off": "the lights went off",
    "worn": "the band was on",
    "band on": "the band was on",
    "recording": "the recording began",
    "recording start": "the recording began",
}

BOUNDS = {
    "lights": "lights off to lights on",
    "worn": "the time in which the band was worn",
    "recording": "the whole recording",
}


def title(night: ReportedNight) -> str:
    """Return the title of the report."""
    sleeper = night.record.session.sleeper
    whose = f" of {sleeper}" if sleeper else ""
    kind = "night" if night.record.is_live else "recorded night"
    dates = dates_text(night.start, night.end)
    return f"The {kind}{whose}, {dates if night.record.session.has_date else 'date unknown'}"


def sentences(night: ReportedNight) -> list[str]:
    """Return the night in a few plain sentences."""
    s = night.statistics
    live = night.record.is_live
    you = "You" if live else "The sleeper"
    if not s.tst_min:
        if not any(stage is not None for stage in night.hypnogram):
            return ["Nothing of this night could be scored."]
        return ["No sleep was found in this night."]
    asleep = "fell asleep at once" if s.sol_min == 0 else None
    asleep = asleep or (
        f"fell asleep within {minutes_text(s.sol_min)} after {STARTS[s.bounds.split(' to ')[0]]}"
    )
    lines = [f"{you} slept {minutes_text(s.tst_min)}, and {asleep}."]
    kinds = [
        (s.n3_min, "deep sleep"),
        (s.r_min, "dream sleep"),
        (s.n1_min + s.n2_min, "light sleep"),
    ]
    had = [f"{minutes_text(minutes)} were {name}" for minutes, name in kinds if minutes]
    lines.append(f"Of the sleep, {spoken_list(had)}.")
    awake = s.waso_last_sleep_min or 0.0
    if awake:
        times = count_text(_awakenings(night), "time")
        lines.append(f"{you} woke up {times} in between, and lay awake for {minutes_text(awake)}.")
    else:
        lines.append(f"{you} did not wake up in between.")
    if s.trt_min and s.unscored_min / s.trt_min > MUCH_UNSCORED:
        lines.append(
            f"{minutes_text(s.unscored_min)} could not be scored: there may have been more sleep."
        )
    return lines


def _awakenings(night: ReportedNight) -> int:
    """Return how often the sleeper lay awake between the first and the last sleep."""
    first, stop = night.record.night.recording_time
    # Unscored epochs are left out: sleep, a gap, then wake is one awakening.
    stages = [stage for stage in night.hypnogram[first:stop] if stage is not None]
    spells = [is_awake for is_awake, _, _ in runs([stage is Stage.W for stage in stages])]
    return spells[spells.index(False) : len(spells) - spells[::-1].index(False)].count(True)


def bounds_text(bounds: str) -> str:
    """Return the bounds of the statistics in words."""
    return BOUNDS.get(bounds, bounds)


def notices(night: ReportedNight) -> list[str]:
    """Return what the reader must know before the numbers; nothing for a whole, sound night."""
    record = night.record
    found = []
    if night.goes_on:
        found.append(
            f"This night goes on. The report was made at {night.made:%H:%M} and covers what was "
            f"scored until {night.end:%H:%M}; the last five minutes may still be revised."
        )
    elif record.stored.ended_utc is None:
        found.append(
            f"This night was not ended in order: it broke off at {night.end:%H:%M}, by a crash or "
            "a power cut. The report covers what was stored until then."
        )
    if record.damaged:
        minutes = len(record.damaged) * EPOCH_S / 60
        found.append(
            f"The night's file is damaged: {count_text(len(record.damaged), 'epoch')} "
            f"({minutes_text(minutes)}) could not be read, and count as not scored."
        )
    if record.wrong:
        found.append(
            f"The night's file is damaged ({record.wrong}): later parts of it may be missing."
        )
    return found
