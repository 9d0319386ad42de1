"""A full disk holds the file of a live night up, and does not end the night."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.clock import ManualClock
from monitor.errors import MonitorError
from monitor.night.backlog import RETRY_S, Backlog
from monitor.night.store import NightStore
from monitor.pipeline import Pipeline
from monitor.types import EegChunk, Mark, MarkKind, Track
from tests.full_disk import disk_of
from tests.night.stored import epoch
from tests.nights import electrodes_uv, events_of, live_chunks, open_live
from tests.signals import START

N_EPOCHS = 6
MARK = Mark(MarkKind.NOTE, START + timedelta(seconds=95), "thunder")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[NightStore]:
    store = NightStore.open(tmp_path / "night.sqlite")
    yield store
    store.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def full_disk(store: NightStore) -> AbstractContextManager[None]:
    """No room for more than what is stored."""
    return disk_of(store.path.with_name(store.path.name + "-wal").stat().st_size)


def chunks_of(*epochs: int) -> Iterable[EegChunk]:
    """Samples of these epochs of a night; from 100 to 106 s, in epoch 3, none come."""
    data = electrodes_uv(N_EPOCHS)
    for n in epochs:
        yield from live_chunks(
            data, 30.0 * n, 30.0 * (n + 1), length_s=2.0, gaps_s=[(100.0, 106.0)]
        )


def take(pipeline: Pipeline, chunks: Iterable[EegChunk]) -> None:
    for each in chunks:
        pipeline.push(each)


def test_writes_that_the_disk_refuses_wait_and_are_stored_in_order(
    store: NightStore, clock: ManualClock, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Epochs, a silence and a mark while the disk is full: in the end the same file as ever."""
    caplog.set_level(logging.INFO)
    backlog = Backlog(store, clock)
    pipeline = open_live(store, backlog=backlog)
    take(pipeline, chunks_of(0, 1))
    stored = events_of(store)
    with full_disk(store):
        take(pipeline, chunks_of(2, 3))
        pipeline.mark(MARK)
        clock.advance(RETRY_S)
        take(pipeline, chunks_of(4))
        backlog.flush()
        assert backlog.unstored_epochs == 3
        assert pipeline.night.n_epochs == 5
        assert events_of(store) == stored  # an event that is not stored is not published
        assert store.n_epochs() == 2
    backlog.flush()
    assert backlog.unstored_epochs == 3  # tried again every few seconds, not always
    clock.advance(RETRY_S)
    backlog.flush()
    assert backlog.unstored_epochs == 0
    take(pipeline, chunks_of(5))
    pipeline.finish(clock.utc())
    logged = [record.message for record in caplog.records]
    assert len(logged) == 2
    assert "make room" in logged[0] and logged[0].endswith("Meanwhile the night is kept in memory")
    assert logged[1] == f"The disk accepts writes again; the night is complete in {store.path}"

    roomy = NightStore.open(tmp_path / "roomy.sqlite")
    pipeline = open_live(roomy)
    take(pipeline, chunks_of(0, 1, 2, 3))
    pipeline.mark(MARK)
    take(pipeline, chunks_of(4, 5))
    pipeline.finish(clock.utc())
    assert events_of(store) == events_of(roomy)
    assert [each.index for each in store.epochs()] == list(range(N_EPOCHS))
    assert store.marks() == [MARK]
    assert store.ended()
    roomy.close()


def test_a_night_that_ends_while_the_disk_is_full_fails_clearly_and_can_go_on(
    store: NightStore, clock: ManualClock
) -> None:
    backlog = Backlog(store, clock)
    pipeline = open_live(store, backlog=backlog)
    take(pipeline, chunks_of(0, 1))
    with full_disk(store):
        take(pipeline, chunks_of(2, 3))
        pipeline.finish(clock.utc())
        with pytest.raises(MonitorError, match=r"night\.sqlite failed: .*make room or mend"):
            backlog.drain()
    assert not store.ended()
    backlog.drain()
    assert store.ended()
    assert len(store.predictions(Track.LIVE)) == 4


def test_a_write_that_can_never_succeed_does_not_hold_up_the_night_for_ever(
    store: NightStore, clock: ManualClock
) -> None:
    """A fault of ours, not of the disk: waiting would not mend it."""
    backlog = Backlog(store, clock)
    take(open_live(store, backlog=backlog), chunks_of(0, 1))
    with pytest.raises(MonitorError, match="UNIQUE constraint failed"):
        backlog.write([], epoch=epoch(0))
