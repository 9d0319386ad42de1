"""The best rates of the machine, and the least work that an epoch needs.

`backend_benchmark` runs this module as a process of its own.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

_SIZES: tuple[int, ...] = (256, 512, 1024, 2048)
_GPU_SIZES = (2048, 4096, 8192)
_TRIAD_FLOATS = 2**25
"""Length of each of three arrays: 128 MiB, more than the caches of most processors."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The best rates that PyTorch reaches on a part of the machine.

    - ``on``: the part, such as "2 threads".
    - ``matmul_gflops``: rate of square matrix products of the best size, by dtype. A multiplication
      and an addition count as two operations.
    - ``memory_gb_s``: memory traffic of ``a = b + 3 c`` (STREAM's triad: two reads and a write) on
      arrays larger than the caches.
    """

    on: str
    matmul_gflops: dict[str, float]
    memory_gb_s: float


@dataclass(frozen=True, slots=True)
class Work:
    """The least work that staging one epoch with full context needs.

    - ``encode``, ``stage``: operations of the network's matrix products, convolutions and attention
      included, for the output that a `Backend` returns: the epochs that are not final.
    - ``plain_stage``: the same for the plain network, which revises all epochs of the context.
    - ``weight_bytes``: read once a batch. ``epoch_bytes``: read and written once an epoch.
    """

    encode: int
    stage: int
    plain_stage: int
    weight_bytes: int
    epoch_bytes: int


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The ceilings of all parts of the machine. ``gpu`` is None if PyTorch cannot use a GPU."""

    one_thread: Ceiling
    all_threads: Ceiling
    gpu: Ceiling | None
    work: Work


def measure_ceilings(weights: Path, seconds: float) -> Ceilings:
    """Measure each rate for ``seconds``.

    It sets the number of PyTorch's threads, so it needs a process of its own, in which
    OMP_NUM_THREADS is not set.
    """
    import torch

    n_threads = torch.get_num_threads()
    cpu = []
    for n in (1, n_threads):
        torch.set_num_threads(n)
        cpu.append(_ceiling(f"{n} thread{'s'[: n > 1]}", "cpu", seconds))
    gpu = None
    if torch.cuda.is_available():
        gpu = _ceiling(torch.cuda.get_device_name(), "cuda", seconds)
    return Ceilings(cpu[0], cpu[1], gpu, _work(weights))


def _ceiling(on: str, device: str, seconds: float) -> Ceiling:
    import torch

    def best_s(run: Callable[[], object]) -> float:
        times: list[float] = []
        ends_s = time.perf_counter() + seconds
        while len(times) < 2 or time.perf_counter() < ends_s:
            start_s = time.perf_counter()
            run()
            if device == "cuda":
                torch.cuda.synchronize()  # A launch returns before the GPU has finished.
            times.append(time.perf_counter() - start_s)
        return min(times)

    def matmul_gflops(size: int, dtype: torch.dtype) -> float:
        a, b, product = torch.randn(3, size, size, device=device).to(dtype)
        return 2e-9 * size**3 / best_s(lambda: torch.mm(a, b, out=product))

    sizes, dtypes = _SIZES, [torch.float32]
    if device == "cuda":
        sizes, dtypes = _GPU_SIZES, [torch.float32, torch.float16, torch.bfloat16]
    rates = {
        str(dtype).removeprefix("torch."): max(matmul_gflops(size, dtype) for size in sizes)
        for dtype in dtypes
    }
    a, b, c = torch.ones(3, _TRIAD_FLOATS, device=device)
    triad_s = best_s(lambda: torch.add(b, c, alpha=3.0, out=a))
    return Ceiling(on, rates, 3e-9 * a.nbytes / triad_s)


def _work(weights: Path) -> Work:
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    from models.contract import EPOCH_SAMPLES
    from models.weights import load
    from monitor.staging.backend import n_open

    network, contract = load(weights)
    epoch = torch.zeros(1, EPOCH_SAMPLES)
    length = contract.context_epochs
    embeddings = torch.zeros(1, length, contract.embedding_dim)
    scored = torch.ones(1, length, dtype=torch.bool)
    newest = n_open(contract, length)

    def count(run: Callable[[], object]) -> int:
        # MATH splits attention into matrix products: the counter does not see those of the fused
        # kernel on a CPU.
        with (
            torch.inference_mode(),
            sdpa_kernel(SDPBackend.MATH),
            FlopCounterMode(display=False) as counter,
        ):
            run()
        return int(counter.get_total_flops())

    result_bytes = sum(each.nbytes for each in network.stage(embeddings, scored, newest))
    embedding = embeddings[:, -1]
    return Work(
        encode=count(lambda: network.encode(epoch)),
        stage=count(lambda: network.stage(embeddings, scored, newest)),
        plain_stage=count(lambda: network.stage(embeddings, scored)),
        weight_bytes=sum(tensor.nbytes for tensor in network.state_dict().values()),
        epoch_bytes=sum(each.nbytes for each in (epoch, embedding, embeddings, scored))
        + result_bytes,
    )


if __name__ == "__main__":
    print(json.dumps(asdict(measure_ceilings(Path(sys.argv[1]), float(sys.argv[2])))))
