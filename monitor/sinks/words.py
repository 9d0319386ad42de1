"""Times, ages and counts as words, the same on the dashboard and in the plain lines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from models.contract import EPOCH_S
from monitor.night.state import NightState
from monitor.night.trouble import Trouble


def local_time(when: datetime, state: NightState, timezone: tzinfo | None = None) -> datetime:
    """Return ``when`` on the clock that the reader expects.

    With ``timezone`` None, a replay shows the recording's clock (UTC), and a live night shows
    local time.
    """
    if timezone is None and state.is_live:
        return when.astimezone()
    return when.astimezone(timezone or UTC)


def clock_text(when: datetime, state: NightState, timezone: tzinfo | None = None) -> str:
    """Return `local_time` as HH:MM:SS."""
    return local_time(when, state, timezone).strftime("%H:%M:%S")


def epoch_end(state: NightState, index: int) -> datetime:
    """Return the time at which epoch ``index`` ended. Its live prediction is made then."""
    return state.session.start_utc + timedelta(seconds=EPOCH_S * (index + 1))


def time_in_bed(state: NightState, now: datetime) -> timedelta:
    """Return the time from lights off (or the recording's start) to lights on (or now)."""
    start = state.lights_off_utc or state.session.start_utc
    return max(timedelta(0), (state.lights_on_utc or now) - start)


def age_text(duration: timedelta) -> str:
    """Return ``42 s``, ``3 min 20 s`` or ``1 h 04 min``."""
    seconds = max(0, int(duration.total_seconds()))
    minutes, hours = seconds // 60, seconds // 3600
    if hours:
        return f"{hours} h {minutes % 60:02d} min"
    return f"{minutes} min {seconds % 60:02d} s" if minutes else f"{seconds} s"


_TROUBLES = {
    None: "DISK FULL?",
    Trouble.FULL: "DISK FULL?",
    Trouble.LOCKED: "FILE LOCKED:",
    Trouble.READ_ONLY: "DISK READ-ONLY:",
    Trouble.FORBIDDEN: "NO ACCESS TO THE FILE:",
    Trouble.DISK: "DISK ERROR:",
    Trouble.DAMAGED: "FILE DAMAGED:",
    Trouble.OTHER: "NOT STORED:",
}


def unstored_text(n_epochs: int, trouble: Trouble | None = None) -> str:
    """Return the alarm for a file that does not accept the night, and the epochs that wait."""
    waiting = "epoch waits" if n_epochs == 1 else "epochs wait"
    return f"{_TROUBLES[trouble]} {n_epochs} {waiting} to be stored"
