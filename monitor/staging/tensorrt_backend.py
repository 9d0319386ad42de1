"""TensorRT on an NVIDIA GPU: engines that `sleep-deploy build-engine` built for it.

Not run on hardware yet: there was neither a GPU nor TensorRT where this was written. An engine is
TensorRT's own serialised form, run by its own Python API: nothing in it is ever unpickled, and
torch-tensorrt, which built it, is not loaded. Epochs are measured by PyTorch, in float32.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.contract import ModelContract
from monitor.staging.backend import BackendUnavailableError, checked_contract, exported_folder
from monitor.staging.cuda_backend import cuda_device
from monitor.staging.gpu import BUILD, Gpu, Sidecar, nvidia_gpu
from monitor.types import F32, Bool

if TYPE_CHECKING:
    from torch import Tensor

SIDECAR = "tensorrt.json"
EMBED, STAGE = "embed.engine", "stage.engine"
INSTALL = "pip install --extra-index-url https://pypi.nvidia.com 'torch-tensorrt<2.14'"


class TensorRtBackend:
    """TensorRT on the first NVIDIA GPU."""

    name = "tensorrt"
    trouble = ""

    def __init__(self, weights: Path, exported: Path) -> None:
        """Load the engines built of ``weights``; never build them, which takes minutes.

        Raises `BackendUnavailableError` without an NVIDIA GPU, PyTorch for it or TensorRT, or if
        the engines are missing, damaged or were built for anything else than what is here;
        `InputError` if the weights cannot be used.
        """
        gpu = nvidia_gpu()
        contract = checked_contract(weights)
        folder = exported_folder(contract, exported)
        sidecar, engines = read_engines(folder, made_for(gpu, contract))
        device = cuda_device(gpu)
        trt = _tensorrt()
        import torch

        from monitor.staging.device_network import DeviceNetwork

        network = DeviceNetwork(weights, device, getattr(torch, sidecar.precision))
        network.embedder = _Engine(trt, engines[EMBED])
        network.stager = _Engine(trt, engines[STAGE])
        network.warm_up()
        self._network = network
        self.runs_on = f"TensorRT {trt.__version__}, {sidecar.precision}, {gpu.name}"

    @property
    def contract(self) -> ModelContract:
        return self._network.contract

    def encode(self, epochs_uv: F32) -> F32:
        return self._network.encode(epochs_uv)

    def stage(self, embeddings: F32, scored: Bool) -> tuple[F32, F32]:
        return self._network.stage(embeddings, scored)


def made_for(gpu: Gpu, contract: ModelContract) -> dict[str, str]:
    """All that an engine depends on. Raises `BackendUnavailableError` if a package is missing."""
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
    """The engines in ``folder``, by name, and what is said of them. Raises
    `BackendUnavailableError` if they are not what ``here`` needs."""
    sidecar = Sidecar.read(folder / SIDECAR)
    if sidecar is None:
        raise BackendUnavailableError(f"there are no engines for these weights yet; {BUILD}")
    if difference := sidecar.difference(here):
        raise BackendUnavailableError(f"the engines were built elsewhere: {difference}; {BUILD}")
    engines = {}
    for name in (EMBED, STAGE):
        try:
            engines[name] = (folder / name).read_bytes()
        except OSError as exc:
            raise BackendUnavailableError(
                f"{folder / name} cannot be read: {exc.strerror}; {BUILD}"
            ) from exc
        if hashlib.sha256(engines[name]).hexdigest() != sidecar.files.get(name):
            raise BackendUnavailableError(f"{folder / name} is damaged; {BUILD}")
    return sidecar, engines


def _tensorrt() -> Any:
    try:
        import tensorrt
    except Exception as exc:  # of any kind, if its libraries are missing
        raise BackendUnavailableError(f"TensorRT cannot be loaded ({exc}); {INSTALL}") from exc
    return tensorrt


class _Engine:
    """A TensorRT engine as a function of tensors on the GPU; what comes out is float32.

    CUDA graphs can be captured of it, as NVIDIA has it: with a context of its own for each, run
    once with the shapes it is to have.
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

        # A captured graph is bound to its context, and that to the shapes it was captured with.
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
