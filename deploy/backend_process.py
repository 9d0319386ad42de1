"""Measure one backend in a process of its own, so that start-up, memory and imports are its alone.

This module imports only what the monitor itself imports: its imports count in the measurement.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np

from monitor.staging.backend import Backend, BackendUnavailableError
from monitor.staging.chain import open_backend
from monitor.types import F32, Bool

SLEEPERS = 16
"""Number of sleepers that are staged once by a thread each and once in one batch, to compare."""

MAX_REPEATS = 2000
"""Maximum number of repetitions of a measurement, however fast the machine is."""

_EAGER = {"eager": "cpu", "eager-cuda": "cuda"}


@dataclass(frozen=True, slots=True)
class Spread:
    """The spread of repeated times."""

    median_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Throughput:
    """The rate of encoding and staging ``batch`` epochs at a time, each with full context.

    ``cores`` is CPU time over wall time.
    """

    batch: int
    epochs_per_s: float
    cores: float


@dataclass(frozen=True, slots=True)
class Sharing:
    """Epochs a second for ``sleepers`` at once: by a thread for each sleeper, or in one batch."""

    sleepers: int
    threads_epochs_per_s: float
    batch_epochs_per_s: float


@dataclass(frozen=True, slots=True)
class Figures:
    """The time and memory that a backend needs.

    - ``startup_s``: from the start of the process, Python included, until the first epoch is
      staged. ``load_s``: the part for the backend's imports and loading. ``first_epoch_ms``: the
      part for that epoch, whose context is itself alone.
    - ``first_full_ms``: the first staging with full context.
    - ``memory_mb``, ``peak_mb``: resident memory after one sleeper's epochs, and its maximum until
      then. None outside Linux.
    - ``encode``, ``stage``, ``epoch`` (both): one epoch of one sleeper with full context.
      ``cores``: CPU time over wall time of these.
    """

    runs_on: str
    startup_s: float
    load_s: float
    torch_imported: bool
    memory_mb: float | None
    peak_mb: float | None
    first_epoch_ms: float
    first_full_ms: float
    encode: Spread
    stage: Spread
    epoch: Spread
    cores: float
    throughput: list[Throughput]
    sharing: Sharing


class _Contexts:
    """Full contexts of consecutive epochs; each starts one epoch later than the one before."""

    def __init__(self, backend: Backend, epochs_uv: F32, scored: Bool) -> None:
        self._epochs_uv, self._scored = epochs_uv, scored
        self._embeddings = np.zeros((scored.size, backend.contract.embedding_dim), np.float32)
        for at in np.flatnonzero(scored):  # One by one, as for one sleeper: memory is measured.
            self._embeddings[at] = backend.encode(epochs_uv[at : at + 1])[0]
        self._length = min(scored.size, backend.contract.context_epochs)

    def batch(self, n: int, first: int = 0) -> tuple[F32, F32, Bool]:
        """Return ``n`` contexts: newest epochs (n, 3000), embeddings (n, L, E), scored (n, L)."""
        n_contexts = self._scored.size - self._length + 1
        begins = np.arange(first, first + n) % n_contexts
        at = begins[:, np.newaxis] + np.arange(self._length)  # (n, L)
        return self._epochs_uv[at[:, -1]], self._embeddings[at], self._scored[at]


def measure(
    name: str,
    weights: Path,
    exported: Path,
    night: Path,
    batches: Sequence[int],
    seconds: float,
    began_s: float,
) -> Figures:
    """Measure the backend ``name``.

    Parameters
    ----------
    night : .npz file of ``epochs_uv`` and ``scored``, as `monitor.staging.excerpt` makes them.
    batches : numbers of epochs to stage at a time.
    seconds : duration of each measurement.
    began_s : `time.monotonic` at the start of the process.

    Raises
    ------
    BackendUnavailableError
        This machine cannot run the backend.
    """
    with np.load(night) as arrays:
        epochs_uv, scored = arrays["epochs_uv"], arrays["scored"]
    load_s = time.monotonic()
    backend = _open(name, weights, exported)
    loaded_s = time.monotonic()
    backend.stage(backend.encode(epochs_uv[:1])[:, np.newaxis], scored[:1, np.newaxis])
    staged_s = time.monotonic()

    contexts = _Contexts(backend, epochs_uv, scored)
    first_full_s = _step_s(backend, *contexts.batch(1))[1]
    steps, cores = _steps_s(backend, contexts, 1, seconds)
    memory_mb, peak_mb = _memory_mb("VmRSS"), _memory_mb("VmHWM")
    encode, stage, epoch = (_spread(each) for each in (*steps.T, steps.sum(axis=1)))
    return Figures(
        runs_on=backend.runs_on,
        startup_s=staged_s - began_s,
        load_s=loaded_s - load_s,
        torch_imported="torch" in sys.modules,
        memory_mb=memory_mb,
        peak_mb=peak_mb,
        first_epoch_ms=1e3 * (staged_s - loaded_s),
        first_full_ms=1e3 * first_full_s,
        encode=encode,
        stage=stage,
        epoch=epoch,
        cores=cores,
        throughput=[_throughput(backend, contexts, batch, seconds) for batch in batches],
        sharing=_sharing(backend, contexts, seconds),
    )


def _open(name: str, weights: Path, exported: Path) -> Backend:
    if name in _EAGER:
        from deploy.eager import EagerBackend

        return EagerBackend(weights, _EAGER[name])
    return open_backend(name, weights, exported)


def _step_s(backend: Backend, epochs_uv: F32, embeddings: F32, scored: Bool) -> tuple[float, float]:
    """Return the seconds that encoding and staging took."""
    began_s = time.perf_counter()
    backend.encode(epochs_uv)
    encoded_s = time.perf_counter()
    backend.stage(embeddings, scored)
    return encoded_s - began_s, time.perf_counter() - encoded_s


def _steps_s(
    backend: Backend, contexts: _Contexts, batch: int, seconds: float
) -> tuple[np.ndarray, float]:
    """Return the seconds of each encoding and staging, (n, 2), and the number of busy cores."""
    _step_s(backend, *contexts.batch(batch))  # The first step of a batch size includes set-up.
    steps: list[tuple[float, float]] = []
    cpu_s, began_s = time.process_time(), time.perf_counter()
    while not steps or (time.perf_counter() - began_s < seconds and len(steps) < MAX_REPEATS):
        steps.append(_step_s(backend, *contexts.batch(batch, first=len(steps))))
    cores = (time.process_time() - cpu_s) / (time.perf_counter() - began_s)
    return np.array(steps), cores


def _spread(times_s: np.ndarray) -> Spread:
    return Spread(1e3 * float(np.median(times_s)), 1e3 * float(np.percentile(times_s, 99)))


def _throughput(backend: Backend, contexts: _Contexts, batch: int, seconds: float) -> Throughput:
    steps, cores = _steps_s(backend, contexts, batch, seconds)
    return Throughput(batch, batch / float(np.median(steps.sum(axis=1))), cores)


def _sharing(backend: Backend, contexts: _Contexts, seconds: float) -> Sharing:
    ready = Barrier(SLEEPERS + 1)

    def stage_one_sleeper(sleeper: int) -> int:
        inputs = contexts.batch(1, first=sleeper)
        _step_s(backend, *inputs)
        ready.wait()
        ends_s, n = time.perf_counter() + seconds, 0
        while n == 0 or time.perf_counter() < ends_s:
            _step_s(backend, *inputs)
            n += 1
        return n

    with ThreadPoolExecutor(SLEEPERS) as threads:
        staged = [threads.submit(stage_one_sleeper, sleeper) for sleeper in range(SLEEPERS)]
        ready.wait()
        began_s = time.perf_counter()
        n_epochs = sum(each.result() for each in staged)
        threads_epochs_per_s = n_epochs / (time.perf_counter() - began_s)
    together = _throughput(backend, contexts, SLEEPERS, seconds)
    return Sharing(SLEEPERS, threads_epochs_per_s, together.epochs_per_s)


def _memory_mb(field: str) -> float | None:
    """Read ``field`` of this process's status, in MiB; None where there is no /proc.

    psutil would do for VmRSS alone: it has no peak on Linux, and importing it would add 2 MB to the
    memory that is measured. The peak of getrusage may be that of the process before the exec.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    found = next((line for line in lines if line.startswith(field + ":")), None)
    return None if found is None else int(found.split()[1]) / 1024.0


def main(request: str) -> dict[str, Any]:
    """Run `measure`. ``request`` is a JSON object of its arguments, with paths as text."""
    arguments = json.loads(request)
    for path in ("weights", "exported", "night"):
        arguments[path] = Path(arguments[path])
    try:
        return {"figures": asdict(measure(**arguments))}
    except BackendUnavailableError as exc:
        return {"unavailable": str(exc)}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
