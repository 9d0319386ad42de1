"""Live nights through the whole path: taken up again, with silences, with electrodes that die."""

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
    """Each change of the signal, and when, in seconds of the night."""
    return [
        (event.data["state"], (event.time - START).total_seconds())
        for event in of_type(store, EventType.SIGNAL)
    ]


def opinion(prediction: StagePrediction) -> StagePrediction:
    """All of a prediction but how long it took."""
    return replace(prediction, latency_s=0.0)


def assert_staged_as_if_unbroken(store: NightStore) -> None:
    """A stager that sees the stored epochs, one after the other, says the same."""
    stager = Stager(backend(), ManualClock())
    said = [each for epoch in store.epochs() for each in stager.push([epoch])[0]]
    said += stager.finish()
    for track in Track:
        again = {each.epoch_index: opinion(each) for each in said if each.track is track}
        assert {n: opinion(p) for n, p in enumerate(store.predictions(track))} == again


def assert_in_order(store: NightStore) -> None:
    """Epochs and events count without a gap; every epoch's samples add up."""
    epochs = list(store.epochs())
    assert [epoch.index for epoch in epochs] == list(range(len(epochs)))
    assert [epoch.start_s for epoch in epochs] == [30.0 * n for n in range(len(epochs))]
    told = events_of(store)
    assert [event.sequence for event in told] == list(range(1, len(told) + 1))
    for epoch in epochs:
        ledger = epoch.ledger
        assert ledger.received + ledger.filled + ledger.lost == ledger.expected == 3000


# --- taken up again


