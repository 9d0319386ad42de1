"""Decides which troubles of a night are told to a person, and when: `AlertWatch`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from monitor.clock import Clock
from monitor.config import AlertConfig
from monitor.night.state import NightState, SleeperState
from monitor.sinks.dashboard.health import Band, band
from monitor.sinks.sleepers_key import LastingTrouble
from monitor.sinks.words import age_text, unstored_text
from monitor.types import Contact

WELL_S = 60.0
"""A trouble is over once all was well for this long. A contact that flaps is one trouble: each of
its good moments is shorter."""


class TroubleKind(StrEnum):
    """A kind of trouble. Each is told by itself."""

    FAILED = "failed"
    LINK = "link"
    BAND = "band"
    ELECTRODE = "electrode"
    STORE = "store"


@dataclass(frozen=True, slots=True)
class Alert:
    """A trouble that has lasted, to be told now. ``text`` is one sentence."""

    sleeper: str
    kind: TroubleKind
    text: str
    since_utc: datetime


class AlertWatch:
    """Watches the sleepers' states for troubles that last.

    - A trouble is told once, when it has lasted for ``config.after``. It ends after `WELL_S` of
      good signal; the next one of its kind is told if the last word is ``config.again`` ago.
    - Only a night in progress counts: from lights off, or once the band was worn for five minutes,
      to lights on or the end.
    - While the link is lost, nothing is known of the electrodes; while the band is off, all of its
      electrodes are. So of these only the first is told.
    """

    def __init__(self, config: AlertConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._known: dict[tuple[str, TroubleKind], _Lasting] = {}

    def update(self, sleepers: Sequence[SleeperState]) -> list[Alert]:
        """Return the troubles to be told now. Call it often."""
        return [alert for state in sleepers for alert in self._alerts(state)]

    def lasting(self) -> Mapping[str, LastingTrouble]:
        """Return for each sleeper the worst trouble that was told and goes on, if there is one."""
        worst: dict[str, LastingTrouble] = {}
        for kind in TroubleKind:
            for (sleeper, of_kind), each in self._known.items():
                if of_kind is kind and each.is_told and each.is_there:
                    worst.setdefault(sleeper, LastingTrouble(each.text, each.since_utc))
        return worst

    def _alerts(self, state: SleeperState) -> Iterator[Alert]:
        now_s, now_utc = self._clock.monotonic_s(), self._clock.utc()
        there = dict(_troubles(state))
        for kind in TroubleKind:
            key = (state.sleeper, kind)
            known = self._known.get(key)
            if kind not in there:
                if known is not None:
                    known.note_well(now_s)
                continue
            if known is None:
                known = self._known[key] = _Lasting()
            known.note_trouble(there[kind], now_s, now_utc)
            if known.is_due(now_s, self._config.after, self._config.again):
                known.note_told(now_s)
                lasted = age_text(timedelta(seconds=now_s - known.since_s))
                who = f"{state.sleeper}: " if state.sleeper else ""
                text = f"{who}{known.text} (for {lasted})"
                yield Alert(state.sleeper, kind, text, known.since_utc)


class _Lasting:
    """A kind of trouble of a sleeper: since when, and when it was told last."""

    def __init__(self) -> None:
        self.text = ""
        self.since_s = 0.0
        self.since_utc = datetime.min
        self.is_there = False
        self.is_told = False
        self._well_s: float | None = float("-inf")  # since when all is well; None: it is not
        self._told_s: float | None = None

    def note_well(self, now_s: float) -> None:
        if self._well_s is None:
            self._well_s = now_s
        self.is_there = now_s - self._well_s < WELL_S

    def note_trouble(self, text: str, now_s: float, now_utc: datetime) -> None:
        self.text = text
        if self._well_s is not None and now_s - self._well_s >= WELL_S:
            self.since_s, self.since_utc, self.is_told = now_s, now_utc, False
        self._well_s, self.is_there = None, True

    def is_due(self, now_s: float, after_s: float, again_s: float) -> bool:
        if self.is_told or now_s - self.since_s < after_s:
            return False
        return self._told_s is None or now_s - self._told_s >= again_s

    def note_told(self, now_s: float) -> None:
        self.is_told, self._told_s = True, now_s


def _troubles(state: SleeperState) -> Iterator[tuple[TroubleKind, str]]:
    """Yield what is wrong now, with a sentence of advice."""
    night = state.night
    if state.failed:
        yield TroubleKind.FAILED, f"The monitor gave up: {state.status}"
    if night is None or not _is_in_progress(night):
        return
    where = band(night)
    if where is Band.SILENT and not state.failed:
        yield TroubleKind.LINK, "No signal from the headband: check it"
    elif where is Band.OFF:
        yield TroubleKind.BAND, "The band is off the head: put it on"
    elif where is Band.ON:
        off = [each.name for each in night.channels if each.contact is Contact.OFF]
        if off:
            names = ", ".join(off[:3]) + (f" and {len(off) - 3} more" if len(off) > 3 else "")
            it, plural = ("it", "") if len(off) == 1 else ("them", "s")
            yield TroubleKind.ELECTRODE, f"Electrode{plural} {names} off the skin: press {it} on"
    if night.unstored:
        yield TroubleKind.STORE, unstored_text(night.unstored, night.trouble).capitalize()


def _is_in_progress(night: NightState) -> bool:
    off, on = night.lights_off_utc, night.lights_on_utc
    if night.ended or not night.is_live or (on is not None and (off is None or off < on)):
        return False
    return off is not None or night.worn is not None
