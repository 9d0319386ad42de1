from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sinks.ways.broker import Broker, mosquitto


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A real broker. Without its program the test is skipped, with the command that installs it."""
    if mosquitto() is None:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto")
    with Broker(tmp_path) as broker:
        broker.start()
        yield broker
