"""The backend for PyTorch on an NVIDIA GPU, with CUDA graphs, in the precision that the gate chose.

It has not run on hardware yet: no GPU was available where it was written. The code that needs no
GPU is tested on a CPU: `open_on_device` here, `monitor.staging.approval` and
`monitor.staging.device_backend`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from models.contract import ModelContract
from monitor.staging.backend import BackendUnavailableError, checked_contract, network_folder
from monitor.staging.gpu import Gpu, nvidia_gpu

if TYPE_CHECKING:
    import torch

    from monitor.staging.device_backend import DeviceBackend

SIDECAR = "cuda.json"


def open_cuda(weights: Path, exported: Path, precision: str | None = None) -> DeviceBackend:
    """Load ``weights`` onto the first NVIDIA GPU, as `open_on_device` does.

    Raises
    ------
    BackendUnavailableError
        There is no NVIDIA GPU that PyTorch can use, or the parity gate refuses it.
    InputError
        The weights cannot be used.
    """
    gpu = nvidia_gpu()
    checked_contract(weights)  # Wrong weights are reported without the seconds PyTorch needs.
    return open_on_device(gpu, cuda_device(gpu), weights, exported, precision)


def open_on_device(
    gpu: Gpu, device: torch.device, weights: Path, exported: Path, precision: str | None = None
) -> DeviceBackend:
    """Load ``weights`` onto ``device``, which is PyTorch's name of ``gpu``.

    Parameters
    ----------
    precision : `HALF` or `FULL` of `monitor.staging.approval`, which then no gate checks; None for
        the one that the parity gate approved. The gate runs here if it has not seen this GPU,
        driver, PyTorch and these weights.

    Raises
    ------
    BackendRefusedError
        The gate refuses the GPU.
    InputError
        The weights cannot be used.
    """
    import torch

    from monitor.staging.approval import approved_precision
    from monitor.staging.device_backend import DeviceBackend
    from monitor.staging.network_parts import load_parts

    def open_in(precision: str, remark: str = "") -> DeviceBackend:
        runs_on = f"CUDA, {precision}, {gpu.name}{remark and f' ({remark})'}"
        parts = load_parts(weights, device, getattr(torch, precision))
        return DeviceBackend("cuda", runs_on, parts)

    if precision is not None:
        return open_in(precision)
    contract = checked_contract(weights)
    sidecar = network_folder(exported, contract) / SIDECAR
    return open_in(*approved_precision(sidecar, made_for(gpu, contract), open_in, weights))


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
    """Return everything that decides how PyTorch stages on ``gpu``, for `Sidecar.made_for`."""
    import torch

    return {
        "gpu": gpu.name,
        "driver": gpu.driver,
        "torch": torch.__version__,
        "cuda": str(torch.version.cuda),
        "weights_sha256": contract.weights_sha256,
    }
