"""PyTorch on an NVIDIA GPU, launched as CUDA graphs; in half precision where that was approved.

Not run on hardware yet: there was no GPU where this was written. What is not a GPU's alone is in
`monitor.staging.device_network`, and tested on a CPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from models.contract import ModelContract
from monitor.staging.backend import BackendUnavailableError, checked_contract, exported_folder
from monitor.staging.gpu import BUILD, Gpu, Sidecar, nvidia_gpu
from monitor.types import F32, Bool

if TYPE_CHECKING:
    import torch

SIDECAR = "cuda.json"
HALF, FULL = "float16", "float32"
REFUSED = "none"
"""The precision of a sidecar that says: this GPU stages otherwise in any."""


class CudaBackend:
    """PyTorch on the first NVIDIA GPU."""

    name = "cuda"
    trouble = ""

    def __init__(self, weights: Path, exported: Path, precision: str | None = None) -> None:
        """Load ``weights`` onto the GPU. ``precision``: None for the one that `sleep-deploy
        build-engine` approved for them on this GPU, `FULL` if it did not look.

        Raises `BackendUnavailableError` without an NVIDIA GPU that PyTorch can use, `InputError`
        if the weights cannot be used.
        """
        gpu = nvidia_gpu()
        contract = checked_contract(weights)
        device = cuda_device(gpu)
        import torch

        from monitor.staging.device_network import DeviceNetwork

        remark = ""
        if precision is None:
            sidecar = Sidecar.read(exported_folder(contract, exported) / SIDECAR)
            precision, remark = approved(sidecar, made_for(gpu, contract))
        self._network = DeviceNetwork(weights, device, getattr(torch, precision))
        self._network.warm_up()
        self.runs_on = f"CUDA, {precision}, {gpu.name}{remark and f' ({remark})'}"

    @property
    def contract(self) -> ModelContract:
        return self._network.contract

    def encode(self, epochs_uv: F32) -> F32:
        return self._network.encode(epochs_uv)

    def stage(self, embeddings: F32, scored: Bool) -> tuple[F32, F32]:
        return self._network.stage(embeddings, scored)


def cuda_device(gpu: Gpu) -> torch.device:
    """The GPU as PyTorch's device. Raises `BackendUnavailableError` if PyTorch cannot use it."""
    try:
        import torch
    except ImportError as exc:
        raise BackendUnavailableError("PyTorch is not installed") from exc
    if torch.version.cuda is None:
        raise BackendUnavailableError(
            f"PyTorch {torch.__version__} cannot use the {gpu.name}: it was built without CUDA; "
            "install PyTorch's build for CUDA"
        )
    if not torch.cuda.is_available():
        raise BackendUnavailableError(
            f"PyTorch {torch.__version__}, built for CUDA {torch.version.cuda}, cannot use the "
            f"{gpu.name}; update NVIDIA's driver"
        )
    return torch.device("cuda")


def made_for(gpu: Gpu, contract: ModelContract) -> dict[str, str]:
    """All that decides how half precision stages."""
    import torch

    return {
        "gpu": gpu.name,
        "torch": torch.__version__,
        "cuda": str(torch.version.cuda),
        "weights_sha256": contract.weights_sha256,
    }


def approved(sidecar: Sidecar | None, here: dict[str, str]) -> tuple[str, str]:
    """The precision that ``sidecar`` approves ``here``, and a remark if it is not the faster.
    Raises `BackendUnavailableError` if it refuses every one."""
    if sidecar is None:
        return FULL, f"half precision was not tried; {BUILD}"
    if difference := sidecar.difference(here):
        return FULL, f"half precision was tried elsewhere: {difference}; {BUILD}"
    if sidecar.precision == REFUSED:
        raise BackendUnavailableError("this GPU stages otherwise than PyTorch does on the CPU")
    if sidecar.precision == HALF:
        return HALF, ""
    return FULL, "half precision stages otherwise"
