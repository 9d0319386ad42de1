"""How fast each backend stages on this machine, beside what the machine can do at best."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
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
from deploy.parity import excerpt_epochs
from monitor.errors import MonitorError
from monitor.staging.backend import checked_contract

ON_GPU = ("cuda", "tensorrt", "eager-cuda")
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


@dataclass(frozen=True, slots=True)
class BackendBenchmark:
    """``figures``, or why there are none in ``unavailable``.

    ``times_floor``: how many times as long as the arithmetic alone an epoch of one sleeper takes;
    ``gflops`` and ``batch_times_floor`` the arithmetic's rate and the same for each batch. The
    arithmetic alone runs at the best rate measured for matrix products: of one thread or, where
    the backend kept more than one busy, of all; on a GPU, of its best dtype.
    """

    backend: str
    unavailable: str | None
    figures: Figures | None = None
    times_floor: float | None = None
    gflops: tuple[float, ...] = ()
    batch_times_floor: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class BackendsBenchmark:
    """Every backend on one machine, the plain eager network last. ``load``: the machine's load
    average before anything was measured, None on Windows."""

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
    tell: Callable[[str], None],
    seconds: float = 2.0,
) -> BackendsBenchmark:
    """Measure each of ``backends`` and the plain eager network, in a process of its own each.

    Parameters
    ----------
    backends : any of `monitor.staging.chain.BACKENDS`.
    weights, exported : as the backends' constructors take them.
    batches : how many epochs to stage at a time.
    tell : told what is being measured.
    seconds : how long each figure is measured.

    Raises
    ------
    InputError
        The weights cannot be used.
    MonitorError
        The machine's ceilings could not be measured.
    """
    contract = checked_contract(weights)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    tell("measuring the machine's ceilings")
    answer = _run("deploy.ceilings", [str(weights), str(seconds)], {"OMP_NUM_THREADS": None})
    if isinstance(answer, str):
        raise MonitorError(f"the machine's ceilings could not be measured: {answer}")
    ceilings = TypeAdapter(Ceilings).validate_python(answer)
    tell("conditioning the excerpt")
    epochs_uv, scored = excerpt_epochs(contract.gain)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        night = Path(folder) / "night.npz"
        np.savez(night, epochs_uv=epochs_uv, scored=scored)
        for name in [*backends, "eager", *(["eager-cuda"] if ceilings.gpu else [])]:
            tell(f"measuring {name}")
            request = {
                "name": name,
                "weights": str(weights),
                "exported": str(exported),
                "night": str(night),
                "batches": list(batches),
                "seconds": seconds,
                "began_s": time.monotonic(),  # one clock for all processes of the machine
            }
            answer = _run("deploy.backend_process", [json.dumps(request)], _ONE_THREAD)
            results.append(_judge(name, answer, ceilings))
    model = contract.full_name
    return BackendsBenchmark(_machine(), load, model, ceilings, results)


def _run(
    module: str, arguments: list[str], environment: Mapping[str, str | None]
) -> dict[str, Any] | str:
    """What ``module`` prints as JSON in its last line, or in words why it failed."""
    settings = {k: v for k, v in {**os.environ, **environment}.items() if v is not None}
    command = [sys.executable, "-m", module, *arguments]
    run = subprocess.run(command, env=settings, capture_output=True, text=True)
    if run.returncode:
        said = run.stderr.strip().splitlines() or [f"ended with status {run.returncode}"]
        return said[-1]
    answer: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return answer


def _judge(name: str, answer: dict[str, Any] | str, ceilings: Ceilings) -> BackendBenchmark:
    if isinstance(answer, str):
        return BackendBenchmark(name, f"failed while it was measured: {answer}")
    if "unavailable" in answer:
        return BackendBenchmark(name, answer["unavailable"])
    figures = TypeAdapter(Figures).validate_python(answer["figures"])
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
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    return f"{processor}, {os.cpu_count()} cores, Python {platform.python_version()}"
