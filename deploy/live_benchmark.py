"""Measure the monitor live, for any number of people: delay of a stage, CPU, memory.

Four processes run on this machine, invisible to other machines: LSL outlets (`live_headbands`),
`sleep-monitor live`, a Redis-compatible server, and an app that receives (`live_listener`).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from deploy.live_headbands import confined_lsl, send, source_id
from deploy.live_listener import MEASURE, MEASURED, STOP, Received, listen
from deploy.usage import Usage, usage
from monitor.errors import MonitorError
from monitor.programs import child_command
from monitor.sinks.redis_server import RedisServer

START_TIMEOUT_S = 120.0
"""Time limit for all nights to begin."""

STOP_TIMEOUT_S = 60.0
"""Time limit for the monitor to end its nights in order."""


@dataclass(frozen=True, slots=True)
class StageDelays:
    """Stages that an app received in ``minutes``, while all headbands were sending.

    - ``*_ms``: from an epoch's end by its own timestamps to the arrival of its live stage in
      another process. Up to 47 ms of it are the wait until the headband's packet is full.
    - ``epochs_missing``: epochs that did not arrive although a later one did.
    - ``samples_lost``: on the 100 Hz grid, over the whole night.
    """

    minutes: float
    n_epochs: int
    epochs_missing: int
    samples_lost: int
    median_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class LiveBenchmark(StageDelays):
    """Several people, ``sleepers`` in all, who are monitored by one process.

    - ``monitor_cpu``, ``headbands_cpu``: seconds of CPU a second; two busy cores are 2.0.
    - Other resources are those of the monitor at the end. None if they could not be measured.
    """

    sleepers: int
    monitor_cpu: float | None
    headbands_cpu: float | None
    rss_mb: float | None
    rss_per_sleeper_mb: float | None
    handles: int | None
    threads: int | None


@dataclass(frozen=True, slots=True)
class SoakBenchmark(StageDelays):
    """A person who is monitored for a long time, to see whether any resource grows.

    ``by_minute`` has the usage of every minute. ``first`` is that after the second minute, when
    every part of the monitor has run once. None if nothing could be measured.
    """

    first: Usage | None
    last: Usage | None
    by_minute: list[Usage]


@dataclass(frozen=True, slots=True)
class _Run:
    minutes: float
    received: Received
    usages: list[Usage]
    wall_s: float
    headbands_cpu: float | None

    def delays(self) -> StageDelays:
        return StageDelays(
            minutes=self.minutes,
            n_epochs=len(self.received.stages),
            epochs_missing=self.received.missing,
            samples_lost=self.received.lost,
            median_ms=self.received.delay_ms(50),
            p99_ms=self.received.delay_ms(99),
            max_ms=self.received.delay_ms(100),
        )


def benchmark_live(sleepers: int, minutes: float) -> LiveBenchmark:
    """Monitor ``sleepers`` people; measure for ``minutes`` after the last of them has started.

    Raises `MonitorError` if the monitor or another process fails.
    """
    run = _run(sleepers, minutes, lambda usage: None)
    first, last = (run.usages[0], run.usages[-1]) if run.usages else (None, None)
    return LiveBenchmark(
        **asdict(run.delays()),
        sleepers=sleepers,
        monitor_cpu=_cpu(first, last, run.wall_s),
        headbands_cpu=run.headbands_cpu,
        rss_mb=last.rss_mb if last else None,
        rss_per_sleeper_mb=last.rss_mb / sleepers if last else None,
        handles=last.handles if last else None,
        threads=last.threads if last else None,
    )


def benchmark_soak(minutes: float, report: Callable[[Usage], None]) -> SoakBenchmark:
    """Monitor one person for ``minutes``. ``report`` is called with every minute's usage.

    Raises `MonitorError` if the monitor or another process fails.
    """
    run = _run(1, minutes, report)
    return SoakBenchmark(
        **asdict(run.delays()),
        first=run.usages[min(2, len(run.usages) - 1)] if run.usages else None,
        last=run.usages[-1] if run.usages else None,
        by_minute=run.usages,
    )


def draw_soak(result: SoakBenchmark, path: Path) -> None:
    """Draw memory, handles and threads over the minutes to ``path``, a PNG file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    names = ("rss_mb", "handles", "threads")
    for axes, name in zip(figure.subplots(3, sharex=True), names, strict=True):
        axes.plot([getattr(usage, name) for usage in result.by_minute])
        axes.set_ylabel(name)
        axes.set_ylim(bottom=0)
    figure.axes[-1].set_xlabel("minute")
    figure.savefig(path)


