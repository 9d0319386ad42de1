"""Ends connections that wait for nothing: a browser that is gone, or a program that dawdles."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

IDLE_S = 15.0
"""A connection without a request in progress is closed after this time. Else a program could open
connections, send half a request on each, and keep everybody else out."""


class BoundedConnection(H11Protocol):
    """uvicorn's connection, which ends if no request is complete within `IDLE_S`."""

    _idle_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._idle_timer = self.loop.call_later(IDLE_S, self._end_if_idle, None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        super().connection_lost(exc)

    def _end_if_idle(self, seen: object) -> None:
        """Close the connection if no request is in progress, nor was one since the last call."""
        cycle: Any = self.cycle
        in_progress = cycle is not None and not cycle.response_complete
        if cycle is seen and not in_progress:
            self.transport.close()
            return
        self._idle_timer = self.loop.call_later(IDLE_S, self._end_if_idle, cycle)
