"""Each trouble is told once, after it has lasted; a contact that flaps does not make a stream."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from monitor.alerts import AlertWatch
from monitor.alerts.watch import TroubleKind
from monitor.clock import ManualClock
from monitor.config import AlertConfig
from monitor.night.state import NightState, SleeperState
from monitor.night.trouble import Trouble
from monitor.types import Contact, SignalState
from tests.sinks.night_example import night_state
from tests.web.peers import contacts

CONFIG = AlertConfig(after=60.0, again=1800.0, command=("true",))
GOOD = contacts()
AF7_OFF = contacts(AF7=Contact.OFF)
BAND_OFF = contacts(TP9=Contact.OFF, AF7=Contact.OFF, AF8=Contact.OFF, TP10=Contact.OFF)


class Bed:
    """A watch, a clock, and a night that goes on; `lie` lets the time pass, second by second."""

    def __init__(self, config: AlertConfig = CONFIG, **changes: object) -> None:
        self.clock = ManualClock()
        self.watch = AlertWatch(config, self.clock)
        given = {"is_live": True, "ended": False, "channels": GOOD, **changes}
        self.night: NightState = replace(night_state(), **given)
        self.told: list[str] = []
        self.kinds: list[TroubleKind] = []

    def lie(
        self, seconds: float, sleeper: str = "", failed: bool = False, **changes: object
    ) -> None:
        night = replace(self.night, **changes)  # type: ignore[arg-type]
        for _ in range(round(seconds)):
            state = SleeperState(sleeper, "streaming", night, failed=failed)
            for alert in self.watch.update([state]):
                self.told.append(alert.text)
                self.kinds.append(alert.kind)
            self.clock.advance(1.0)


def test_an_electrode_is_told_once_after_a_minute() -> None:
    bed = Bed()
    bed.lie(59, channels=AF7_OFF)
    assert bed.told == []
    bed.lie(3600, channels=AF7_OFF)
    assert bed.told == ["Electrode AF7 off the skin: press it on (for 1 min 00 s)"]


def test_a_short_trouble_is_not_told() -> None:
    bed = Bed()
    for _ in range(20):
        bed.lie(30, channels=AF7_OFF)
        bed.lie(120)
    assert bed.told == []


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"signal": SignalState.LOST}, TroubleKind.LINK, "No signal from the headband"),
        ({"channels": BAND_OFF}, TroubleKind.BAND, "The band is off the head"),
        ({"channels": AF7_OFF}, TroubleKind.ELECTRODE, "Electrode AF7 off the skin"),
        ({"unstored": 3, "trouble": Trouble.FULL}, TroubleKind.STORE, "Disk full? 3 epochs wait"),
        ({"failed": True}, TroubleKind.FAILED, "The monitor gave up: streaming"),
    ],
)
def test_each_kind_of_trouble(changes: dict[str, object], kind: TroubleKind, words: str) -> None:
    bed = Bed()
    bed.lie(200, sleeper="anna", **changes)  # type: ignore[arg-type]
    assert bed.kinds == [kind]
    assert bed.told[0].startswith(f"anna: {words}")


def test_a_night_of_flapping_contact_is_told_a_few_times() -> None:
    """Off for 40 s and on for 20 s, all night: that is one trouble, and never a stream of them."""
    bed = Bed()
    for _ in range(8 * 60):
        bed.lie(40, channels=AF7_OFF)
        bed.lie(20)
    assert len(bed.told) == 1


def test_a_trouble_that_returns_is_told_at_most_every_half_hour() -> None:
    """Off for 3 min and on for 3 min, eight hours long: each is a trouble of its own."""
    bed = Bed()
    for _ in range(80):
        bed.lie(180, channels=AF7_OFF)
        bed.lie(180)
    assert 14 <= len(bed.told) <= 16


def test_a_worse_trouble_is_told_although_another_was() -> None:
    bed = Bed()
    bed.lie(100, channels=AF7_OFF)
    bed.lie(100, channels=BAND_OFF)
    bed.lie(100, signal=SignalState.LOST)
    assert bed.kinds == [TroubleKind.ELECTRODE, TroubleKind.BAND, TroubleKind.LINK]


def test_before_the_night_and_after_it_nothing_is_told() -> None:
    """On the table in the evening the band is off; in the morning it is taken off."""
    bed = Bed(worn=None, lights_off_utc=None, lights_on_utc=None)
    bed.lie(600, channels=BAND_OFF)
    morning = bed.night.session.start_utc + timedelta(hours=8)
    bed.lie(600, channels=BAND_OFF, worn=(0, 900), lights_on_utc=morning)
    bed.lie(600, signal=SignalState.LOST, ended=True)
    assert bed.told == []


def test_lights_off_begins_the_night_also_for_a_band_that_was_not_worn_yet() -> None:
    bed = Bed(worn=None, lights_on_utc=None)
    bed.lie(120, channels=BAND_OFF, lights_off_utc=bed.night.session.start_utc)
    assert bed.kinds == [TroubleKind.BAND]


def test_a_replay_troubles_nobody() -> None:
    bed = Bed(is_live=False)
    bed.lie(600, channels=BAND_OFF, signal=SignalState.LOST)
    assert bed.told == []


def test_each_sleeper_is_told_of_apart() -> None:
    bed = Bed()
    for name in ("anna", "ben"):
        bed.lie(90, sleeper=name, channels=AF7_OFF)
    assert [text.partition(":")[0] for text in bed.told] == ["anna", "ben"]


def test_the_page_shows_a_trouble_that_was_told_until_it_is_over() -> None:
    bed = Bed()
    bed.lie(30, channels=AF7_OFF)
    assert bed.watch.lasting() == {}
    bed.lie(60, channels=AF7_OFF)
    lasting = bed.watch.lasting()[""]
    assert lasting.text == "Electrode AF7 off the skin: press it on"
    assert (bed.clock.utc() - lasting.since_utc).total_seconds() == 90
    bed.lie(70)
    assert bed.watch.lasting() == {}
