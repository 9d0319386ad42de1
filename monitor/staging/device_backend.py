"""The backend for a network on one of PyTorch's devices, in the shapes that suit a GPU.

A GPU computes an epoch faster than Python can launch the dozens of small kernels one by one. A CUDA
graph launches them all at once, but its shapes and its memory are fixed. So

- batches are padded to powers of two, and
- contexts are padded in front to their full length with unscored epochs.

Neither changes a result: windows of a batch do not affect one another, no epoch attends to an
unscored one, and positions are distances. On a CPU the same code runs without graphs, so the tests
cover it on any machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from models.contract import EPOCH_SAMPLES, ModelContract
from monitor.staging.backend import n_open
from monitor.staging.network_parts import NetworkParts, TensorFunction
from monitor.types import F32, Bool

LARGEST_BATCH = 64
"""Epochs, or windows of context, in a batch. More are cut into pieces, because every batch size
that is used keeps memory of its own."""

_WARM_UPS = 3
"""Runs before a graph is captured, in which libraries choose kernels: PyTorch's advice."""

_Inputs = Sequence[tuple[tuple[int, ...], torch.dtype]]
"""Shape, without the batch, and dtype of each argument of a function."""


class DeviceBackend:
    """A `Backend` that runs `NetworkParts`. Threads that call it at the same time take turns."""

    trouble = ""

    def __init__(self, name: str, runs_on: str, parts: NetworkParts) -> None:
        """Stage one epoch, so that the first epoch of the night does not wait for the set-up.

        ``name`` and ``runs_on`` are those of `Backend`.
        """
        self.name, self.runs_on = name, runs_on
        self._contract = parts.contract
        length, e = parts.contract.context_epochs, parts.contract.embedding_dim
        self._encoder = _Batches(
            lambda epochs_uv: parts.embed(*parts.measure(epochs_uv)),
            parts.device,
            [((EPOCH_SAMPLES,), torch.float32)],
        )
        self._stager = _Batches(
            parts.stage, parts.device, [((length, e), torch.float32), ((length,), torch.bool)]
        )
        embeddings = self.encode(np.zeros((1, EPOCH_SAMPLES), np.float32))
        self.stage(embeddings[np.newaxis], np.ones((1, 1), bool))

    @property
    def contract(self) -> ModelContract:
        return self._contract

    def encode(self, epochs_uv: F32) -> F32:
        (embeddings,) = self._encoder.run(epochs_uv)
        return embeddings

    def stage(self, embeddings: F32, scored: Bool) -> tuple[F32, F32]:
        live, revised = self._stager.run(embeddings, scored)
        return live, revised[:, -n_open(self._contract, scored.shape[1]) :]


class _Batches:
    """Runs a function of tensors on batches of any length; above `LARGEST_BATCH`, in pieces.

    Each batch size is set up when it is first needed.
    """

    def __init__(self, function: TensorFunction, device: torch.device, inputs: _Inputs) -> None:
        self._make = partial(_Batch, function, device, inputs)
        self._sizes: dict[int, _Batch] = {}
        self._lock = Lock()

    def run(self, *arrays: np.ndarray) -> tuple[F32, ...]:
        n = len(arrays[0])
        pieces = []
        # A batch size has one set of buffers, so only one thread may use it at a time.
        with self._lock, torch.inference_mode():
            for start in range(0, max(n, 1), LARGEST_BATCH):
                piece = [each[start : start + LARGEST_BATCH] for each in arrays]
                size = padded(len(piece[0]))
                if size not in self._sizes:
                    self._sizes[size] = self._make(size)
                pieces.append(self._sizes[size].run(piece))
        return tuple(map(np.concatenate, zip(*pieces, strict=True)))


def padded(n: int) -> int:
    """Return the power of two that a batch of ``n`` is padded to."""
    return 1 << (n - 1).bit_length()


class _Batch:
    """A batch size: the buffers of its inputs and outputs and, on a GPU, the captured graph."""

    def __init__(
        self, function: TensorFunction, device: torch.device, inputs: _Inputs, size: int
    ) -> None:
        self._device = device
        self._host_inputs = [self._host((size, *shape), dtype) for shape, dtype in inputs]
        self._inputs = [each.to(device) for each in self._host_inputs]
        self._replay: Callable[[], tuple[Tensor, ...]] = partial(function, *self._inputs)
        if device.type == "cuda":
            self._replay = _captured(self._replay)
        self._host_outputs = [self._host(tuple(o.shape), o.dtype) for o in self._replay()]

    def run(self, arrays: Sequence[np.ndarray]) -> tuple[F32, ...]:
        for host, on_device, array in zip(self._host_inputs, self._inputs, arrays, strict=True):
            fill(host.numpy(), array)
            on_device.copy_(host, non_blocking=True)
        for host, output in zip(self._host_outputs, self._replay(), strict=True):
            host.copy_(output, non_blocking=True)
        # The copies above are only queued: the outputs are valid after this wait.
        if self._device.type == "cuda":
            torch.cuda.current_stream().synchronize()
        return tuple(host.numpy()[: len(arrays[0])].copy() for host in self._host_outputs)

    def _host(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        # Copies between the GPU and pinned memory do not wait for one another.
        return torch.zeros(shape, dtype=dtype, pin_memory=self._device.type == "cuda")


def fill(buffer: np.ndarray, array: np.ndarray) -> None:
    """Copy ``array`` to the end of the first rows of ``buffer``, with zeros in front of it.

    Zeros are unscored epochs. The rows below keep what they held: their results are not used.
    """
    rows = buffer[: len(array)]
    in_front = rows.shape[1] - array.shape[1]
    rows[:, :in_front] = 0
    rows[:, in_front:] = array


def _captured(function: Callable[[], tuple[Tensor, ...]]) -> Callable[[], tuple[Tensor, ...]]:
    """Capture ``function`` as a CUDA graph. Its tensors must stay at their addresses.

    Each call of the result overwrites the tensors that the call before returned.
    """
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            function()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # thread_local: other threads may use the GPU during the capture.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        outputs = function()

    def replay() -> tuple[Tensor, ...]:
        graph.replay()
        return outputs

    return replay
