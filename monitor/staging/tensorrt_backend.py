"""The backend for TensorRT: it runs engines that `sleep-deploy build-engine` built for this GPU.

It has not run on hardware yet: neither a GPU nor TensorRT was available where it was written.

An engine is TensorRT's own serialised form, run by TensorRT's Python API. Nothing is unpickled, and
torch-tensorrt, which builds engines, is not loaded. PyTorch measures the epochs, in float32.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.contract import ModelContract
from models.graphs import LARGEST_GRAPH
from models.reading import UnreadableError, read_bytes
from monitor.errors import one_line
from monitor.staging.backend import BackendUnavailableError, checked_contract, network_folder
from monitor.staging.cuda_backend import cuda_device
from monitor.staging.gate import Parity
from monitor.staging.gpu import BUILD, Gpu, Sidecar, nvidia_gpu

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from monitor.staging.device_backend import DeviceBackend

SIDECAR = "tensorrt.json"
EMBED, STAGE = "embed.engine", "stage.engine"
PRECISIONS = ("float16", "float32")
INSTALL = "pip install --extra-index-url https://pypi.nvidia.com 'torch-tensorrt<2.14'"


def open_tensorrt(weights: Path, exported: Path) -> DeviceBackend:
    """Load the engines that were built from ``weights``. Never build them: that takes minutes.

    Raises
    ------
    BackendUnavailableError
        There is no NVIDIA GPU, no PyTorch for it, or no TensorRT; or the engines are missing,
        damaged, not approved by the gate, or built for another GPU, version or network.
    InputError
        The weights cannot be used.
    """
    gpu = nvidia_gpu()
    contract = checked_contract(weights)
    folder = network_folder(exported, contract)
    sidecar, engines = read_engines(folder, made_for(gpu, contract))
    return open_engines(gpu, cuda_device(gpu), weights, sidecar.precision, engines)


def open_engines(
    gpu: Gpu, device: torch.device, weights: Path, precision: str, engines: Mapping[str, bytes]
) -> DeviceBackend:
    """Open serialised engines, by file name, on ``device``, which is PyTorch's name of ``gpu``.

    Raises `BackendUnavailableError` if TensorRT is missing or refuses them.
    """
    trt = _tensorrt()
    import torch

    from monitor.staging.device_backend import DeviceBackend
    from monitor.staging.network_parts import load_parts

    parts = replace(
        load_parts(weights, device, getattr(torch, precision)),
        embed=_Engine(trt, engines[EMBED]),
        stage=_Engine(trt, engines[STAGE]),
    )
    runs_on = f"TensorRT {trt.__version__}, {precision}, {gpu.name}"
    return DeviceBackend("tensorrt", runs_on, parts)


def made_for(gpu: Gpu, contract: ModelContract) -> dict[str, str]:
    """Return everything that an engine depends on, for `Sidecar.made_for`.

    Raises `BackendUnavailableError` if a package is missing.
    """
    try:
        versions = {name: version(name) for name in ("torch", "torch-tensorrt", "tensorrt")}
    except PackageNotFoundError as exc:
        raise BackendUnavailableError(f"{exc.name} is not installed; {INSTALL}") from exc
    return {
        "gpu": gpu.name,
        "compute_capability": gpu.capability,
        **{name.replace("-", "_"): number for name, number in versions.items()},
        "weights_sha256": contract.weights_sha256,
    }


def read_engines(folder: Path, here: dict[str, str]) -> tuple[Sidecar, dict[str, bytes]]:
    """Read the sidecar in ``folder`` and the engines it describes, by file name.

    Raises `BackendUnavailableError` if they are missing, damaged, not made for ``here``, or if the
    sidecar does not hold figures that pass the parity gate.
    """
    sidecar = Sidecar.read(folder / SIDECAR)
    if sidecar is None:
        raise BackendUnavailableError(f"there are no engines for these weights yet; {BUILD}")
    if difference := sidecar.difference(here):
        raise BackendUnavailableError(
            f"the engines were built for another setup: {difference}; {BUILD}"
        )
    parity = Parity.from_figures("tensorrt", sidecar.precision, sidecar.parity)
    if sidecar.precision not in PRECISIONS or parity is None or not parity.passed:
        raise BackendUnavailableError(f"the parity gate has not approved the engines; {BUILD}")
    engines = {}
    for name in (EMBED, STAGE):
        try:
            engines[name] = read_bytes(folder / name, LARGEST_GRAPH)
        except FileNotFoundError as exc:
            raise BackendUnavailableError(
                f"{folder / name} cannot be read: {exc.strerror}; {BUILD}"
            ) from exc
        except UnreadableError as exc:
            raise BackendUnavailableError(f"{folder / name} {exc}; {BUILD}") from exc
        if hashlib.sha256(engines[name]).hexdigest() != sidecar.files.get(name):
            raise BackendUnavailableError(f"{folder / name} is damaged; {BUILD}")
    return sidecar, engines


def _tensorrt() -> Any:
    try:
        import tensorrt
    except Exception as exc:  # If its libraries are missing, it raises more than ImportError.
        raise BackendUnavailableError(
            f"TensorRT cannot be loaded ({one_line(exc)}); {INSTALL}"
        ) from exc
    return tensorrt


class _Engine:
    """A TensorRT engine as a function of tensors on the GPU. It returns float32.

    A CUDA graph can capture it under NVIDIA's conditions: each graph has an execution context of
    its own, which ran once with the graph's shapes before the capture.
    """

    def __init__(self, trt: Any, serialised: bytes) -> None:
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        self._engine = self._runtime.deserialize_cuda_engine(serialised)
        if self._engine is None:
            raise BackendUnavailableError(f"TensorRT {trt.__version__} refuses an engine; {BUILD}")
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        is_input = {n: self._engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT for n in names}
        self._inputs = [name for name in names if is_input[name]]
        self._outputs = [name for name in names if not is_input[name]]
        self._contexts: dict[int, Any] = {}

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        import torch

        # A captured graph keeps using its context, and the context the shapes of the capture. So
        # every batch size has its own context.
        batch = len(inputs[0])
        if batch not in self._contexts:
            self._contexts[batch] = self._engine.create_execution_context()
        context = self._contexts[batch]
        inputs = tuple(each.contiguous() for each in inputs)
        for name, tensor in zip(self._inputs, inputs, strict=True):
            context.set_input_shape(name, tuple(tensor.shape))
            context.set_tensor_address(name, tensor.data_ptr())
        outputs = []
        for name in self._outputs:
            shape = tuple(context.get_tensor_shape(name))
            outputs.append(torch.empty(shape, device=inputs[0].device))
            context.set_tensor_address(name, outputs[-1].data_ptr())
        if not context.execute_async_v3(torch.cuda.current_stream().cuda_stream):
            raise RuntimeError("TensorRT could not run an engine")
        return tuple(outputs)
