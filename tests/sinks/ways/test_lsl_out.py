"""A night as LSL streams, received through pylsl as LabRecorder and MNE-LSL do."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pylsl
import pytest

from models.contract import Stage
from monitor.config import LslOutConfig
from monitor.sinks.ways import CarriedNight, LslMarkerSender
from monitor.sinks.ways.lsl import LslWay
from monitor.types import MarkKind
from tests.sinks.peers import a_session, scored, unscored
from tests.sinks.ways.carrying import NightLog, carrying, replayed, until_sent

START_S = 100.0
"""The session starts this long before the test, on LSL's clock."""


def at_night(name: str, log: NightLog) -> tuple[LslWay, float]:
    """Return a way of a night that started `START_S` ago, and that start on LSL's clock."""
    session, start_s = a_session(), pylsl.local_clock() - START_S

    def now_utc() -> Any:
        return session.start_utc + timedelta(seconds=pylsl.local_clock() - start_s)

    return LslWay(LslOutConfig(name=name), CarriedNight(session, now_utc), log), start_s


@contextmanager
def inlet(name: str) -> Iterator[Any]:
    (info,) = pylsl.resolve_byprop("name", name, timeout=10.0)
    inlet = pylsl.StreamInlet(info)
    inlet.open_stream(timeout=10.0)
    yield inlet
    inlet.close_stream()


def pulled(inlet: Any, n: int) -> list[tuple[list[Any], float]]:
    """Return ``n`` samples with their stamps, on this machine's LSL clock."""
    samples: list[tuple[list[Any], float]] = []
    for _ in range(n):
        sample, stamp_s = inlet.pull_sample(timeout=10.0)
        assert sample is not None
        samples.append((sample, stamp_s))
    return samples


def test_markers_and_probabilities_carry_the_start_of_their_epoch() -> None:
    log = NightLog()
    way, start_s = at_night("ways-stamps", log)
    with (
        carrying(log, way) as c,
        inlet("ways-stamps-stages") as stages,
        inlet("ways-stamps-probabilities") as shares,
    ):
        log.stages(0, 0, Stage.W)
        log.add(scored(1, Stage.N3))
        log.add(unscored(2))
        c.notify()
        markers, samples = pulled(stages, 3), pulled(shares, 3)
        until_sent(c)
        info = shares.info(timeout=10.0)
    assert [marker for marker, _ in markers] == [["W"], ["N3"], ["unscored"]]
    for found in (markers, samples):
        stamps = [stamp_s - start_s for _, stamp_s in found]
        assert stamps == pytest.approx([0.0, 30.0, 60.0], abs=0.002)
    assert samples[1][0] == pytest.approx([0.05, 0.05, 0.05, 0.8, 0.05])
    assert all(math.isnan(value) for value in samples[2][0])
    assert info.nominal_srate() == pytest.approx(1 / 30)
    assert info.get_channel_labels() == ["W", "N1", "N2", "N3", "R"]
    assert info.desc().child_value("mode") == "live"


def test_marks_are_markers_at_their_time() -> None:
    log, session = NightLog(), a_session()
    way, start_s = at_night("ways-marks", log)
    with carrying(log, way) as c, inlet("ways-marks-stages") as stages:
        log.mark(MarkKind.LIGHTS_OFF, session.start_utc + timedelta(seconds=5))
        log.mark(MarkKind.NOTE, session.start_utc + timedelta(seconds=7), "woke up")
        c.notify()
        markers = pulled(stages, 2)
    assert [marker for marker, _ in markers] == [["lights_off"], ["note: woke up"]]
    stamps = [stamp_s - start_s for _, stamp_s in markers]
    assert stamps == pytest.approx([5.0, 7.0], abs=0.002)


def test_a_listener_goes_on_after_a_restart_without_a_gap_or_a_double() -> None:
    """The epochs that ended while the monitor was away come late, with the stamps they had."""
    log = NightLog()
    way, start_s = at_night("ways-restart", log)
    with carrying(log, way) as c, inlet("ways-restart-stages") as stages:
        log.stages(0, 1)
        c.notify()
        markers = pulled(stages, 2)
        until_sent(c)
        c.close()
        log.stages(2, 4)
        again, _ = at_night("ways-restart", log)
        again._night = way._night
        with carrying(log, again) as second:
            markers += pulled(stages, 3)
            until_sent(second)
        assert stages.pull_sample(timeout=0.2)[0] is None
    stamps = [stamp_s - start_s for _, stamp_s in markers]
    assert stamps == pytest.approx([0.0, 30.0, 60.0, 90.0, 120.0], abs=0.002)


def test_epochs_from_before_the_machine_started_have_no_stamp_and_are_left_out() -> None:
    log, session = NightLog(), a_session()
    boot_utc = session.epoch_start_utc(1) + timedelta(seconds=10)  # LSL's clock began here

    def now_utc() -> Any:
        return boot_utc + timedelta(seconds=pylsl.local_clock())

    way = LslWay(LslOutConfig(name="ways-boot"), CarriedNight(session, now_utc), log)
    with carrying(log, way) as c, inlet("ways-boot-stages") as stages:
        log.stages(0, 2)
        c.notify()
        ((marker, stamp_s),) = pulled(stages, 1)
        until_sent(c)
        assert stages.pull_sample(timeout=0.2)[0] is None
    assert (marker, stamp_s) == (["N2"], pytest.approx(20.0, abs=0.002))


def test_a_replay_is_another_stream_and_its_stamps_are_now() -> None:
    log = NightLog()
    way = LslWay(LslOutConfig(name="ways"), replayed(), log)
    with carrying(log, way) as c, inlet("ways-replay-stages") as stages:
        before_s = pylsl.local_clock()
        log.stages(0, 0)
        c.notify()
        ((_, stamp_s),) = pulled(stages, 1)
        assert before_s <= stamp_s <= pylsl.local_clock()
        assert stages.info(timeout=10.0).desc().child_value("mode") == "replay"


def test_the_source_id_is_the_same_in_every_night() -> None:
    first, second = (
        LslWay(LslOutConfig(), CarriedNight(a_session(session_id), None), NightLog())
        for session_id in ("one", "two")
    )
    assert first._info.source_id() == second._info.source_id() != ""
    assert first.key == second.key


def test_a_rule_can_send_a_marker_of_its_own() -> None:
    with LslMarkerSender("ways-cue", "ways-cue-1") as sender:
        sender.connect()
        with inlet("ways-cue") as cues:
            sender.send("cue")
            ((marker, stamp_s),) = pulled(cues, 1)
    assert marker == ["cue"]
    assert stamp_s == pytest.approx(pylsl.local_clock(), abs=5.0)
