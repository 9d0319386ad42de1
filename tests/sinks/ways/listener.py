"""A listener to OSC messages: python-osc's own server."""

from __future__ import annotations

import threading
import time
from typing import Any

from pythonosc.dispatcher import Dispatcher
from pythonosc.osc_server import BlockingOSCUDPServer

from monitor.closing import Closing


class Listener(Closing):
    """Records every message: its address and its values; and when it came, in Unix seconds."""

    def __init__(self, port: int = 0) -> None:
        self.messages: list[tuple[str, tuple[Any, ...]]] = []
        self.times_s: list[float] = []
        dispatcher = Dispatcher()
        dispatcher.set_default_handler(self._record)
        self._server = BlockingOSCUDPServer(("127.0.0.1", port), dispatcher)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def _record(self, address: str, *values: Any) -> None:
        self.times_s.append(time.time())
        self.messages.append((address, values))

    def on(self, address: str) -> list[tuple[Any, ...]]:
        return [values for found, values in self.messages if found == address]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
