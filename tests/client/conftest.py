from __future__ import annotations

from tests.sinks.conftest import server

__all__ = ["server"]
