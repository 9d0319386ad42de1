"""The networks to measure, and the cost of each."""

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
    """The size of a network and the work of one epoch.

    - ``encode_macs``: multiply-adds of one epoch's encoder pass. ``sequence_macs``: those of the
      sequence pass that follows, with full context and both tracks. Counted are the matrix
      products, convolutions and attention that really run, not transforms and element-wise steps.
    - ``training_s``: as the card states it; None if it does not.
    """

    parameters: int
    encode_macs: int
    sequence_macs: int
    training_s: float | None

    @classmethod
    def of(cls, weights: Path) -> Cost:
        """Count the operations of one pass through the network in ``weights``."""
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
        # PyTorch counts a multiply-add as two operations.
        return cls(
            parameters=sum(parameter.numel() for parameter in network.parameters()),
            encode_macs=encoding.get_total_flops() // 2,
            sequence_macs=sequence.get_total_flops() // 2,
            training_s=read_card(weights).get("training_s"),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Weights that are ready to stage.

    - ``label`` is unique among the networks of a run.
    - ``subjects``: the people whose nights trained, stopped or calibrated it, as its card lists
      them.
    """

    label: str
    weights: Path
    backend: TorchBackend
    cost: Cost
    subjects: frozenset[str]

    @classmethod
    def open(cls, weights: Path, label: str | None = None) -> Network:
        """Load ``weights``; without a ``label`` use their name and version.

        Raises InputError if the weights cannot be used.
        """
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
    """Return this process's peak memory in MiB; None if the system does not report it."""
    if sys.platform == "win32":
        return None
    import resource  # Does not exist on Windows.

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS reports bytes, Linux KiB.
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
