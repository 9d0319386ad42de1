"""The backend for PyTorch on an NVIDIA GPU, with CUDA graphs, in half precision if approved.

It has not run on hardware yet: no GPU was available where it was written. The code that needs no
GPU is in `monitor.staging.device_backend` and is tested on a CPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from models.contract import ModelContract
from monitor.staging.backend import BackendUnavailableError, checked_contract, network_folder
from monitor.staging.gpu import BUILD, Gpu, Sidecar, nvidia_gpu

if TYPE_CHECKING:
    import torch

    from monitor.staging.device_backend import DeviceBackend

SIDECAR = "cuda.json"
HALF, FULL = "float16", "float32"
REFUSED = "none"
"""The precision in a sidecar if this GPU stages differently from PyTorch's CPU in any precision."""


def open_cuda(weights: Path, exported: Path, precision: str | None = None) -> DeviceBackend:
    """Load ``weights`` onto the first NVIDIA GPU.

    Parameters
    ----------
    precision : `HALF` or `FULL`; None for the one that `sleep-deploy build-engine` approved for
        these weights on this GPU, or `FULL` if it was not run.

    Raises
    ------
    BackendUnavailableError
        There is no NVIDIA GPU that PyTorch can use.
    InputError
        The weights cannot be used.
    """
    gpu = nvidia_gpu()
    contract = checked_contract(weights)
    device = cuda_device(gpu)
    import torch

    from monitor.staging.device_backend import DeviceBackend
    from monitor.staging.network_parts import load_parts

    remark = ""
    if precision is None:
        sidecar = Sidecar.read(network_folder(exported, contract) / SIDECAR)
        precision, remark = approved(sidecar, made_for(gpu, contract))
    runs_on = f"CUDA, {precision}, {gpu.name}{remark and f' ({remark})'}"
    return DeviceBackend("cuda", runs_on, load_parts(weights, device, getattr(torch, precision)))


def cuda_device(gpu: Gpu) -> torch.device:
    """Return ``gpu`` as PyTorch's device.

    Raises `BackendUnavailableError` if PyTorch cannot use it.
    """
    try:
        import torch
    except ImportError as exc:
        raise BackendUnavailableError(
            "PyTorch is not installed; run pip install '.[cuda]' in the monitor's source folder"
        ) from exc
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
    """Return everything that decides how half precision stages, for `Sidecar.made_for`."""
    import torch

    return {
        "gpu": gpu.name,
        "torch": torch.__version__,
        "cuda": str(torch.version.cuda),
        "weights_sha256": contract.weights_sha256,
    }


def approved(sidecar: Sidecar | None, here: dict[str, str]) -> tuple[str, str]:
    """Return the precision that ``sidecar`` approves ``here``, and a remark if it is not half.

    Raises `BackendUnavailableError` if the sidecar refuses every precision.
    """
    if sidecar is None:
        return FULL, f"half precision was not tried; {BUILD}"
    if difference := sidecar.difference(here):
        return FULL, f"half precision was tried on another setup: {difference}; {BUILD}"
    if sidecar.precision == REFUSED:
        raise BackendUnavailableError("this GPU stages differently from PyTorch on the CPU")
    if sidecar.precision == HALF:
        return HALF, ""
    return FULL, "half precision stages differently"
