"""The network in three parts, on one of PyTorch's devices: measure, embed, stage.

A GPU runs the parts separately, because epochs are measured in float32 whatever the precision of
the network, and because TensorRT replaces the last two parts by engines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from models.calibration import calibrated
from models.card import WeightsError
from models.contract import ModelContract
from models.mc2sleepnet import EpochInputs, MC2SleepNet
from models.weights import load
from monitor.staging.backend import checked_contract, n_open, unusable

TensorFunction = Callable[..., tuple[Tensor, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class NetworkParts:
    """Functions of tensors on ``device``. Everything that goes in and comes out is float32 or bool.

    - ``measure``: epochs (n, 3000) in microvolts -> the arguments of ``embed``.
    - ``embed``: measured epochs -> embeddings (n, E), alone in a tuple.
    - ``stage``: embeddings (n, L, E) and scored (n, L), with L the full context -> live (n, 5) and
      revised (n, R, 5) probabilities, with R the epochs that are not final yet.
    """

    contract: ModelContract
    device: torch.device
    measure: TensorFunction
    embed: TensorFunction
    stage: TensorFunction


def load_parts(weights: Path, device: torch.device, dtype: torch.dtype) -> NetworkParts:
    """Load ``weights`` onto ``device``. ``embed`` and ``stage`` compute in ``dtype``.

    Raises `InputError` if the weights cannot be used.
    """
    contract = checked_contract(weights)
    try:
        network, _ = load(weights)
    except (WeightsError, OSError) as exc:
        raise unusable(weights, exc) from exc
    # TF32 would round what is called float32. This is the older of PyTorch's two settings: after
    # the newer one torch.export fails (PyTorch 2.13).
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    # A copy from before the network is rounded: calibration stays in float32.
    temperature = network.temperature.to(device, copy=True)
    network.to(device, dtype)

    def measure(epochs_uv: Tensor) -> tuple[Tensor, ...]:
        return tuple(each for each in network.measure(epochs_uv) if each is not None)

    return NetworkParts(
        contract,
        device,
        measure,
        EmbedPart(network),
        StagePart(network, temperature, n_open(contract, contract.context_epochs)),
    )


class EmbedPart(nn.Module):
    """`MC2SleepNet.embed` with one float32 argument for each input that the network has."""

    def __init__(self, network: MC2SleepNet) -> None:
        super().__init__()
        config = network.config
        exists = (config.raw, config.frames, config.band_power)
        self.inputs = [
            name for name, exist in zip(EpochInputs._fields, exists, strict=True) if exist
        ]
        self.network = network

    def forward(self, *inputs: Tensor) -> tuple[Tensor]:
        rounded = (each.to(_dtype(self.network)) for each in inputs)
        named = EpochInputs(**dict(zip(self.inputs, rounded, strict=True)))
        return (self.network.embed(named).float(),)


class StagePart(nn.Module):
    """`MC2SleepNet.stage` of the ``newest`` epochs, float32 in and out.

    The logits are calibrated in float32, so that probabilities sum to 1 to float32's precision.
    """

    temperature: Tensor

    def __init__(self, network: MC2SleepNet, temperature: Tensor, newest: int) -> None:
        super().__init__()
        self.network, self.newest = network, newest
        self.register_buffer("temperature", temperature)

    def forward(self, embeddings: Tensor, scored: Tensor) -> tuple[Tensor, Tensor]:
        rounded = embeddings.to(_dtype(self.network))
        live, revised = self.network.track_logits(rounded, scored, self.newest)
        return calibrated(live.float(), revised.float(), self.temperature)


def _dtype(network: MC2SleepNet) -> torch.dtype:
    return next(network.parameters()).dtype
