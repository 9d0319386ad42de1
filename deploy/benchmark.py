"""How fast the monitor is on this machine: a whole night at once, and one epoch's way to an app."""

from __future__ import annotations

import multiprocessing
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from models.contract import EPOCH_S
from monitor.clock import SystemClock
from monitor.composition import load_backend
from monitor.config import ReplayOptions, read_settings
from monitor.errors import MonitorError
from monitor.night.store import NightStore
from monitor.replay import Replay
from monitor.sinks.follower import Follower
from monitor.sinks.publisher import Publisher
from monitor.sinks.redis_server import RedisServer
from monitor.sources.derivation import choose_derivation
from monitor.sources.edf import EdfRecording
from monitor.staging.chain import AUTO
from monitor.types import F32, Track

SUBSCRIBER_TIMEOUT_S = 10.0

# A process starts with the peak memory of the one it was forked from: so a small one in between.
_LAUNCHER = """
import resource, subprocess, sys, time
began_s = time.monotonic()
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(time.monotonic() - began_s, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""


@dataclass(frozen=True, slots=True)
class NightBenchmark:
    """A whole night through `sleep-monitor replay --speed max`, in a process of its own.

    ``staging_*`` is the network's time an epoch (of epochs staged together, their share),
    ``epoch_ms`` all that the process does, start and summary included, divided by the epochs.
    """

    hours: float
    sfreq_hz: int
    backend: str
    n_epochs: int
    wall_s: float
    peak_memory_mb: float
    staging_median_ms: float
    staging_p99_ms: float
    epoch_ms: float


@dataclass(frozen=True, slots=True)
class LatencyBenchmark:
    """From an epoch's last sample to the arrival of its live stage in another process.

    ``recorded``: from the sample's own time on the schedule, waiting for its hand-over included;
    ``handed_over``: from the moment the monitor got it.
    """

    speed: float
    n_epochs: int
    recorded_median_ms: float
    recorded_p99_ms: float
    handed_over_median_ms: float
    handed_over_p99_ms: float


def excerpt_path() -> Path:
    """The real sleep EEG that ships with the monitor: 84 min at 100 Hz."""
    return Path(str(files("monitor") / "demo" / "excerpt.edf"))


def benchmark_night(hours: float, sfreq_hz: int, backend: str = AUTO) -> NightBenchmark:
    """Replay the excerpt, repeated to ``hours`` and resampled to ``sfreq_hz``, as fast as it goes.

    Start of Python, reading, staging, storing, publishing to the embedded server and the summary
    are all in the time.
    """
    options = ReplayOptions(excerpt_path(), backend=backend, exported=read_settings().exported)
    backend = load_backend(options).name  # which of them it is
    with tempfile.TemporaryDirectory() as folder:
        recording, store = Path(folder) / "night.edf", Path(folder) / "night.sqlite"
        _write_night(recording, hours, sfreq_hz)
        command = [sys.executable, "-m", "monitor.cli", "replay", str(recording)]
        launch = [sys.executable, "-I", "-S", "-c", _LAUNCHER, *command]
        run = subprocess.run(
            [*launch, "--speed", "max", "--store", str(store), "--backend", backend],
            capture_output=True,
            text=True,
        )
        if run.returncode:
            raise MonitorError(f"the replay failed: {run.stderr.strip()}")
        wall_s, peak_kb = map(float, run.stdout.split()[-2:])
        with closing(sqlite3.connect(store)) as night:
            rows = night.execute("SELECT latency_s FROM prediction WHERE track = 'live'").fetchall()
    staging_ms = 1000.0 * np.array([row[0] for row in rows])
    return NightBenchmark(
        hours=hours,
        sfreq_hz=sfreq_hz,
        backend=backend,
        n_epochs=staging_ms.size,
        wall_s=wall_s,
        peak_memory_mb=peak_kb / 1024.0,
        staging_median_ms=float(np.median(staging_ms)),
        staging_p99_ms=float(np.percentile(staging_ms, 99)),
        epoch_ms=1000.0 * wall_s / staging_ms.size,
    )


def benchmark_latency(speed: float, n_epochs: int) -> LatencyBenchmark:
    """Replay the excerpt at ``speed`` and time each epoch's way to a subscriber."""
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as folder, RedisServer(port=0) as server:
        run = Replay.prepare(
            ReplayOptions(excerpt_path(), speed=speed, store=Path(folder) / "night.sqlite")
        )
        n_epochs = min(n_epochs, run.n_epochs)
        with (
            _subscriber(server.url, n_epochs) as received,
            closing(NightStore.open(run.store_path)) as store,
            Publisher(store, run.session.id, server.url, clock) as publisher,
        ):
            pipeline = run.pipeline(store, clock, publisher.notify)
            handed_over: dict[int, float] = {}
            chunks = run.chunks(clock, from_s=0.0)
            began_s = clock.monotonic_s()  # the schedule counts from the first chunk asked for
            for chunk in chunks:
                now_s = clock.monotonic_s()
                for prediction in pipeline.push(chunk):
                    if prediction.track is Track.LIVE:
                        handed_over[prediction.epoch_index] = now_s
                if len(handed_over) >= n_epochs:
                    break
            if not received.poll(SUBSCRIBER_TIMEOUT_S):
                raise MonitorError("some events did not reach the subscriber: nothing measured")
            try:
                arrived: dict[int, float] = received.recv()
            except EOFError as exc:
                raise MonitorError("the subscriber died: nothing measured") from exc
        first_s = run.recording.first_sample_s
        recorded = {
            index: began_s + (run.session.start_s + EPOCH_S * (index + 1) - first_s) / speed
            for index in arrived
        }
    from_recorded_ms = 1000.0 * np.array([arrived[i] - recorded[i] for i in arrived])
    from_handed_over_ms = 1000.0 * np.array([arrived[i] - handed_over[i] for i in arrived])
    return LatencyBenchmark(
        speed=speed,
        n_epochs=len(arrived),
        recorded_median_ms=float(np.median(from_recorded_ms)),
        recorded_p99_ms=float(np.percentile(from_recorded_ms, 99)),
        handed_over_median_ms=float(np.median(from_handed_over_ms)),
        handed_over_p99_ms=float(np.percentile(from_handed_over_ms, 99)),
    )


