"""The monitor live: how soon an app hears of an epoch, and what it costs, for any number of people.

Real LSL outlets in one process, one `sleep-monitor live` in another, a Redis-compatible server, and
an app that listens, all on this machine and seen by nobody else.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from deploy.benchmark import tiled_excerpt
from models.contract import EPOCH_S
from monitor.errors import MonitorError
from monitor.night.events import EventType, session_id_of
from monitor.sinks.follower import Follower
from monitor.sinks.redis_server import RedisServer
from monitor.types import Track

CHANNELS = ("TP9", "AF7", "AF8", "TP10")
SFREQ_HZ = 256
PACKET = 12
"""Samples a headband sends at once: 12 of a Muse are 47 ms."""

SPREAD_S = EPOCH_S
"""The people put their headbands on over this time: their epochs end one after the other."""

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process and its children take just now. ``cpu_s`` counts from their start."""

    cpu_s: float
    rss_mb: float
    handles: int
    threads: int


@dataclass(frozen=True, slots=True)
class LiveBenchmark:
    """So many people monitored by one process for ``minutes``, everybody being there.

    - ``*_ms``: from an epoch's end by its own timestamps to the arrival of its live stage in
      another process. Up to 47 ms of it are the wait for the headband's packet to fill.
    - ``monitor_cpu`` and ``headbands_cpu``: seconds of CPU a second; two cores are 2.0.
    - ``epochs_missing`` never arrived; ``samples_lost`` on the 100 Hz grid, of the whole night.
    - Resources are None where the system does not tell (they are read from /proc).
    """

    sleepers: int
    minutes: float
    n_epochs: int
    epochs_missing: int
    samples_lost: int
    median_ms: float
    p99_ms: float
    max_ms: float
    monitor_cpu: float | None
    headbands_cpu: float | None
    rss_mb: float | None
    rss_per_sleeper_mb: float | None
    handles: int | None
    threads: int | None


@dataclass(frozen=True, slots=True)
class SoakBenchmark:
    """One person for long: does anything grow? ``by_minute`` has every minute's usage.

    ``first``: after the second minute, when everything has been used once.
    """

    minutes: float
    n_epochs: int
    epochs_missing: int
    samples_lost: int
    median_ms: float
    p99_ms: float
    max_ms: float
    first: Usage | None
    last: Usage | None
    by_minute: list[Usage]


@dataclass(frozen=True, slots=True)
class _Arrival:
    session: str
    epoch_index: int
    delay_s: float


@dataclass(frozen=True, slots=True)
class _Heard:
    """What the app got: live stages, the sessions that began, samples lost of those that ended."""

    stages: list[_Arrival]
    lost: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Run:
    heard: _Heard
    usages: list[Usage]
    wall_s: float
    headbands_cpu: float | None

    @property
    def missing(self) -> int:
        """Epochs that are not there although a later one of the session is."""
        indices: dict[str, set[int]] = {}
        for arrival in self.heard.stages:
            indices.setdefault(arrival.session, set()).add(arrival.epoch_index)
        return sum(max(each) - min(each) + 1 - len(each) for each in indices.values())

    @property
    def lost(self) -> int:
        return sum(self.heard.lost.values())

    def delay_ms(self, percentile: float) -> float:
        return float(
            np.percentile([1000.0 * each.delay_s for each in self.heard.stages], percentile)
        )


def benchmark_live(sleepers: int, minutes: float) -> LiveBenchmark:
    """Monitor ``sleepers`` people for ``minutes`` after the last of them is there."""
    run = _run(sleepers, minutes, lambda usage: None)
    first, last = (run.usages[0], run.usages[-1]) if run.usages else (None, None)
    cpu = (last.cpu_s - first.cpu_s) / run.wall_s if first and last else None
    return LiveBenchmark(
        sleepers=sleepers,
        minutes=minutes,
        n_epochs=len(run.heard.stages),
        epochs_missing=run.missing,
        samples_lost=run.lost,
        median_ms=run.delay_ms(50),
        p99_ms=run.delay_ms(99),
        max_ms=run.delay_ms(100),
        monitor_cpu=cpu,
        headbands_cpu=run.headbands_cpu,
        rss_mb=last.rss_mb if last else None,
        rss_per_sleeper_mb=last.rss_mb / sleepers if last else None,
        handles=last.handles if last else None,
        threads=last.threads if last else None,
    )


