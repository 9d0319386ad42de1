from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from monitor.errors import MonitorError
from monitor.sinks.redis_server import RedisServer


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A real server on a free port. Without the binary: skipped, but on CI that is a failure."""
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