@pytest.mark.parametrize(
    ("stop_s", "resumed_s"),
    [
        (2.0, 9.0),  # within epoch 0
        (2.0, 100.0),  # from epoch 0 to epoch 3
        (30.0, 30.5),
        (215.0, 239.97),  # just before an epoch ends
        (215.0, 240.0),
        (216.0, 460.0),
    ],
)
def test_a_night_goes_on_with_what_was_missed_as_missing(
    stop_s: float, resumed_s: float, nights: Nights
) -> None:
    data, store = electrodes_uv(N_EPOCHS), nights.store()
    pipeline = open_live(store)
    for each in live_chunks(data, 0.0, stop_s, length_s=4.0):
        pipeline.push(each)
    stored = store.n_epochs()
    before = list(store.epochs()), store.predictions(Track.LIVE), events_of(store)
    assert stored == int(stop_s // 30)

    pipeline = open_live(store, resumed_s=resumed_s)
    for each in live_chunks(data, resumed_s, length_s=4.0):
        pipeline.push(each)
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
    missed = range(stored, round(resumed_s / 30.0))
    assert [n for n, each in enumerate(live) if each.reason is Reason.MISSING] == list(missed)
    assert all(live[n].stage is None for n in missed)


def test_a_night_goes_on_after_longer_than_the_network_looks_back(nights: Nights) -> None:
    data, store = np.tile(electrodes_uv(4), 34), nights.store()
    again = backend().contract.context_epochs + 10
    pipeline = open_live(store)
    for each in live_chunks(data, 0.0, 100.0):
        pipeline.push(each)
    pipeline = open_live(store, resumed_s=30.0 * again)
    for each in live_chunks(data, 30.0 * again, length_s=4.0):
        pipeline.push(each)
    finish(pipeline)
    assert_in_order(store)
    assert_staged_as_if_unbroken(store)
    assert [n for n, stage in enumerate(stages_of(store)) if stage is None] == [*range(3, again)]


def test_a_night_may_be_taken_up_again_and_again(nights: Nights) -> None:
    data, store = electrodes_uv(N_EPOCHS), nights.store()
    stops_s = [0.0, 11.0, 47.0, 50.0, 181.0, 333.0, 500.0, 30.0 * N_EPOCHS]
    for n, (start_s, stop_s) in enumerate(pairwise(stops_s)):
        pipeline = open_live(store, resumed_s=start_s if n else None)
        for each in live_chunks(data, start_s, stop_s, length_s=4.0):
            pipeline.push(each)
    finish(pipeline)
    assert_in_order(store)
    assert_staged_as_if_unbroken(store)
    assert store.n_epochs() == N_EPOCHS
    assert len(of_type(store, EventType.SESSION_RESUMED)) == len(stops_s) - 2


@pytest.mark.parametrize("stop_s", [10.0, 100.0])
def test_a_night_taken_up_again_without_its_headband_goes_on_in_time(
    stop_s: float, nights: Nights
) -> None:
    data, store = electrodes_uv(N_EPOCHS), nights.store()
    pipeline = open_live(store)
    for each in live_chunks(data, 0.0, stop_s, length_s=4.0):
        pipeline.push(each)
    pipeline = open_live(store, resumed_s=stop_s + 60.0)
    for each in live_chunks(data, stop_s + 60.0, stop_s + 200.0, gaps_s=[(0.0, 1e9)]):
        pipeline.push(each)
    assert store.n_epochs() == (stop_s + 200.0 - 10.5) // 30
    assert signals(store)[-1] == ("lost", stop_s + 65.0)
    assert_in_order(store)


def test_a_night_that_was_ended_and_goes_on_ends_twice(nights: Nights) -> None:
    data, store = electrodes_uv(N_EPOCHS), nights.store()
    pipeline = open_live(store)
    for each in live_chunks(data, 0.0, 300.0, length_s=4.0):
        pipeline.push(each)
    finish(pipeline)
    live = store.live_night()
    assert live is not None
    assert store.ended()
    store.go_on(live)
    assert not store.ended()
    pipeline = open_live(store, resumed_s=400.0)
    finish(pipeline)
    pipeline = open_live(store, resumed_s=401.0)
    for each in live_chunks(data, 401.0, length_s=4.0):
        pipeline.push(each)
    finish(pipeline)
    assert_in_order(store)
    assert len(of_type(store, EventType.SESSION_ENDED)) == 3
    assert store.n_epochs() == N_EPOCHS


def test_marks_survive_and_are_recorded_once(nights: Nights) -> None:
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


def test_the_last_mark_of_the_lights_counts_also_if_it_came_first(nights: Nights) -> None:
    store = nights.store()
    off = [Mark(MarkKind.LIGHTS_OFF, START + timedelta(seconds=at_s)) for at_s in (60.0, 30.0)]
    pipeline = open_live(store)
    for mark in off:
        pipeline.mark(mark)
    for night in (pipeline.night, open_live(store, resumed_s=100.0).night):
        assert night.lights(MarkKind.LIGHTS_OFF) == off[0].time_utc


# --- silence


GAPS_S = [(31.0, 33.0), (100.0, 107.5), (110.0, 245.0), (300.0, 305.02)]


def test_silence_is_told_at_once_and_its_epochs_are_missing(nights: Nights) -> None:
    store = nights.store()
    pipeline = open_live(store)
    seen = []
    for each in live_chunks(electrodes_uv(12), gaps_s=GAPS_S):
        pipeline.push(each)
        seen.append(pipeline.signal)
    finish(pipeline)
    assert seen[104] is SignalState.LOST
    assert seen[108] is SignalState.RESTORED
    told = signals(store)
    assert [each for each in told if each[0] in ("lost", "restored")] == [
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


def test_a_recording_with_gaps_tells_what_the_live_night_told(nights: Nights) -> None:
    """The same events, in the same order, whether silence was lived through or only shows in the
    times of samples, however these are cut."""
    data = electrodes_uv(12)

    def night(name: str, length_s: float, tell: bool) -> NightStore:
        store = nights.store(name)
        pipeline = open_live(store)
        for each in live_chunks(data, length_s=length_s, gaps_s=GAPS_S):
            if tell or each.times_s.size:
                pipeline.push(each)
        finish(pipeline)
        return store

    lived = events_of(night("live", 0.5, True))
    assert len(lived) > 30
    for length_s in (0.13, 7.0, 1000.0):
        assert events_of(night(f"replay {length_s}", length_s, False)) == lived
    assert events_of(night("told seldom", 20.0, True)) == lived


@pytest.mark.parametrize("stop_s", [20.0, 106.0, 246.0])
def test_a_replay_with_gaps_killed_and_continued_tells_everything_once(
    stop_s: float, nights: Nights
) -> None:
    data = electrodes_uv(12)
    whole = live_chunks(data, length_s=3.0, gaps_s=GAPS_S)
    killed, unbroken = nights.store("killed"), nights.store("unbroken")
    pipeline = open_live(killed)
    for each in whole[: int(stop_s / 3.0)]:
        pipeline.push(each)
    for store in (killed, unbroken):
        pipeline = open_live(store)  # of a recording: fed from its start, nothing told twice
        for each in whole:
            pipeline.push(each)
        finish(pipeline)
    assert events_of(killed) == events_of(unbroken)
    assert_in_order(killed)


def test_what_a_stalled_link_delivers_within_ten_seconds_is_not_lost(nights: Nights) -> None:
    data, store = electrodes_uv(4), nights.store()
    pipeline = open_live(store)
    for each in live_chunks(data, 0.0, 55.0):
        pipeline.push(each)
    for now_s in np.arange(55.0, 64.5, 0.5):
        pipeline.push(replace(live_chunks(data, 0.0, 1.0, gaps_s=[(0, 1)])[0], reached_s=now_s))
    assert store.n_epochs() == 1
    for each in live_chunks(data, 55.0):
        pipeline.push(each)
    finish(pipeline)
    assert store.ledger().lost == 0
    assert [each.reason for each in store.predictions(Track.LIVE)] == [None] * 4
    assert signals(store) == [("good", 30.0), ("lost", 59.99), ("restored", 59.99), ("good", 60.0)]


def test_what_it_delivers_later_is_late_and_counted(nights: Nights) -> None:
    data, store = electrodes_uv(4), nights.store()
    pipeline = open_live(store)
    for each in live_chunks(data, 0.0, 30.0):
        pipeline.push(each)
    for each in live_chunks(data, 30.0, 80.0, gaps_s=[(0.0, 1e9)]):
        pipeline.push(each)
    for each in live_chunks(data, 30.0):
        pipeline.push(each)
    finish(pipeline)
    ledger = store.ledger()
    assert_in_order(store)
    # Up to 69.5 s: ten seconds before the samples came, and half a second to reorder them.
    assert ledger.lost == ledger.late + ledger.duplicate == 3951
    assert ledger.arrived == ledger.received + ledger.lost == 12_000


# --- electrodes


def dead(data_uv: np.ndarray, channel: int, first: int, stop: int) -> np.ndarray:
    """``data_uv`` with one electrode flat in epochs ``first`` to ``stop``."""
    data_uv = data_uv.copy()
    data_uv[channel, 3000 * first : 3000 * stop] = 0.0
    return data_uv


@pytest.mark.parametrize("resumed_s", [None, 95.0, 395.0])
def test_while_the_preferred_electrode_is_dead_the_other_is_staged(
    resumed_s: float | None, nights: Nights
) -> None:
    """It is dead in epochs 3 and 4, and preferred again after ten good epochs, 5 to 14; so it is
    if the night is taken up again in between."""
    data, store = dead(electrodes_uv(20), 0, 3, 5), nights.store()
    pipeline = open_live(store)
    for each in live_chunks(data, 0.0, resumed_s or np.inf, length_s=4.0):
        pipeline.push(each)
    if resumed_s is not None:
        pipeline = open_live(store, resumed_s=resumed_s)
        assert pipeline.recent_uv.shape == (3000,)
        for each in live_chunks(data, resumed_s, length_s=4.0):
            pipeline.push(each)
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
    for each in live_chunks(data):
        pipeline.push(each)
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


def test_contact_now(nights: Nights) -> None:
    data = dead(electrodes_uv(3), 0, 1, 3)
    pipeline = open_live(nights.store())
    assert pipeline.contacts() == ()
    for each in live_chunks(data, 0.0, 35.0):
        pipeline.push(each)
    af7, af8 = pipeline.contacts()
    assert (af7.name, af7.contact, af7.reason) == ("AF7", Contact.OFF, Reason.FLAT)
    assert (af8.name, af8.contact, af8.reason) == ("AF8", Contact.GOOD, None)
    for each in live_chunks(data, 35.0, 45.0, gaps_s=[(0.0, 1e9)]):
        pipeline.push(each)
    assert {astuple(each)[1:] for each in pipeline.contacts()} == {
        (Contact.OFF, Reason.MISSING, None)
    }
    assert pipeline.last_sample_utc == START + timedelta(seconds=34.99)


# --- worn


def test_a_band_put_on_late_and_taken_off_early_is_not_wake(nights: Nights) -> None:
    """Ten minutes on the bedside table, flat, before the sleep, and railed after it."""
    table = np.zeros((2, 3000 * 20), np.float32)
    railed = np.full((2, 3000 * 6), 1000.0, np.float32)
    data, store = np.concatenate([table, electrodes_uv(20), railed], axis=1), nights.store()
    pipeline = open_live(store)
    for each in live_chunks(data, length_s=30.0):
        pipeline.push(each)
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
