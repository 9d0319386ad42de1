"""Runs `sleep-monitor` in the process of a test."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from monitor import cli
from monitor.cli.stopping import STOP_SIGNALS


def run(*arguments: str | Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run ``sleep-monitor ARGUMENTS`` in this process; return its exit status.

    The command installs signal handlers, so the test's own are put back.
    """
    monkeypatch.setattr(sys, "argv", ["sleep-monitor", *map(str, arguments)])
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        with pytest.raises(SystemExit) as stop:
            cli.main()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return int(stop.value.code or 0)