def _run(sleepers: int, minutes: float, report: Callable[[Usage], None]) -> _Run:
    with tempfile.TemporaryDirectory() as name, RedisServer(port=0) as server:
        folder = Path(name)
        environment = confined_lsl(folder)
        with (
            _child(listen, server.url) as (app, _),
            _child(send, environment, sleepers) as (headbands, sender),
            _monitor(folder, sleepers, server.url, environment) as monitor,
        ):
            headbands.send("go")
            _wait_for_all(app, monitor, sleepers)
            app.send(MEASURE)
            began_s, sender_before = time.monotonic(), usage(sender.pid or 0)
            usages = _watch(monitor, minutes, report)
            wall_s, sender_after = time.monotonic() - began_s, usage(sender.pid or 0)
            app.send(MEASURED)
            # The app receives until the monitor has ended: the last events carry the lost samples.
            _stop(monitor)
            app.send(STOP)
            received: Received = app.recv()
    if not received.stages:
        raise MonitorError(f"no epoch ended in {minutes:g} min: measure for longer")
    return _Run(minutes, received, usages, wall_s, _cpu(sender_before, sender_after, wall_s))


def _cpu(before: Usage | None, after: Usage | None, wall_s: float) -> float | None:
    """Return seconds of CPU a second; None if the usage could not be measured."""
    return (after.cpu_s - before.cpu_s) / wall_s if before and after else None


def _watch(
    monitor: subprocess.Popen[bytes], minutes: float, report: Callable[[Usage], None]
) -> list[Usage]:
    """Wait for ``minutes``. Return the monitor's usage at the start, each minute and the end."""
    usages: list[Usage] = []
    ends_s = time.monotonic() + 60.0 * minutes
    while True:
        now = usage(monitor.pid)
        if now is not None:
            usages.append(now)
            report(now)
        left_s = ends_s - time.monotonic()
        if left_s <= 0.0:
            return usages
        _pause(monitor, min(60.0, left_s))


def _stop(monitor: subprocess.Popen[bytes]) -> None:
    """End the night in order. Raises `MonitorError` if that takes too long."""
    monitor.send_signal(signal.SIGTERM)
    try:
        monitor.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise MonitorError(
            f"the monitor did not stop within {STOP_TIMEOUT_S:g} s: nothing was measured"
        ) from None


@contextmanager
def _monitor(
    folder: Path, sleepers: int, url: str, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `sleep-monitor live` for the block. A `MonitorError` of the block gets its last line."""
    command = child_command("monitor.cli", "live")
    for number in range(sleepers):
        source = f"lsl:source_id={source_id(number)},sleeper=sleeper{number}"
        command += ["--source", f"{source},store={folder / f'{number}.sqlite'}"]
    log = folder / "monitor.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--no-dashboard", "--redis", url],
            env=os.environ | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    except MonitorError as exc:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = lines[-1] if lines else "nothing"
        raise MonitorError(f"{exc} (the monitor's last output: {last})") from exc
    finally:
        process.kill()
        process.wait()


def _wait_for_all(app: Connection, monitor: subprocess.Popen[bytes], sleepers: int) -> None:
    """Wait until the app has received the start of every person's night."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    began: set[str] = set()
    while len(began) < sleepers:
        if app.poll(0.5):
            began.add(app.recv())
        if time.monotonic() > deadline_s:
            raise MonitorError(
                f"only {len(began)} of {sleepers} nights began in {START_TIMEOUT_S:g} s"
            )
        _pause(monitor, 0.0)


def _pause(monitor: subprocess.Popen[bytes], duration_s: float) -> None:
    """Wait. Raises `MonitorError` at once if the monitor ends."""
    try:
        status = monitor.wait(duration_s) if duration_s else monitor.poll()
    except subprocess.TimeoutExpired:
        return
    if status is not None:
        raise MonitorError(f"the monitor ended with status {status}: nothing was measured")


@contextmanager
def _child(
    run: Callable[..., None], *arguments: object
) -> Iterator[tuple[Connection, BaseProcess]]:
    """Run ``run(connection, *arguments)`` in another process, and wait until it is ready.

    Yields this end of the connection, and the process.
    """
    context = multiprocessing.get_context("spawn")
    here, child = context.Pipe()
    process = context.Process(target=run, args=(child, *arguments), daemon=True)
    process.start()
    # With the child's end open here too, `recv` would wait for ever if the child died.
    child.close()
    try:
        here.recv()
        yield here, process
    except EOFError as exc:
        raise MonitorError(f"the process {run.__name__} died: nothing was measured") from exc
    finally:
        process.kill()
        process.join()
