"""The networks that are measured, and what each of them costs."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from models.card import read_card
from models.contract import EPOCH_SAMPLES, Gain
from models.weights import load
from monitor.staging.backend import n_open
from monitor.staging.torch_backend import TorchBackend


@dataclass(frozen=True, slots=True)
class Cost:
    """What a network takes.

    - ``encode_macs``, ``sequence_macs``: multiply-adds of one epoch's encoder pass and of the one
      sequence pass that follows it (full context, both tracks), counted in the matrix products,
      convolutions and attention that really run; transforms and element-wise steps are not.
    - ``training_s``: as the card states it, None where it does not.
    """

    parameters: int
    encode_macs: int
    sequence_macs: int
    training_s: float | None

    @classmethod
    def of(cls, weights: Path) -> Cost:
        network, contract = load(weights)
        context = contract.context_epochs
        with torch.inference_mode():
            with FlopCounterMode(display=False) as encoding:
                network.encode(torch.zeros(1, EPOCH_SAMPLES))
            with FlopCounterMode(display=False) as sequence:
                network.stage(
                    torch.zeros(1, context, contract.embedding_dim),
                    torch.ones(1, context, dtype=torch.bool),
                    n_open(contract, context),
                )
        return cls(
            parameters=sum(parameter.numel() for parameter in network.parameters()),
            encode_macs=encoding.get_total_flops() // 2,
            sequence_macs=sequence.get_total_flops() // 2,
            training_s=read_card(weights).get("training_s"),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Weights ready to stage. ``label`` tells it from the others of the run; ``subjects`` are those
    that it was trained on, calibrated and stopped by, as its card names them."""

    label: str
    weights: Path
    backend: TorchBackend
    cost: Cost
    subjects: frozenset[str]

    @classmethod
    def open(cls, weights: Path, label: str | None = None) -> Network:
        """Raises `InputError` where the weights cannot be used. ``label`` None takes their name."""
        backend = TorchBackend(weights)
        contract = backend.contract
        data = read_card(weights).get("data", {})
        return cls(
            label or contract.full_name,
            weights,
            backend,
            Cost.of(weights),
            frozenset([*data.get("train_subjects", ()), *data.get("held_out_subjects", ())]),
        )

    @property
    def gain(self) -> Gain:
        return self.backend.contract.gain


def peak_memory_mb() -> float | None:
    """The most memory this process has held, in MiB; None where the system does not say."""
    if sys.platform == "win32":
        return None
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
