"""The plain lines of a night, word by word."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from models.contract import Stage
from monitor.night.state import NightState
from monitor.sinks.log import PlainLog
from monitor.sinks.views import NightView
from monitor.types import Contact, Delivery, Reason, SignalState, Track
from tests.sinks.night_example import (
    START,
    channel,
    good_quality,
    live_state,
    night_state,
    prediction,
)

LOCAL = Delivery("redis://127.0.0.1:6379/0", True, 3, 0)


def states(*stages: Stage | None) -> list[NightState]:
    """Return one snapshot after each epoch."""
    live = tuple(prediction(i, stage) for i, stage in enumerate(stages))
    return [
        night_state(
            0,
            live=live[:n],
            revised=live[:n],
            clock_utc=START + timedelta(seconds=30 * n),
            delivery=LOCAL,
        )
        for n in range(1, len(stages) + 1)
    ]


def at(state: NightState, after_s: float) -> datetime:
    return state.clock_utc + timedelta(seconds=after_s)


def later(state: NightState, after_s: float, **changes: object) -> NightState:
    """Return ``state`` with ``changes`` and its clock advanced by ``after_s``."""
    return replace(state, **{"clock_utc": at(state, after_s), **changes})


def lines(*snapshots: NightState, resumed_from: NightState | None = None) -> list[str]:
    out = io.StringIO()
    view: NightView = PlainLog(out, timezone=UTC, resumed_from=resumed_from)
    with view:
        for state in snapshots:
            view.update(state)
    return out.getvalue().splitlines()


def test_one_line_an_epoch_at_its_end_and_unscored_with_its_reason() -> None:
    assert lines(*states(Stage.W, None, Stage.N1)) == [
        "22:31:30 epoch 0 W 0.62 (live)",
        "22:31:30 signal good",
        "22:32:00 epoch 1 unscored: mains (live)",
        "22:32:30 epoch 2 N1 0.76 (live)",
    ]


def test_epochs_between_two_snapshots_are_all_written_once() -> None:
    every = states(*[Stage.N2] * 40)
    text = lines(every[0], every[0], every[39], every[39])
    assert [line.split()[2] for line in text if "epoch" in line] == [str(i) for i in range(40)]


def test_a_resumed_night_does_not_repeat_itself() -> None:
    every = states(Stage.W, Stage.N1, Stage.N2)
    assert lines(every[2], resumed_from=every[1])[0] == "22:32:30 epoch 2 N2 0.76 (live)"


def test_a_final_revision_is_written_once_and_only_if_it_differs() -> None:
    last = states(Stage.N2, Stage.N2, Stage.N2)[-1]
    revised = [prediction(i, Stage.N2, Track.REVISED) for i in range(3)]
    unfinished = replace(prediction(0, Stage.N1, Track.REVISED), final=False)
    first = replace(last, revised=(unfinished, last.live[1], last.live[2]))
    changed = prediction(0, Stage.N1, Track.REVISED)
    second = replace(last, revised=(changed, revised[1], last.live[2]))
    new = lines(last, first, second, second)[4:]
    assert new == ["22:32:30 epoch 0 N1 0.62 (revised, live N2)"]
    # A night that was resumed in between writes this line too, and nothing else.
    assert lines(second, resumed_from=first) == new


def test_changes_of_signal_and_connection() -> None:
    start = states(Stage.N2)[0]
    poor = replace(
        start, signal=SignalState.POOR, quality=replace(good_quality(), reason=Reason.FLAT)
    )
    lost = replace(start, signal=SignalState.LOST)
    good = replace(start, last_sample_utc=start.last_sample_utc + timedelta(seconds=47))
    away = replace(start, delivery=Delivery("redis://:secret@host:6379", False, 3, 4))
    back = replace(start, delivery=Delivery("redis://:secret@host:6379", True, 3, 4))
    ended = replace(start, ended=True)
    assert lines(start, start, poor, lost, good, away, away, back, ended, ended)[2:] == [
        "22:31:30 signal poor: flat",
        "22:31:30 signal lost",
        "22:31:30 signal restored after 47 s",
        "22:31:30 events: not connected, 4 waiting",
        "22:31:30 events: connected to redis://:***@host:6379, 4 waiting",
        "22:31:30 ended: 1 epochs, TST 0.0 min, 3 events published, 0 waiting",
    ]


def test_a_headband_that_goes_silent_and_comes_back() -> None:
    start = live_state(1)
    lost = later(start, 5, signal=SignalState.LOST)
    again = later(start, 80, signal=SignalState.RESTORED, last_sample_utc=at(start, 80))
    good = replace(again, signal=SignalState.GOOD)
    assert lines(start, lost, lost, again, good)[2:] == [
        "22:31:35 signal lost: no samples since 22:31:30, check the headband",
        "22:32:50 signal restored after 1 min 20 s",
        "22:32:50 signal good",
    ]


def test_a_contact_is_reported_at_once_if_worse_and_once_it_lasts_if_better() -> None:
    start = live_state(1)
    off = (channel("TP9", Contact.OFF, Reason.RAILED), channel("AF7"))
    well = (channel("TP9"), channel("AF7"))
    assert lines(
        later(start, 0, channels=well),
        later(start, 1, channels=off),
        later(start, 2, channels=off),
        later(start, 3, channels=well),
        later(start, 12, channels=well),
        later(start, 13, channels=well),
    )[2:] == ["22:31:31 TP9 off: railed", "22:31:43 TP9 good"]


def test_an_electrode_that_flickers_is_reported_once() -> None:
    start = live_state(1)
    states = [channel("TP9"), channel("TP9", Contact.OFF, Reason.FLAT), channel("TP9")]
    flicker = [later(start, s, channels=(states[s // 3 % 3],)) for s in range(600)]
    assert lines(start, *flicker)[2:] == ["22:31:33 TP9 off: flat"]


def test_electrodes_are_not_reported_while_no_samples_come() -> None:
    start = live_state(1)
    gone = (channel("TP9", Contact.OFF, Reason.MISSING, None),)
    silent = later(start, 5, channels=gone, signal=SignalState.LOST)
    assert not any("TP9" in line for line in lines(start, silent, silent))


def test_changes_of_derivation() -> None:
    start = live_state(1)
    second, third = (
        replace(start, derivations=(*start.derivations, name)) for name in ("AF7-TP10", "AF8-TP10")
    )
    assert lines(start, second, second, third, start)[2:] == [
        "22:31:30 derivation AF7-TP10, not the preferred AF7-TP9",
        "22:31:30 derivation AF8-TP10, not the preferred AF7-TP9",
        "22:31:30 derivation AF7-TP9, the preferred one again",
    ]


def test_a_full_disk_is_reported_when_it_begins_when_the_wait_doubles_and_when_it_ends() -> None:
    start = live_state(1)
    counts = [0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 3, 0, 0]
    assert lines(*(replace(start, unstored=n) for n in counts))[2:] == [
        "22:31:30 DISK FULL? 1 epoch waits to be stored",
        "22:31:30 DISK FULL? 2 epochs wait to be stored",
        "22:31:30 DISK FULL? 4 epochs wait to be stored",
        "22:31:30 DISK FULL? 8 epochs wait to be stored",
        "22:31:30 all epochs are stored again",
    ]


def test_a_pipe_that_closes_does_not_stop_the_night() -> None:
    out = io.StringIO()
    view = PlainLog(out)
    out.close()
    for state in states(Stage.W, Stage.W):
        view.update(state)


def test_there_are_no_control_codes() -> None:
    assert "\x1b" not in "\n".join(lines(night_state()))
