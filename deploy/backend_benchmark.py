"""Measure the speed of each backend on this machine, next to the machine's best rates."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from deploy.backend_process import Figures
from deploy.ceilings import Ceilings
from monitor.errors import MonitorError
from monitor.programs import child_command
from monitor.staging.backend import checked_contract
from monitor.staging.excerpt import excerpt_epochs

ON_GPU = ("cuda", "tensorrt", "eager-cuda")

# As in the monitor: see `monitor.cli`.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


@dataclass(frozen=True, slots=True)
class BackendBenchmark:
    """A backend's ``figures``; if it could not be measured, the reason in ``unavailable``.

    - ``times_floor``: duration of one sleeper's epoch, divided by the floor: the time that its
      operations need at the machine's best rate of matrix products. This rate is that of one
      thread; if the backend kept more than one core busy, of all threads; on a GPU, of its fastest
      dtype.
    - ``gflops``, ``batch_times_floor``: the rate of operations, and duration over floor, for each
      batch size.
    """

    backend: str
    unavailable: str | None
    figures: Figures | None = None
    times_floor: float | None = None
    gflops: tuple[float, ...] = ()
    batch_times_floor: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class BackendsBenchmark:
    """Every backend on one machine, the plain network last.

    ``load`` is the machine's load average before the measurement; None on Windows.
    """

    machine: str
    load: float | None
    model: str
    ceilings: Ceilings
    backends: list[BackendBenchmark]


def benchmark_backends(
    backends: Sequence[str],
    weights: Path,
    exported: Path,
    batches: Sequence[int],
    report: Callable[[str], None],
    seconds: float = 2.0,
) -> BackendsBenchmark:
    """Measure each of ``backends`` and the plain network, each in a process of its own.

    Parameters
    ----------
    backends : any of `monitor.staging.chain.BACKENDS`.
    weights, exported : as for `monitor.staging.chain.open_backend`.
    batches : numbers of epochs to stage at a time.
    report : called with a line of text before each measurement.
    seconds : duration of each measurement.

    Raises
    ------
    InputError
        The weights cannot be used.
    MonitorError
        The machine's ceilings could not be measured.
    """
    contract = checked_contract(weights)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    report("measuring the machine's ceilings")
    result = _run("deploy.ceilings", [str(weights), str(seconds)], {"OMP_NUM_THREADS": None})
    if isinstance(result, str):
        raise MonitorError(f"the machine's ceilings could not be measured: {result}")
    ceilings = TypeAdapter(Ceilings).validate_python(result)
    report("conditioning the excerpt")
    epochs_uv, scored = excerpt_epochs(contract.gain)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        night = Path(folder) / "night.npz"
        np.savez(night, epochs_uv=epochs_uv, scored=scored)
        for name in [*backends, "eager", *(["eager-cuda"] if ceilings.gpu else [])]:
            report(f"measuring {name}")
            request = {
                "name": name,
                "weights": str(weights),
                "exported": str(exported),
                "night": str(night),
                "batches": list(batches),
                "seconds": seconds,
                "began_s": time.monotonic(),  # All processes of the machine share this clock.
            }
            result = _run("deploy.backend_process", [json.dumps(request)], _ONE_THREAD)
            results.append(_judge(name, result, ceilings))
    model = contract.full_name
    return BackendsBenchmark(_machine(), load, model, ceilings, results)


def _run(
    module: str, arguments: list[str], environment: Mapping[str, str | None]
) -> dict[str, Any] | str:
    """Run ``module`` in ``environment``, where None removes a variable.

    Returns the JSON object that it prints in its last line; if it fails, the reason in words.
    """
    variables = {k: v for k, v in {**os.environ, **environment}.items() if v is not None}
    command = child_command(module, *arguments)
    run = subprocess.run(command, env=variables, capture_output=True, text=True)
    if run.returncode:
        errors = run.stderr.strip().splitlines() or [f"ended with status {run.returncode}"]
        return errors[-1]
    result: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return result


def _judge(name: str, result: dict[str, Any] | str, ceilings: Ceilings) -> BackendBenchmark:
    if isinstance(result, str):
        return BackendBenchmark(name, f"failed while it was measured: {result}")
    if "unavailable" in result:
        return BackendBenchmark(name, result["unavailable"])
    figures = TypeAdapter(Figures).validate_python(result["figures"])
    work = ceilings.work
    operations = work.encode + (work.plain_stage if name.startswith("eager") else work.stage)

    def times_floor(epochs_per_s: float, cores: float) -> float:
        if name in ON_GPU:
            assert ceilings.gpu is not None
            best = ceilings.gpu
        else:
            best = ceilings.one_thread if cores < 1.1 else ceilings.all_threads
        return 1e9 * max(best.matmul_gflops.values()) / (operations * epochs_per_s)

    return BackendBenchmark(
        name,
        None,
        figures,
        times_floor(1e3 / figures.epoch.median_ms, figures.cores),
        tuple(1e-9 * operations * each.epochs_per_s for each in figures.throughput),
        tuple(times_floor(each.epochs_per_s, each.cores) for each in figures.throughput),
    )


def _machine() -> str:
    processor = platform.processor() or platform.machine()
    # On Linux, platform.processor() is empty or only the architecture; psutil has no name either.
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    return f"{processor}, {os.cpu_count()} cores, Python {platform.python_version()}"
