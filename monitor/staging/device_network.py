"""The network on one of PyTorch's devices, in the shapes and the precision that suit a GPU.

A GPU stages an epoch faster than Python can tell it to: dozens of small kernels, launched one by
one. A CUDA graph launches them all at once, but has fixed shapes and fixed memory. So batches are
padded to powers of two, and contexts in front to their full length with epochs that are not scored.
Both are exact: windows know nothing of one another, unscored epochs are never looked at, and
positions are distances. On a CPU the same is done without graphs, and tested there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from torch import Tensor, nn

from models.card import WeightsError
from models.contract import EPOCH_SAMPLES
from models.mc2sleepnet import EpochInputs, MC2SleepNet
from models.weights import load
from monitor.staging.backend import checked_contract, n_open, unusable
from monitor.types import F32, Bool

LARGEST_BATCH = 64
"""Epochs, or windows of context, at a time. More are cut: memory is set aside for each size."""

_WARM_UPS = 3
"""Runs before a graph is captured, in which libraries choose kernels: PyTorch's advice."""

Function = Callable[..., tuple[Tensor, ...]]


class Embed(nn.Module):
    """`MC2SleepNet.embed` of the inputs that the network has, one argument each. What goes in and
    comes out is float32, whatever the network's own precision."""

    def __init__(self, network: MC2SleepNet) -> None:
        super().__init__()
        config = network.config
        has = zip(EpochInputs._fields, (config.raw, config.frames, config.band_power), strict=True)
        self.inputs = [name for name, there in has if there]
        self.network = network

    def forward(self, *inputs: Tensor) -> tuple[Tensor]:
        rounded = (each.to(_dtype(self.network)) for each in inputs)
        named = EpochInputs(**dict(zip(self.inputs, rounded, strict=True)))
        return (self.network.embed(named).float(),)


class Stage(nn.Module):
    """`MC2SleepNet.stage` of the newest epochs. Float32 as `Embed`; the last steps too, so that
    probabilities sum to 1 to all their digits."""

    temperature: Tensor

    def __init__(self, network: MC2SleepNet, temperature: Tensor, newest: int) -> None:
        super().__init__()
        self.network, self.newest = network, newest
        self.register_buffer("temperature", temperature)

    def forward(self, embeddings: Tensor, scored: Tensor) -> tuple[Tensor, Tensor]:
        rounded = embeddings.to(_dtype(self.network))
        live = self.network.staging_view(rounded, scored, True, 1).prediction.float()
        revised = self.network.staging_view(rounded, scored, False, self.newest).prediction.float()
        return (
            (live[:, -1] / self.temperature[0]).softmax(dim=1),
            (revised / self.temperature[1]).softmax(dim=2),
        )


def _dtype(network: MC2SleepNet) -> torch.dtype:
    return next(network.parameters()).dtype


