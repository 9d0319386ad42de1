from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.sinks.redis_server import RedisServer
from tests.sinks.conftest import server
from tests.web.peers import Page, served

__all__ = ["server"]


@pytest.fixture
def page(server: RedisServer, tmp_path: Path) -> Iterator[Page]:
    """The page on a free port of loopback, beside an event server without events."""
    with served(server.url, tmp_path) as page:
        yield page
