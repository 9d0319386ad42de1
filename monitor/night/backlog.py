"""Writes to the night store in order, and keeps in memory what the disk refuses."""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from functools import partial

from monitor.clock import Clock
from monitor.errors import MonitorError
from monitor.night.store import NightStore
from monitor.night.trouble import StoreError, Trouble
from monitor.types import Epoch, Event, Mark, StagePrediction

RETRY_S = 5.0
"""Interval between two attempts to write to a disk that failed."""

_log = logging.getLogger(__name__)


class Backlog:
    """Writes to the store of a live night, which a full or missing disk must not end.

    - Writes that fail wait in memory, in order. The backlog repeats them every `RETRY_S` seconds.
    - Nothing is published before it is stored: publishers read events from the store.
    """

    def __init__(self, store: NightStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: deque[tuple[Epoch | None, Callable[[], None]]] = deque()
        self._failed_s: float | None = None
        self.trouble: Trouble | None = None
        """The kind of the last failure; None while the disk accepts writes."""

    @property
    def unstored_epochs(self) -> int:
        """The number of epochs that wait for the disk."""
        return sum(epoch is not None for epoch, _ in self._waiting)

    def write(
        self,
        events: Sequence[Event],
        predictions: Sequence[StagePrediction] = (),
        epoch: Epoch | None = None,
        marks: Sequence[Mark] = (),
        ended_utc: datetime | None = None,
    ) -> None:
        """Store this after the writes that wait; see `NightWriter.write`.

        If the disk fails, this write waits too, and nothing is raised.
        """
        write = partial(self._store.write, events, predictions, epoch, marks, ended_utc)
        self._waiting.append((epoch, write))
        self.flush()

    def together(self) -> AbstractContextManager[None]:
        """Return a context that changes nothing: each write is a transaction of its own."""
        return nullcontext()

    def holds_event(self, event_id: str) -> bool:
        """Return False: a live night never receives its samples again, so no event repeats."""
        return False

    def flush(self) -> None:
        """Store the writes that wait, unless the disk failed less than `RETRY_S` ago."""
        now_s = self._clock.monotonic_s()
        if self._failed_s is not None and now_s - self._failed_s < RETRY_S:
            return
        try:
            self._store.keep()
            self.drain()
        except MonitorError as exc:
            if isinstance(exc.__cause__, sqlite3.IntegrityError):
                raise  # a bug, not the disk: this write and all after it would wait for ever
            if self._failed_s is None:
                _log.warning("%s. Meanwhile the night is kept in memory", exc)
            self._failed_s = now_s
            self.trouble = exc.trouble if isinstance(exc, StoreError) else Trouble.OTHER
        else:
            if self._failed_s is not None:
                _log.info(
                    "The disk accepts writes again; the night is complete in %s", self._store.path
                )
            self._failed_s = self.trouble = None

    def drain(self) -> None:
        """Store the writes that wait. Raises `MonitorError` if the disk refuses one."""
        while self._waiting:
            self._waiting[0][1]()
            self._waiting.popleft()
