from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest

from monitor.errors import MonitorError
from monitor.sinks.redis_server import RedisServer
from tests.sinks.terminals import Terminal


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A real server on a free port. Without its binary the test is skipped, but on CI it fails."""
    yield from started_server()


def started_server() -> Iterator[RedisServer]:
    """Yield a server, see the fixture `server`, and stop it."""
    server = RedisServer(port=0)
    try:
        server.start()
    except MonitorError as exc:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(exc))
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def terminal_log() -> Iterator[Terminal]:
    """A root logger that writes to a terminal, as the command line sets it up."""
    terminal = Terminal()
    handler = logging.StreamHandler(terminal)
    root = logging.getLogger()
    root.addHandler(handler)
    yield terminal
    root.removeHandler(handler)
