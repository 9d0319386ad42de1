"""The version of the monitor that is installed."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def monitor_version() -> str:
    """Return the installed version, as pyproject.toml gives it; "" if none is installed."""
    try:
        return version("sleep-monitor")
    except PackageNotFoundError:
        return ""
