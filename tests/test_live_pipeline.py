"""Live nights through the pipeline: continued after a stop, with silences, with dead electrodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from models.contract import Stage
from monitor.clock import ManualClock
from monitor.night.events import EventType
from monitor.night.store import NightStore
from monitor.pipeline import Pipeline
from monitor.staging.stager import Stager
from monitor.types import (
    Contact,
    Event,
    Mark,
    MarkKind,
    Reason,
    SignalState,
    StagePrediction,
    Track,
)
from tests.nights import (
    Nights,
    backend,
    electrodes_uv,
    events_of,
    feed,
    live_chunks,
    open_live,
    stages_of,
)
from tests.signals import START

N_EPOCHS = 24


@pytest.fixture
def nights(tmp_path: Path) -> Iterator[Nights]:
    with Nights(tmp_path) as nights:
        yield nights


def finish(pipeline: Pipeline) -> None:
    pipeline.finish(ManualClock().utc())


def of_type(store: NightStore, type_: EventType) -> list[Event]:
    return [event for event in events_of(store) if event.type == type_]


def signals(store: NightStore) -> list[tuple[str, float]]:
    """Return each change of the signal: its state, and its time in seconds of the night."""
    return [
        (event.data["state"], (event.time - START).total_seconds())
        for event in of_type(store, EventType.SIGNAL)
    ]


def without_latency(prediction: StagePrediction) -> StagePrediction:
    """Return a prediction without its latency, which differs from run to run."""
    return replace(prediction, latency_s=0.0)


def assert_staged_as_if_unbroken(store: NightStore) -> None:
    """A new stager, fed with the stored epochs one by one, makes the same predictions."""
    stager = Stager(backend(), ManualClock())
    staged = [each for epoch in store.epochs() for each in stager.push([epoch])[0]]
    staged += stager.finish()
    for track in Track:
        again = {each.epoch_index: without_latency(each) for each in staged if each.track is track}
        assert {n: without_latency(p) for n, p in enumerate(store.predictions(track))} == again


def assert_in_order(store: NightStore) -> None:
    """Epochs and events are numbered without a gap, and the samples of every epoch add up."""
    epochs = list(store.epochs())
    assert [epoch.index for epoch in epochs] == list(range(len(epochs)))
    assert [epoch.start_s for epoch in epochs] == [30.0 * n for n in range(len(epochs))]
    events = events_of(store)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    for epoch in epochs:
        ledger = epoch.ledger
        assert ledger.received + ledger.filled + ledger.lost == ledger.expected == 3000


# --- continued after a stop


@pytest.mark.parametrize(
    ("stop_s", "resumed_s"),
    [
        (2.0, 9.0),  # inside epoch 0
        (2.0, 100.0),  # from epoch 0 to epoch 3
        (30.0, 30.5),
        (215.0, 239.97),  # just before an epoch ends
        (215.0, 240.0),
        (216.0, 460.0),
    ],
)
def test_a_continued_night_counts_the_time_away_as_missing(
    stop_s: float, resumed_s: float, nights: Nights
) -> None:
    data, store = electrodes_uv(N_EPOCHS), nights.store()
    pipeline = open_live(store)
    feed(pipeline, live_chunks(data, 0.0, stop_s, length_s=4.0))
    stored = store.n_epochs()
    before = list(store.epochs()), store.predictions(Track.LIVE), events_of(store)
    assert stored == int(stop_s // 30)

    pipeline = open_live(store, resumed_s=resumed_s)
    feed(pipeline, live_chunks(data, resumed_s, length_s=4.0))
    finish(pipeline)

    assert_in_order(store)
    assert_staged_as_if_unbroken(store)
    assert store.n_epochs() == N_EPOCHS
    n_old = len(before[2])
    assert events_of(store)[:n_old] == before[2]
    assert store.predictions(Track.LIVE)[:stored] == before[1]
    (resumed,) = of_type(store, EventType.SESSION_RESUMED)
    assert resumed.data["epoch_index"] == stored
    assert resumed.time == START + timedelta(seconds=resumed_s)
    lost_s = store.ledger().lost / 100.0
    assert lost_s == pytest.approx(resumed_s - 30.0 * stored, abs=0.011)
    live = store.predictions(Track.LIVE)
    away = range(stored, round(resumed_s / 30.0))
    assert [n for n, each in enumerate(live) if each.reason is Reason.MISSING] == list(away)
    assert all(live[n].stage is None for n in away)


def test_a_night_continues_after_a_time_away_longer_than_the_context(
    nights: Nights,
) -> None:
    data, store = np.tile(electrodes_uv(4), 34), nights.store()
    again = backend().contract.context_epochs + 10
    pipeline = open_live(store)
    feed(pipeline, live_chunks(data, 0.0, 100.0))
    pipeline = open_live(store, resumed_s=30.0 * again)
    feed(pipeline, live_chunks(data, 30.0 * again, length_s=4.0))
    finish(pipeline)
    assert_in_order(store)
    assert_staged_as_if_unbroken(store)
    assert [n for n, stage in enumerate(stages_of(store)) if stage is None] == [*range(3, again)]


def test_a_night_can_be_continued_many_times(nights: Nights) -> None:
    data, store = electrodes_uv(N_EPOCHS), nights.store()
    stops_s = [0.0, 11.0, 47.0, 50.0, 181.0, 333.0, 500.0, 30.0 * N_EPOCHS]
    for n, (start_s, stop_s) in enumerate(pairwise(stops_s)):
        pipeline = open_live(store, resumed_s=start_s if n else None)
        feed(pipeline, live_chunks(data, start_s, stop_s, length_s=4.0))
    finish(pipeline)
    assert_in_order(store)
    assert_staged_as_if_unbroken(store)
    assert store.n_epochs() == N_EPOCHS
    assert len(of_type(store, EventType.SESSION_RESUMED)) == len(stops_s) - 2


@pytest.mark.parametrize("stop_s", [10.0, 100.0])
def test_a_night_continued_without_its_headband_closes_its_epochs_in_time(
    stop_s: float, nights: Nights
) -> None:
    data, store = electrodes_uv(N_EPOCHS), nights.store()
    pipeline = open_live(store)
    feed(pipeline, live_chunks(data, 0.0, stop_s, length_s=4.0))
    pipeline = open_live(store, resumed_s=stop_s + 60.0)
    feed(pipeline, live_chunks(data, stop_s + 60.0, stop_s + 200.0, gaps_s=[(0.0, 1e9)]))
    assert store.n_epochs() == (stop_s + 200.0 - 10.5) // 30
    assert signals(store)[-1] == ("lost", stop_s + 65.0)
    assert_in_order(store)


def test_an_ended_night_that_continues_ends_again(nights: Nights) -> None:
    data, store = electrodes_uv(N_EPOCHS), nights.store()
    pipeline = open_live(store)
    feed(pipeline, live_chunks(data, 0.0, 300.0, length_s=4.0))
    finish(pipeline)
    live = store.live_night()
    assert live is not None
    assert store.ended()
    store.update_live(live)
    assert not store.ended()
    pipeline = open_live(store, resumed_s=400.0)
    finish(pipeline)
    pipeline = open_live(store, resumed_s=401.0)
    feed(pipeline, live_chunks(data, 401.0, length_s=4.0))
    finish(pipeline)
    assert_in_order(store)
    assert len(of_type(store, EventType.SESSION_ENDED)) == 3
    assert store.n_epochs() == N_EPOCHS


def test_marks_survive_a_restart_and_are_recorded_once(nights: Nights) -> None:
    store = nights.store()
    marks = [
        Mark(MarkKind.LIGHTS_OFF, START + timedelta(seconds=-100)),
        Mark(MarkKind.NOTE, START + timedelta(seconds=50), "turned over"),
        Mark(MarkKind.LIGHTS_ON, START + timedelta(seconds=200.5)),
    ]
    for resumed_s in (None, 250.0):
        pipeline = open_live(store, resumed_s=resumed_s)
        for mark in marks:
            pipeline.mark(mark)
    assert store.marks() == pipeline.night.marks == marks
    assert len(of_type(store, EventType.MARK)) == 3


def test_the_latest_time_of_a_lights_mark_counts_in_any_order_of_arrival(nights: Nights) -> None:
    store = nights.store()
    off = [Mark(MarkKind.LIGHTS_OFF, START + timedelta(seconds=at_s)) for at_s in (60.0, 30.0)]
    pipeline = open_live(store)
    for mark in off:
        pipeline.mark(mark)
    for night in (pipeline.night, open_live(store, resumed_s=100.0).night):
        assert night.lights(MarkKind.LIGHTS_OFF) == off[0].time_utc


# --- silence


GAPS_S = [(31.0, 33.0), (100.0, 107.5), (110.0, 245.0), (300.0, 305.02)]


def test_silence_is_reported_after_five_seconds_and_its_epochs_are_missing(nights: Nights) -> None:
    store = nights.store()
    pipeline = open_live(store)
    seen = []
    for each in live_chunks(electrodes_uv(12), gaps_s=GAPS_S):
        pipeline.push(each)
        seen.append(pipeline.signal)
    finish(pipeline)
    assert seen[104] is SignalState.LOST
    assert seen[108] is SignalState.RESTORED
    changes = signals(store)
    assert [each for each in changes if each[0] in ("lost", "restored")] == [
        ("lost", 104.99),
        ("restored", 107.5),
        ("lost", 114.99),
        ("restored", 245.0),
        ("lost", 304.99),
        ("restored", 305.02),
    ]
    assert [n for n, p in enumerate(store.predictions(Track.LIVE)) if p.reason] == [3, 4, 5, 6, 7]
    assert all(
        event.data["reason"] == ("missing" if event.data["state"] == "lost" else None)
        for event in of_type(store, EventType.SIGNAL)
        if event.data["state"] in ("lost", "restored")
    )


def test_a_recording_with_gaps_makes_the_events_of_the_live_night(nights: Nights) -> None:
    """The events and their order are the same, however the samples are cut: in a live night, which
    reports the time during a silence, and in a recording, where only the sample times show it."""
    data = electrodes_uv(12)

    def night(name: str, length_s: float, reports_time: bool) -> NightStore:
        store = nights.store(name)
        pipeline = open_live(store)
        for each in live_chunks(data, length_s=length_s, gaps_s=GAPS_S):
            if reports_time or each.times_s.size:
                pipeline.push(each)
        finish(pipeline)
        return store

    live = events_of(night("live", 0.5, True))
    assert len(live) > 30
    for length_s in (0.13, 7.0, 1000.0):
        assert events_of(night(f"replay {length_s}", length_s, False)) == live
    assert events_of(night("time reported rarely", 20.0, True)) == live


@pytest.mark.parametrize("stop_s", [20.0, 106.0, 246.0])
def test_a_killed_replay_with_gaps_makes_every_event_once(stop_s: float, nights: Nights) -> None:
    data = electrodes_uv(12)
    whole = live_chunks(data, length_s=3.0, gaps_s=GAPS_S)
    killed, unbroken = nights.store("killed"), nights.store("unbroken")
    pipeline = open_live(killed)
    feed(pipeline, whole[: int(stop_s / 3.0)])
    for store in (killed, unbroken):
        pipeline = open_live(store)  # a continued replay gets every sample again
        feed(pipeline, whole)
        finish(pipeline)
    assert events_of(killed) == events_of(unbroken)
    assert_in_order(killed)


def test_samples_that_a_stalled_link_delivers_within_ten_seconds_count(nights: Nights) -> None:
    data, store = electrodes_uv(4), nights.store()
    pipeline = open_live(store)
    feed(pipeline, live_chunks(data, 0.0, 55.0))
    for now_s in np.arange(55.0, 64.5, 0.5):
        pipeline.push(replace(live_chunks(data, 0.0, 1.0, gaps_s=[(0, 1)])[0], reached_s=now_s))
    assert store.n_epochs() == 1
    feed(pipeline, live_chunks(data, 55.0))
    finish(pipeline)
    assert store.ledger().lost == 0
    assert [each.reason for each in store.predictions(Track.LIVE)] == [None] * 4
    assert signals(store) == [("good", 30.0), ("lost", 59.99), ("restored", 59.99), ("good", 60.0)]


def test_samples_that_a_stalled_link_delivers_later_count_as_late(nights: Nights) -> None:
    data, store = electrodes_uv(4), nights.store()
    pipeline = open_live(store)
    feed(pipeline, live_chunks(data, 0.0, 30.0))
    feed(pipeline, live_chunks(data, 30.0, 80.0, gaps_s=[(0.0, 1e9)]))
    feed(pipeline, live_chunks(data, 30.0))
    finish(pipeline)
    ledger = store.ledger()
    assert_in_order(store)
    # At 80 s all is lost up to 69.5 s: the monitor waits 10 s, and 0.5 s to put samples in order.
    assert ledger.lost == ledger.late + ledger.duplicate == 3951
    assert ledger.arrived == ledger.received + ledger.lost == 12_000


# --- electrodes


def dead(data_uv: np.ndarray, channel: int, first: int, stop: int) -> np.ndarray:
    """Return a copy of ``data_uv`` with one electrode flat in epochs ``first`` to ``stop``."""
    data_uv = data_uv.copy()
    data_uv[channel, 3000 * first : 3000 * stop] = 0.0
    return data_uv


@pytest.mark.parametrize("resumed_s", [None, 95.0, 395.0])
def test_while_the_preferred_electrode_is_dead_the_other_is_staged(
    resumed_s: float | None, nights: Nights
) -> None:
    """It is dead in epochs 3 and 4, and staged again after ten good epochs, 5 to 14. The same holds
    if the monitor stops in between and continues."""
    data, store = dead(electrodes_uv(20), 0, 3, 5), nights.store()
    pipeline = open_live(store)
    feed(pipeline, live_chunks(data, 0.0, resumed_s or np.inf, length_s=4.0))
    if resumed_s is not None:
        pipeline = open_live(store, resumed_s=resumed_s)
        assert pipeline.recent_uv.shape == (3000,)
        feed(pipeline, live_chunks(data, resumed_s, length_s=4.0))
    finish(pipeline)
    staged = [epoch.derivation.name for epoch in store.epochs()]
    assert staged == ["AF7"] * 3 + ["AF8"] * 11 + ["AF7"] * 6
    assert not any(each.reason for each in store.predictions(Track.LIVE))
    assert [
        (e.data["epoch_index"], e.data["previous"], e.data["derivation"], e.data["reason"])
        for e in of_type(store, EventType.DERIVATION)
    ] == [(3, "AF7", "AF8", "flat"), (14, "AF8", "AF7", None)]
    contacts = [
        (e.data["epoch_index"], [c["contact"] for c in e.data["channels"]])
        for e in of_type(store, EventType.CHANNELS)
    ]
    assert contacts == [(0, ["good", "good"]), (3, ["off", "good"]), (5, ["good", "good"])]
    assert_staged_as_if_unbroken(store)
    assert_in_order(store)


def test_if_no_electrode_is_alive_epochs_are_unscored_and_never_w(nights: Nights) -> None:
    data = dead(dead(electrodes_uv(12), 0, 2, 6), 1, 4, 8)
    data[:, 3000 * 8 : 3000 * 9] = 990.0 * np.sign(np.sin(np.arange(3000) / 5.0))  # railed
    store = nights.store()
    pipeline = open_live(store)
    feed(pipeline, live_chunks(data))
    finish(pipeline)
    live = store.predictions(Track.LIVE)
    assert [(n, each.reason) for n, each in enumerate(live) if each.reason] == [
        (4, Reason.FLAT),
        (5, Reason.FLAT),
        (8, Reason.RAILED),
    ]
    assert all(live[n].stage is None and live[n].probabilities is None for n in (4, 5, 8))
    assert [e.derivation.name for e in store.epochs()][:8] == ["AF7"] * 2 + ["AF8"] * 4 + [
        "AF7"
    ] * 2
    assert_staged_as_if_unbroken(store)


def test_contacts_are_judged_between_epochs(nights: Nights) -> None:
    data = dead(electrodes_uv(3), 0, 1, 3)
    pipeline = open_live(nights.store())
    assert pipeline.contacts() == ()
    feed(pipeline, live_chunks(data, 0.0, 35.0))
    af7, af8 = pipeline.contacts()
    assert (af7.name, af7.contact, af7.reason) == ("AF7", Contact.OFF, Reason.FLAT)
    assert (af8.name, af8.contact, af8.reason) == ("AF8", Contact.GOOD, None)
    feed(pipeline, live_chunks(data, 35.0, 45.0, gaps_s=[(0.0, 1e9)]))
    assert {astuple(each)[1:] for each in pipeline.contacts()} == {
        (Contact.OFF, Reason.MISSING, None)
    }
    assert pipeline.last_sample_utc == START + timedelta(seconds=34.99)


# --- worn


def test_time_without_the_band_on_is_not_wake(nights: Nights) -> None:
    """The band lies flat on the table for ten minutes before the sleep. After it, it is railed."""
    table = np.zeros((2, 3000 * 20), np.float32)
    railed = np.full((2, 3000 * 6), 1000.0, np.float32)
    data, store = np.concatenate([table, electrodes_uv(20), railed], axis=1), nights.store()
    pipeline = open_live(store)
    feed(pipeline, live_chunks(data, length_s=30.0))
    finish(pipeline)
    live = stages_of(store)
    assert live[:20] + live[40:] == [None] * 26
    (ended,) = of_type(store, EventType.SESSION_ENDED)
    assert ended.data["worn"] == {
        "start_utc": "2026-01-01T22:10:00.000Z",
        "end_utc": "2026-01-01T22:20:00.000Z",
        "epochs": 20,
    }
    statistics = ended.data["statistics"]
    assert (statistics["bounds"], statistics["trt_min"]) == ("worn", 10.0)
    assert statistics["unscored_min"] == 0.0
    assert Stage.W not in set(live[:20] + live[40:])