def _write_night(path: Path, hours: float, sfreq_hz: int) -> None:
    import edfio

    data = tiled_excerpt(hours, sfreq_hz)
    signal = edfio.EdfSignal(
        data.astype(np.float64),
        sampling_frequency=sfreq_hz,
        label="EEG Fpz-Cz",
        physical_dimension="uV",
        physical_range=(-1000.0, 1000.0),
    )
    edfio.Edf([signal]).write(path)


def tiled_excerpt(hours: float, sfreq_hz: int) -> F32:
    """The excerpt's signal, (n_samples,), repeated to ``hours`` and resampled."""
    recording = EdfRecording.open(excerpt_path())
    derivation = choose_derivation(recording.channels)
    pieces = [chunk.data_uv[0] for chunk in recording.chunks(derivation, chunk_s=60.0)]
    excerpt = np.concatenate(pieces)
    # Whole seconds: an EDF data record holds one.
    at = np.arange(round(hours * 3600) * sfreq_hz) * (derivation.sfreq_hz / sfreq_hz)
    tiled: F32 = np.interp(at, np.arange(excerpt.size), excerpt, period=excerpt.size).astype(
        np.float32
    )
    return tiled


@contextmanager
def _subscriber(url: str, n_epochs: int) -> Iterator[Connection]:
    """Another process that notes when each live stage arrives; it sends the times when done."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_subscribe, args=(url, n_epochs, theirs), daemon=True)
    process.start()
    theirs.close()  # so that its death is noticed
    try:
        ours.recv()  # it is listening
        yield ours
    finally:
        process.join(timeout=5.0)
        process.kill()


def _subscribe(url: str, n_epochs: int, parent: Connection) -> None:
    arrived: dict[int, float] = {}
    parent.send("listening")
    for event, _ in Follower(url, notice=lambda text: None):
        if event.data.get("track") == Track.LIVE:
            # One clock for all processes of the machine.
            arrived[event.data["epoch_index"]] = time.monotonic()
        if len(arrived) == n_epochs:
            break
    parent.send(arrived)
