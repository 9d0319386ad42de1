"""The end of a live night whose source hangs."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from monitor.cli import INTERRUPTED
from monitor.clock import SystemClock, Timeline
from monitor.config import BrainflowConfig, LiveOptions, LslConfig, SleeperOptions
from monitor.errors import MonitorError
from monitor.live import run, run_live
from monitor.night.store import NightStore
from monitor.sources.live import KnownDevice
from tests.live.hanging import HangingSource


def test_a_sleeper_that_hangs_is_named_and_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "END_S", 0.5)
    store, stop, sources = tmp_path / "n.sqlite", threading.Event(), list[HangingSource]()

    def open_source(
        config: LslConfig | BrainflowConfig,
        timeline: Timeline,
        clock_offset_s: float | None,
        known: KnownDevice | None,
    ) -> HangingSource:
        sources.append(HangingSource(config, timeline, clock_offset_s))
        threading.Thread(target=lambda: (sources[0].hangs.wait(), stop.set())).start()
        return sources[0]

    options = LiveOptions(
        (SleeperOptions(LslConfig(), "anna", store=store),), no_redis=True, dashboard=False
    )
    try:
        with pytest.raises(MonitorError) as caught:
            run_live(options, Console(file=io.StringIO()), SystemClock(), stop, open_source)
        assert str(caught.value) == (
            "anna did not end within 0.5 s (streaming) and was left; what is stored stays stored, "
            "and the same command continues the night"
        )
    finally:
        sources[0].let_go.set()
        for thread in threading.enumerate():
            if thread.name == "sleeper anna":
                thread.join()
    with closing(NightStore.open(store)) as night:
        assert night.n_epochs() == 2


def test_a_second_ctrl_c_ends_the_process_at_once_and_the_night_is_stored(tmp_path: Path) -> None:
    store = tmp_path / "n.sqlite"
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.live.hanging"),
            *("--no-redis", "--no-dashboard", "--store", str(store)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            lines = iter(process.stdout)
            next(line for line in lines if "after 2 epochs" in line)
            process.send_signal(signal.SIGINT)
            next(line for line in lines if "a second Ctrl-C ends at once" in line)
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == INTERRUPTED, rest
    assert rest.strip().endswith("sleep-monitor: ended at once; what is stored stays stored")
    with closing(NightStore.open(store)) as night:
        assert night.n_epochs() == 2
        assert not night.ended()
