"""A proxy in front of a real server: adds TLS, or fails at a chosen moment."""

from __future__ import annotations

import asyncio
import ssl
import threading
from enum import Enum
from typing import Self

from monitor.closing import Closing


class ProxyFault(Enum):
    """The fault of the first transaction."""

    NONE = "none"
    REPLY_LOST = "the server runs it, then the connection breaks before the reply"
    LATE = "the connection breaks, and the server runs it after the client has sent it again"


class Proxy(Closing):
    """Listens on 127.0.0.1:``port`` and forwards to 127.0.0.1:``target``."""

    def __init__(
        self, target: int, *, tls: ssl.SSLContext | None = None, fault: ProxyFault = ProxyFault.NONE
    ) -> None:
        self.port = 0
        self.faults_done = 0
        self.late_runs = 0
        self._target = target
        self._tls = tls
        self._fault = fault
        self._transactions = 0
        self._late: list[tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # Let the transports close: that takes a few turns of the loop.
        await asyncio.sleep(0.02)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            down = asyncio.create_task(_pump(up_reader, writer))
            await self._pump_up(reader, up_reader, up_writer, down)
            down.cancel()
        finally:
            writer.close()
            if not any(up_writer is late for _, _, late in self._late):
                up_writer.close()
            self._tasks.discard(task)

    async def _pump_up(
        self,
        reader: asyncio.StreamReader,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
        down: asyncio.Task[None],
    ) -> None:
        while data := await reader.read(1 << 20):
            if b"XADD" in data:  # the script that adds events
                self._transactions += 1
                if self._transactions == 1 and self._fault is not ProxyFault.NONE:
                    down.cancel()
                    await asyncio.sleep(0)
                    self.faults_done += 1
                    if self._fault is ProxyFault.REPLY_LOST:
                        up_writer.write(data)
                        assert await up_reader.read(1 << 20)
                    else:
                        self._late.append((data, up_reader, up_writer))
                    return
            up_writer.write(data)
            if b"XADD" in data and self._late:
                # The client's second attempt is through. Now the first one arrives.
                await asyncio.sleep(0.05)
                late, late_reader, late_writer = self._late.pop()
                late_writer.write(late)
                assert await late_reader.read(1 << 20)
                late_writer.close()
                self.late_runs += 1


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 20):
        writer.write(data)
    writer.close()
