"""The lines that `sleep-monitor --version` prints."""

from __future__ import annotations

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from models.card import default_weights
from models.contract import Gain
from monitor.staging.backend import BackendUnavailableError, checked_contract
from monitor.staging.gpu import nvidia_gpu


def version_lines() -> list[str]:
    """Return the version of the monitor with its backend, and the default weights of each gain.

    Loads no network, so that it is quick. Raises `InputError` if a card is missing.
    """
    weights = []
    for gain in Gain:
        contract = checked_contract(default_weights(gain))
        weights.append(f"{contract.full_name} (sha256 {contract.weights_sha256[:8]})")
    return [
        f"sleep-monitor {_version('sleep-monitor')}, backend {_backend()}",
        f"weights: {', '.join(weights)}",
    ]


def _backend() -> str:
    """Name the backend that `--backend auto` tries first here, and what it runs on."""
    # ModuleNotFoundError: an import hook refuses PyTorch.
    with suppress(BackendUnavailableError, ModuleNotFoundError):
        if find_spec("torch") is not None:
            return f"tensorrt or cuda on the {nvidia_gpu().name}; sleep-monitor doctor names it"
    return f"onnx (onnxruntime {_version('onnxruntime')} on the CPU)"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"