def benchmark_soak(minutes: float, tell: Callable[[Usage], None]) -> SoakBenchmark:
    """Monitor one person for ``minutes``; ``tell`` hears the usage of every minute."""
    run = _run(1, minutes, tell)
    return SoakBenchmark(
        minutes=minutes,
        n_epochs=len(run.heard.stages),
        epochs_missing=run.missing,
        samples_lost=run.lost,
        median_ms=run.delay_ms(50),
        p99_ms=run.delay_ms(99),
        max_ms=run.delay_ms(100),
        first=run.usages[min(2, len(run.usages) - 1)] if run.usages else None,
        last=run.usages[-1] if run.usages else None,
        by_minute=run.usages,
    )


def draw_soak(result: SoakBenchmark, path: Path) -> None:
    """Memory, handles and threads by the minute, as a picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    names = ("rss_mb", "handles", "threads")
    for axes, name in zip(figure.subplots(3, sharex=True), names, strict=True):
        axes.plot([getattr(usage, name) for usage in result.by_minute])
        axes.set_ylabel(name)
        axes.set_ylim(bottom=0)
    figure.axes[-1].set_xlabel("minute")
    figure.savefig(path)


def confined_lsl(folder: Path, session: str | None = None) -> dict[str, str]:
    """The environment in which LSL sees this machine alone, and of it only this ``session``."""
    config = folder / "lsl_api.cfg"
    config.write_text(
        "[ports]\nIPv6 = disable\nPortRange = 512\n"
        "[multicast]\nResolveScope = machine\n"
        "[log]\nlevel = -2\n"
        f"[lab]\nKnownPeers = {{127.0.0.1}}\nSessionID = {session or uuid.uuid4().hex}\n",
        encoding="ascii",
    )
    return {"LSLAPICFG": str(config)}


def usage(pid: int) -> Usage | None:
    """What ``pid`` and its children take; None where there is no /proc, or they are gone."""
    total = Usage(0.0, 0.0, 0, 0)
    try:
        for each in _family(pid):
            status = dict(
                line.split(":", 1)
                for line in Path(f"/proc/{each}/status").read_text(encoding="utf-8").splitlines()
            )
            # The name, in brackets, may hold anything: fields are counted from its end.
            stat = Path(f"/proc/{each}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            total = Usage(
                total.cpu_s + (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK"),
                total.rss_mb + int(status["VmRSS"].split()[0]) / 1024.0,
                total.handles + sum(1 for _ in Path(f"/proc/{each}/fd").iterdir()),
                total.threads + int(status["Threads"]),
            )
    except (OSError, KeyError):
        return None
    return total


def _family(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text(encoding="ascii").split():
            yield from _family(int(child))


def _run(sleepers: int, minutes: float, tell: Callable[[Usage], None]) -> _Run:
    with tempfile.TemporaryDirectory() as name, RedisServer(port=0) as server:
        folder = Path(name)
        environment = confined_lsl(folder)
        with (
            _child(_listen, server.url) as (listening, _),
            _child(_send, environment, sleepers) as (headbands, sender),
            _monitor(folder, sleepers, server.url, environment) as monitor,
        ):
            headbands.send("go")
            _wait_for_all(listening, monitor, sleepers)
            listening.send("measure")
            began_s, cpu_before = time.monotonic(), usage(sender.pid or 0)
            usages: list[Usage] = []
            ends_s = began_s + 60.0 * minutes
            while True:
                now = usage(monitor.pid)
                if now is not None:
                    usages.append(now)
                    tell(now)
                left_s = ends_s - time.monotonic()
                if left_s <= 0.0:
                    break
                _pause(monitor, min(60.0, left_s))
            wall_s, cpu_after = time.monotonic() - began_s, usage(sender.pid or 0)
            listening.send("measured")
            monitor.send_signal(signal.SIGTERM)
            try:
                monitor.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                raise MonitorError(
                    f"the monitor did not stop within {STOP_TIMEOUT_S:g} s: nothing measured"
                ) from None
            listening.send("stop")
            heard: _Heard = listening.recv()
    if not heard.stages:
        raise MonitorError(f"no epoch ended in {minutes:g} min: measure for longer")
    headbands_cpu = (
        (cpu_after.cpu_s - cpu_before.cpu_s) / wall_s if cpu_before and cpu_after else None
    )
    return _Run(heard, usages, wall_s, headbands_cpu)


@contextmanager
def _monitor(
    folder: Path, sleepers: int, url: str, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "monitor.cli", "live"]
    for number in range(sleepers):
        source = f"lsl:source_id={_source_id(number)},sleeper=sleeper{number}"
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
        said = lines[-1] if lines else "nothing"
        raise MonitorError(f"{exc} (the monitor's last words: {said})") from exc
    finally:
        process.kill()
        process.wait()


def _wait_for_all(listening: Connection, monitor: subprocess.Popen[bytes], sleepers: int) -> None:
    """Until every person's night has begun."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    began: set[str] = set()
    while len(began) < sleepers:
        if listening.poll(0.5):
            began.add(listening.recv())
        if time.monotonic() > deadline_s:
            raise MonitorError(
                f"only {len(began)} of {sleepers} nights began in {START_TIMEOUT_S:g} s"
            )
        _pause(monitor, 0.0)


