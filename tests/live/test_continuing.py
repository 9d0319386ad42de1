"""The choice between the stored night and a new one, and the device that may go on with a night."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from models.contract import Gain
from monitor.config import LslConfig, SleeperOptions
from monitor.live.continuing import why_another_night, why_not_its_device, why_over
from monitor.night.live_night import LiveNight
from monitor.night.record import read_night
from monitor.night.stored import StoredNight
from monitor.sources.live import Device
from tests.night.stored import store_night
from tests.nights import ELECTRODES, backend, night_session
from tests.signals import START

CONTRACT = backend().contract
LONG = StoredNight(
    path=Path("night.sqlite"),
    source_key="lsl:",
    sleeper="",
    start_utc=START,
    reached_utc=START + timedelta(hours=1),
    ended_utc=START + timedelta(hours=1),
    gain="known",
    model=CONTRACT.full_name,
    derivations=("AF7", "AF8"),
)
TEST = replace(LONG, reached_utc=START + timedelta(minutes=6))
CRASHED = replace(TEST, ended_utc=None)


@pytest.mark.parametrize(
    ("stored", "options", "gain", "why"),
    [
        (LONG, {}, Gain.KNOWN, ""),
        (LONG, {"channels": ("af8",)}, Gain.KNOWN, ""),
        (LONG, {"channels": ("TP9",)}, Gain.KNOWN, "the last one has the channels AF7, AF8"),
        (LONG, {}, Gain.UNKNOWN, "the last one has --gain known and "),
        (replace(LONG, model="older 1"), {}, Gain.KNOWN, "--gain known and older 1"),
        (TEST, {}, Gain.KNOWN, "the last one was a test of 6 min"),
        (TEST, {"store": Path("night.sqlite")}, Gain.KNOWN, ""),
        (CRASHED, {}, Gain.KNOWN, ""),
        (CRASHED, {"channels": ("TP9",)}, Gain.KNOWN, ""),
        (CRASHED, {}, Gain.UNKNOWN, "the last one has --gain known and "),
    ],
)
def test_a_night_goes_on_if_nothing_speaks_against_it(
    stored: StoredNight, options: dict[str, object], gain: Gain, why: str
) -> None:
    sleeper = SleeperOptions(LslConfig(), **options)  # type: ignore[arg-type]
    found = why_another_night(stored, sleeper, gain, CONTRACT)
    assert why in found and bool(found) == bool(why)


def test_a_night_that_was_ended_on_purpose_is_over(tmp_path: Path) -> None:
    night = read_night(store_night(tmp_path, "2026-11-26 23:10")).state
    assert why_over(night) == ""
    assert why_over(replace(night, lights_off_utc=START)) == ""
    assert "lights on was marked at " in why_over(replace(night, lights_on_utc=START))
    in_bed_again = replace(night, lights_on_utc=START, lights_off_utc=START + timedelta(minutes=9))
    assert why_over(in_bed_again) == ""
    assert "the band was not worn" in why_over(replace(night, worn=None))
    assert why_over(replace(night, live=(), revised=(), worn=None)) == ""


def test_only_its_own_device_goes_on_with_a_night() -> None:
    session = night_session(0.0)
    live = LiveNight("lsl:", ELECTRODES, "boot", 0.0, None, "stream A")
    mine = Device("A", ("AF7", "AF8", "TP9"), 100.0, identity="stream A")
    assert why_not_its_device(mine, live, session) == ""
    assert why_not_its_device(replace(mine, sfreq_hz=101.0), live, session) == ""
    other = replace(mine, identity="stream B")
    assert "stream B is not the device of this night" in why_not_its_device(other, live, session)
    slower = replace(mine, sfreq_hz=90.0)
    assert "at 90 Hz, not those that this night" in why_not_its_device(slower, live, session)
    without = replace(mine, channels=("AF7",))
    assert "has channels AF7 at" in why_not_its_device(without, live, session)
    # A file of before, or a source that cannot tell its devices apart.
    assert why_not_its_device(other, replace(live, device=""), session) == ""
    assert why_not_its_device(replace(mine, identity=""), live, session) == ""
