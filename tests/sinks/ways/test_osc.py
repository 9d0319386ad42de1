"""A night as OSC messages, received by python-osc's own server."""

from __future__ import annotations

import pytest

from models.contract import Stage
from monitor.config import OscConfig
from monitor.sinks.ways import OscSender, WayError
from monitor.sinks.ways.osc import OscWay
from monitor.types import MarkKind, Track
from tests.sinks.peers import a_session, scored, unscored
from tests.sinks.waiting import until
from tests.sinks.ways.carrying import NightLog, carrying, night, replayed, until_sent
from tests.sinks.ways.listener import Listener


def test_a_stage_has_a_number_a_word_a_confidence_and_an_age() -> None:
    log = NightLog()
    log.stages(0, 0, Stage.R)
    with Listener() as app, carrying(log, OscWay(OscConfig(port=app.port), night(age_s=0.25))):
        until(lambda: bool(app.on("/sleep-monitor/alive")), "the sign of life")
    (stage,) = app.on("/sleep-monitor/stage")
    assert stage[:2] == (4, "R")
    assert stage[2:] == pytest.approx((0.8, 0.25))
    assert app.on("/sleep-monitor/probabilities")[0] == pytest.approx((0.05,) * 4 + (0.8,))
    assert app.on("/sleep-monitor/asleep") == [(1,)]
    assert app.on("/sleep-monitor/session") == [("started",)]
    assert app.on("/sleep-monitor/alive")[-1] == (1,)
    # An app that reacts to the stage has the rest of its epoch already.
    addresses = [address.rpartition("/")[2] for address, _ in app.messages]
    assert addresses[:5] == ["session", "probabilities", "asleep", "stage", "alive"]


def test_an_unscored_epoch_is_neither_sleep_nor_wake() -> None:
    log = NightLog()
    log.add(unscored(0))
    with Listener() as app, carrying(log, OscWay(OscConfig(port=app.port), night())) as c:
        until_sent(c)
        until(lambda: bool(app.on("/sleep-monitor/stage")), "the stage")
    assert app.on("/sleep-monitor/stage")[0][:3] == (-2, "unscored", 0.0)
    assert app.on("/sleep-monitor/asleep") == [(-1,)]
    assert app.on("/sleep-monitor/probabilities") == []


def test_history_is_not_sent_as_news() -> None:
    """After ten minutes without the monitor an app hears of the newest epoch alone."""
    log = NightLog()
    log.stages(0, 19)
    with (
        Listener() as app,
        carrying(log, OscWay(OscConfig(port=app.port), night(age_s=570.0))) as c,
    ):
        until_sent(c)
        until(lambda: bool(app.on("/sleep-monitor/alive")), "the sign of life")
    ages = [values[3] for values in app.on("/sleep-monitor/stage")]
    assert ages == pytest.approx([60.0, 30.0, 0.0])


def test_a_restart_repeats_nothing_and_revisions_are_not_sent() -> None:
    log = NightLog()
    log.stages(0, 1)
    log.add(scored(0, track=Track.REVISED))
    log.mark(MarkKind.NOTE, a_session().epoch_start_utc(1), "woke up")
    with Listener() as app:
        for _ in range(2):
            with carrying(log, OscWay(OscConfig(port=app.port), night())) as c:
                until_sent(c)
        until(lambda: bool(app.on("/sleep-monitor/mark")), "the mark")
    assert len(app.on("/sleep-monitor/stage")) == 2
    assert app.on("/sleep-monitor/mark") == [("note", "woke up")]


def test_sleepers_and_replays_have_addresses_of_their_own() -> None:
    session = a_session(sleeper="anna")
    log = NightLog(session)
    log.stages(0, 0)
    with Listener() as app:
        for carried in (night(session), replayed(session)):
            log._sent.clear()
            with carrying(log, OscWay(OscConfig(port=app.port), carried)) as c:
                until_sent(c)
        until(lambda: bool(app.on("/sleep-monitor-replay/anna/stage")), "the replay")
    assert len(app.on("/sleep-monitor/anna/stage")) == 1


def test_a_host_that_is_not_found_is_one_line() -> None:
    sender = OscSender(OscConfig(host="no-such-host.invalid", port=9000))
    with pytest.raises(WayError, match=r"OSC to no-such-host\.invalid:9000 finds no host"):
        sender.send("/lamp", 1)


def test_nobody_who_listens_is_no_error() -> None:
    with OscSender(OscConfig(port=9)) as sender:
        for _ in range(3):
            sender.send("/lamp", 1)
