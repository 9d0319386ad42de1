"""Measure the monitor on this machine: a whole night at once, and an epoch's delay to an app."""

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
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from models.contract import EPOCH_S
from monitor.clock import SystemClock
from monitor.composition import load_backend
from monitor.config import ReplayOptions, read_settings
from monitor.errors import MonitorError
from monitor.night.store import NightStore
from monitor.programs import child_command
from monitor.recorded_night import Replay
from monitor.sinks.follower import Follower
from monitor.sinks.publisher import Publisher
from monitor.sinks.redis_server import RedisServer
from monitor.sources.demo_recording import demo_recording
from monitor.sources.derivation import choose_derivation
from monitor.sources.edf import EdfRecording
from monitor.staging.chain import AUTO
from monitor.types import F32, Track

SUBSCRIBER_TIMEOUT_S = 10.0
"""Maximum wait for the last event after the last epoch."""

# A process inherits the peak memory of the process that forked it. This small program starts the
# monitor, so that the peak is the monitor's own.
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

    - ``staging_*``: the network's time for an epoch; of epochs staged together, an equal share.
    - ``epoch_ms``: the process's whole time, start and summary included, divided by the epochs.
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
    """Delay from an epoch's last sample to the arrival of its live stage in another process.

    - ``recorded``: from the sample's time on the replay's schedule. It includes the wait until the
      replay hands the sample over.
    - ``handed_over``: from the moment when the replay hands the sample over to the monitor.
    """

    speed: float
    n_epochs: int
    recorded_median_ms: float
    recorded_p99_ms: float
    handed_over_median_ms: float
    handed_over_p99_ms: float


def benchmark_night(hours: float, sfreq_hz: int, backend: str = AUTO) -> NightBenchmark:
    """Replay the excerpt, repeated to ``hours`` and resampled to ``sfreq_hz``, at maximum speed.

    The time includes the start of Python, reading, staging, storing, publishing to the embedded
    server, and the summary. Raises `MonitorError` if the replay fails.
    """
    options = ReplayOptions(demo_recording(), backend=backend, exported=read_settings().exported)
    backend = load_backend(options).name  # The backend that "auto" selects.
    with tempfile.TemporaryDirectory() as folder:
        recording, store = Path(folder) / "night.edf", Path(folder) / "night.sqlite"
        _write_night(recording, hours, sfreq_hz)
        command = child_command("monitor.cli", "replay", str(recording))
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
    """Replay the excerpt at ``speed`` and time each epoch's stage until a subscriber receives it.

    Raises `MonitorError` if a stage does not arrive.
    """
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as folder, RedisServer(port=0) as server:
        run = Replay.prepare(
            ReplayOptions(demo_recording(), speed=speed, store=Path(folder) / "night.sqlite")
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
            began_s = clock.monotonic_s()  # The replay's schedule starts with its first chunk.
            for chunk in chunks:
                now_s = clock.monotonic_s()
                for prediction in pipeline.push(chunk):
                    if prediction.track is Track.LIVE:
                        handed_over[prediction.epoch_index] = now_s
                if len(handed_over) >= n_epochs:
                    break
            if not received.poll(SUBSCRIBER_TIMEOUT_S):
                raise MonitorError("some events did not reach the subscriber: nothing was measured")
            try:
                arrived: dict[int, float] = received.recv()
            except EOFError as exc:
                raise MonitorError("the subscriber died: nothing was measured") from exc
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
    """Return the excerpt's signal, (n_samples,), repeated to ``hours`` and resampled."""
    recording = EdfRecording.open(demo_recording())
    derivation = choose_derivation(recording.channels)
    pieces = [chunk.data_uv[0] for chunk in recording.chunks(derivation, chunk_s=60.0)]
    excerpt = np.concatenate(pieces)
    # Whole seconds, because an EDF data record holds one.
    at = np.arange(round(hours * 3600) * sfreq_hz) * (derivation.sfreq_hz / sfreq_hz)
    tiled: F32 = np.interp(at, np.arange(excerpt.size), excerpt, period=excerpt.size).astype(
        np.float32
    )
    return tiled


@contextmanager
def _subscriber(url: str, n_epochs: int) -> Iterator[Connection]:
    """Start another process that sends the arrival times of ``n_epochs`` live stages."""
    context = multiprocessing.get_context("spawn")
    here, child = context.Pipe()
    process = context.Process(target=_subscribe, args=(url, n_epochs, child), daemon=True)
    process.start()
    # With the child's end open here too, `recv` would wait for ever if the child died.
    child.close()
    try:
        here.recv()  # The child is listening.
        yield here
    finally:
        process.join(timeout=5.0)
        process.kill()


def _subscribe(url: str, n_epochs: int, parent: Connection) -> None:
    arrived: dict[int, float] = {}
    parent.send("listening")
    for event, _ in Follower(url, notice=lambda text: None):
        if event.data.get("track") == Track.LIVE:
            # All processes of the machine share this clock.
            arrived[event.data["epoch_index"]] = time.monotonic()
        if len(arrived) == n_epochs:
            break
    parent.send(arrived)