def _pause(monitor: subprocess.Popen[bytes], duration_s: float) -> None:
    """Wait, unless the monitor ends before its time."""
    try:
        status = monitor.wait(duration_s) if duration_s else monitor.poll()
    except subprocess.TimeoutExpired:
        return
    if status is not None:
        raise MonitorError(f"the monitor ended with status {status}: nothing measured")


@contextmanager
def _child(
    run: Callable[..., None], *arguments: object
) -> Iterator[tuple[Connection, BaseProcess]]:
    """``run(pipe, *arguments)`` in another process, which has said that it is ready."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=run, args=(theirs, *arguments), daemon=True)
    process.start()
    theirs.close()  # so that its death is noticed
    try:
        ours.recv()
        yield ours, process
    except EOFError as exc:
        raise MonitorError(f"{run.__name__.strip('_')} died: nothing measured") from exc
    finally:
        process.kill()
        process.join()


def _source_id(number: int) -> str:
    return f"benchmark-{number}"


def _send(parent: Connection, environment: dict[str, str], sleepers: int) -> None:
    """Be ``sleepers`` headbands: real sleep EEG, in packets, on an absolute schedule."""
    os.environ.update(environment)  # before liblsl is loaded
    import pylsl

    outlets = [pylsl.StreamOutlet(_stream(pylsl, number)) for number in range(sleepers)]
    sleep = tiled_excerpt(0.25, SFREQ_HZ)
    # Each channel its own stretch of sleep, so that a derivation of two is no silence.
    data = np.stack([np.roll(sleep, 60 * SFREQ_HZ * n) for n in range(len(CHANNELS))], axis=1)
    data = np.ascontiguousarray(data, np.float32)  # (n_samples, n_channels)
    parent.send("ready")
    parent.recv()
    began_s = pylsl.local_clock()
    starts_s = began_s + SPREAD_S * np.arange(sleepers) / sleepers
    period_s = PACKET / SFREQ_HZ
    sent = np.zeros(sleepers, np.int64)  # packets, of each
    while True:
        due = np.floor((pylsl.local_clock() - starts_s) / period_s).astype(np.int64)
        for number in np.flatnonzero(sent < due):
            outlet = outlets[number]
            while sent[number] < due[number]:
                sent[number] += 1
                last_s = starts_s[number] + sent[number] * period_s
                at = int((sent[number] - 1) * PACKET) % (data.shape[0] - PACKET)
                outlet.push_chunk(data[at : at + PACKET], float(last_s))
        next_s = float(np.min(starts_s + (np.maximum(sent, 0) + 1) * period_s))
        time.sleep(max(0.0005, next_s - pylsl.local_clock()))


def _stream(pylsl: Any, number: int) -> Any:
    info = pylsl.StreamInfo(
        f"Headband {number}", "EEG", len(CHANNELS), SFREQ_HZ, "float32", _source_id(number)
    )
    channels = info.desc().append_child("channels")
    for name in CHANNELS:
        channel = channels.append_child("channel")
        channel.append_child_value("label", name)
        channel.append_child_value("unit", "microvolts")
    return info


def _listen(parent: Connection, url: str) -> None:
    """Be an app: say which nights begin, then how late each live stage is that is measured."""
    stop, measuring = threading.Event(), threading.Event()

    def obey() -> None:
        for event, word in ((measuring.set, "measure"), (measuring.clear, "measured")):
            assert parent.recv() == word
            event()
        parent.recv()
        stop.set()

    parent.send("ready")
    threading.Thread(target=obey, daemon=True).start()
    stages: list[_Arrival] = []
    lost: dict[str, int] = {}
    for event, _ in Follower(url, notice=lambda text: None, stop=stop):
        now_s, session = time.time(), session_id_of(event)
        if event.type == EventType.SESSION_STARTED:
            parent.send(session)
        elif event.type == EventType.SESSION_ENDED:
            lost[session] = event.data["samples"]["lost"]
        elif event.data.get("track") == Track.LIVE and measuring.is_set():
            delay_s = now_s - event.time.timestamp()
            stages.append(_Arrival(session, event.data["epoch_index"], delay_s))
    parent.send(_Heard(stages, lost))
