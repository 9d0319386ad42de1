"""Apps that follow a server, in a thread: with `follow`, or with `afollow` in an event loop."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing
from typing import Any

from monitor.client import Back, Gone, StagedEpoch, afollow, follow
from monitor.closing import Closing
from tests.sinks.waiting import until


class App(Closing):
    """An app that notes what it gets from ``url``. ``close`` ends it.

    ``kind``: "sync" or "async". ``options`` are those of `follow`.
    """

    def __init__(self, kind: str, url: str, **options: Any) -> None:
        self.epochs: list[StagedEpoch] = []
        self.changes: list[Gone | Back] = []
        self.error: BaseException | None = None
        self._options = {"status": self.changes.append, **options}
        self._url = url
        self._stop = threading.Event()
        run = self._run if kind == "sync" else self._run_loop
        self._thread = threading.Thread(target=run)
        self._thread.start()

    @property
    def indices(self) -> list[int]:
        """The indices of its epochs, in order."""
        return [epoch.epoch_index for epoch in self.epochs]

    def wait(self, n: int) -> None:
        """Wait until it has ``n`` epochs."""
        until(lambda: len(self.epochs) >= n or self.error is not None, f"{n} epochs")

    def wait_for_changes(self, n: int) -> None:
        """Wait until it knows ``n`` changes of the monitor's presence."""
        until(lambda: len(self.changes) >= n or self.error is not None, f"{n} changes")

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            for epoch in follow(self._url, stop=self._stop, **self._options):
                self.epochs.append(epoch)
        except Exception as exc:
            self.error = exc

    def _run_loop(self) -> None:
        asyncio.run(self._until_stopped())

    async def _until_stopped(self) -> None:
        task = asyncio.create_task(self._collect())
        while not self._stop.is_set() and not task.done():
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _collect(self) -> None:
        try:
            async with aclosing(afollow(self._url, **self._options)) as epochs:
                async for epoch in epochs:
                    self.epochs.append(epoch)
        except Exception as exc:
            self.error = exc
