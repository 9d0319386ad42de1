"""A night's file read as a whole, without changing it: the night of the store, or what is left."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from monitor.config import monitor_version
from monitor.errors import InputError
from monitor.night import events
from monitor.night.live_night import LiveNight
from monitor.night.record import read_night
from monitor.night.restoring import restored_night
from monitor.night.store import NightStore
from monitor.types import Mark, MarkKind, Montage, Reason, Track
from tests.night.stored import LIVE, SESSION, epoch
from tests.signals import START

N_EPOCHS = 30
OFF = Mark(MarkKind.LIGHTS_OFF, START + timedelta(seconds=60))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[NightStore]:
    with closing(NightStore.open(tmp_path / "night.sqlite", durable=False)) as store:
        live_night = LiveNight("lsl:test", Montage.of_one("EEG"), "boot", 0.0, None)
        store.begin(SESSION, START, events.session_started(SESSION, 1), live_night)
        for index in range(N_EPOCHS):
            live = replace(LIVE, epoch_index=index)
            revised = replace(live, track=Track.REVISED, revision=1)
            store.write(
                [events.stage_event(SESSION, index + 2, live)], [live, revised], epoch(index)
            )
        store.write([], marks=[OFF])
        yield store


def test_a_record_is_the_night_of_the_store(store: NightStore) -> None:
    record = read_night(store.path)  # while the night goes on
    assert (record.session, record.stored.version) == (SESSION, monitor_version())
    assert list(record.live) == store.predictions(Track.LIVE)
    assert list(record.revised) == store.predictions(Track.REVISED)
    assert list(record.marks) == store.marks() == [OFF]
    assert list(record.events) == store.events_after(0, 1000)
    assert (record.is_live, record.damaged, record.wrong) == (True, (), "")
    assert record.end_utc == START + timedelta(seconds=30 * N_EPOCHS)
    stored = {each.index: each.data_uv for each in store.epochs()}
    for index, data_uv in record.signals():
        np.testing.assert_array_equal(data_uv, stored[index])
    night = restored_night(store, SESSION)
    assert record.state.statistics == night.statistics
    assert record.state.ledger == night.ledger


def test_a_damaged_epoch_is_unscored_and_named(store: NightStore) -> None:
    store.close()
    with closing(sqlite3.connect(store.path)) as other, other:
        other.execute("UPDATE epoch SET signal_uv = zeroblob(12000) WHERE epoch_index = 2")
        other.execute("DELETE FROM prediction WHERE epoch_index = 29")
    record = read_night(store.path)
    assert record.n_epochs == N_EPOCHS
    assert record.epochs[2] is None
    assert record.damaged == (2, N_EPOCHS - 1)
    assert (record.revised[2].stage, record.revised[2].reason) == (None, Reason.MISSING)
    assert [index for index, _ in record.signals()] == [i for i in range(N_EPOCHS) if i != 2]
    assert record.state.hypnogram.count(None) == 2


def test_a_damaged_session_is_told_from_the_events(store: NightStore) -> None:
    store.close()
    with closing(sqlite3.connect(store.path)) as other, other:
        other.execute("UPDATE session SET gain = 'other'")
    record = read_night(store.path)
    assert record.session == SESSION
    assert record.wrong == "its session was changed"


def test_a_night_of_another_format_is_refused(store: NightStore) -> None:
    store.close()
    with closing(sqlite3.connect(store.path)) as other:
        other.execute("PRAGMA user_version = 1")
    with pytest.raises(InputError, match="night-store format 1, this version reads format 5"):
        read_night(store.path)


def test_the_signals_end_with_the_record_while_the_night_goes_on(store: NightStore) -> None:
    record = read_night(store.path)
    store.write([], epoch=epoch(N_EPOCHS))
    assert [index for index, _ in record.signals()] == list(range(N_EPOCHS))


@pytest.mark.parametrize("index", [10**15, -5])
def test_an_index_that_a_changed_bit_made_does_not_lengthen_the_night(
    store: NightStore, index: int
) -> None:
    store.close()
    with closing(sqlite3.connect(store.path)) as other, other:
        other.execute("PRAGMA foreign_keys = OFF")
        other.execute("UPDATE epoch SET epoch_index = ? WHERE epoch_index = 29", (index,))
    record = read_night(store.path)
    assert record.n_epochs == N_EPOCHS
    assert record.epochs[29] is None