class DeviceNetwork:
    """Encodes and stages as a `Backend` does. Several threads may ask at a time; they take turns.

    Epochs are measured (spectrogram, band powers) in float32; what follows runs in ``dtype``.
    """

    def __init__(self, weights: Path, device: torch.device, dtype: torch.dtype) -> None:
        """Raises `InputError` if the weights cannot be used."""
        self.contract = checked_contract(weights)
        try:
            network, _ = load(weights)
        except (WeightsError, OSError) as exc:
            raise unusable(weights, exc) from exc
        # TF32 would round what is measured, and what is called float32. By the older of PyTorch's
        # two settings: after the newer one torch.export fails (PyTorch 2.13).
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        self._measure = network.measure
        temperature = network.temperature.to(device, copy=True)
        network.to(device, dtype)
        length = self.contract.context_epochs
        self.embedder: Function = Embed(network)
        self.stager: Function = Stage(network, temperature, n_open(self.contract, length))
        """Until `warm_up`, engines that do the same may take the place of these two."""
        e = self.contract.embedding_dim
        self._encoder = _Batches(self._encode, device, [((EPOCH_SAMPLES,), torch.float32)])
        self._stager = _Batches(
            self._stage, device, [((length, e), torch.float32), ((length,), torch.bool)]
        )

    def warm_up(self) -> None:
        """Stage an epoch, so that the first of the night does not wait for it."""
        embeddings = self.encode(np.zeros((1, EPOCH_SAMPLES), np.float32))
        self.stage(embeddings[np.newaxis], np.ones((1, 1), bool))

    def measured(self, epochs_uv: Tensor) -> list[Tensor]:
        """Epochs float32 (n, 3000) on the device -> what `embedder` is given."""
        return [each for each in self._measure(epochs_uv) if each is not None]

    def encode(self, epochs_uv: F32) -> F32:
        (embeddings,) = self._encoder.run(epochs_uv)
        return embeddings

    def stage(self, embeddings: F32, scored: Bool) -> tuple[F32, F32]:
        live, revised = self._stager.run(embeddings, scored)
        return live, revised[:, -n_open(self.contract, scored.shape[1]) :]

    def _encode(self, epochs_uv: Tensor) -> tuple[Tensor, ...]:
        return self.embedder(*self.measured(epochs_uv))

    def _stage(self, embeddings: Tensor, scored: Tensor) -> tuple[Tensor, ...]:
        return self.stager(embeddings, scored)


class _Batches:
    """Runs a function of tensors on batches of any length up to `LARGEST_BATCH`, longer ones in
    pieces. Each size is set up when it is first needed."""

    def __init__(
        self,
        function: Function,
        device: torch.device,
        inputs: Sequence[tuple[tuple[int, ...], torch.dtype]],
    ) -> None:
        """``inputs``: shape, without the batch, and dtype of each argument."""
        self._make = partial(_Batch, function, device, inputs)
        self._sizes: dict[int, _Batch] = {}
        self._lock = Lock()

    def run(self, *arrays: np.ndarray) -> tuple[F32, ...]:
        n = len(arrays[0])
        pieces = []
        # A batch's memory is its own: who uses it must be alone.
        with self._lock, torch.inference_mode():
            for at in range(0, max(n, 1), LARGEST_BATCH):
                piece = [each[at : at + LARGEST_BATCH] for each in arrays]
                size = padded(len(piece[0]))
                if size not in self._sizes:
                    self._sizes[size] = self._make(size)
                pieces.append(self._sizes[size].run(piece))
        return tuple(map(np.concatenate, zip(*pieces, strict=True)))


def padded(n: int) -> int:
    """The power of two that ``n`` is padded to."""
    return 1 << (n - 1).bit_length()


class _Batch:
    """One batch size: memory for what goes in and comes out, and on a GPU the captured graph."""

    def __init__(
        self,
        function: Function,
        device: torch.device,
        inputs: Sequence[tuple[tuple[int, ...], torch.dtype]],
        size: int,
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
        if self._device.type == "cuda":
            torch.cuda.current_stream().synchronize()
        return tuple(host.numpy()[: len(arrays[0])].copy() for host in self._host_outputs)

    def _host(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        # Copies to and from pinned memory do not wait for one another.
        return torch.zeros(shape, dtype=dtype, pin_memory=self._device.type == "cuda")


def fill(buffer: np.ndarray, array: np.ndarray) -> None:
    """Put ``array`` into the first rows of ``buffer``, the newest last, and zeros in front of it:
    epochs that are not scored. The rows below keep what they held."""
    rows = buffer[: len(array)]
    in_front = rows.shape[1] - array.shape[1]
    rows[:, :in_front] = 0
    rows[:, in_front:] = array


def _captured(function: Callable[[], tuple[Tensor, ...]]) -> Callable[[], tuple[Tensor, ...]]:
    """``function``, whose tensors stay where they are, as a CUDA graph. What it returns is
    overwritten by the next call."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            function()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # Other threads may go on using the GPU meanwhile.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        outputs = function()

    def replay() -> tuple[Tensor, ...]:
        graph.replay()
        return outputs

    return replay
