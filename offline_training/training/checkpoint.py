"""A part of the training on disk: one safetensors file that holds all that goes on from there.

    network.*   the weights of the last step     averaged.*  their running mean, if one is kept
    best.*      the weights that are kept        adam.*      the optimiser, by parameter

Counters are JSON in the file's metadata, so that tensors and counters cannot come apart. Random
draws need no state: every micro-batch's follow from seed, part, step and its number.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from monitor.errors import InputError
from offline_training.data.files import write_whole

Tensors = dict[str, Tensor]


@dataclass(slots=True)
class Counters:
    """How far a part is.

    ``looked`` at the validation subjects at least once; ``looks_without_gain`` since their best
    loss. ``training_s`` and ``epochs`` count training alone, without those looks.
    """

    part: str
    step: int = 0
    best_loss: float = float("inf")
    best_step: int = 0
    looked: bool = False
    looks_without_gain: int = 0
    finished: bool = False
    training_s: float = 0.0
    epochs: int = 0

    @property
    def epochs_per_s(self) -> float:
        return self.epochs / self.training_s if self.training_s else 0.0


def write(path: Path, counters: Counters, groups: dict[str, Tensors]) -> None:
    """Replace ``path`` as a whole: a process killed here leaves the checkpoint before it."""
    tensors = {
        f"{group}.{name}": tensor.detach().cpu().contiguous()
        for group, members in groups.items()
        for name, tensor in members.items()
    }
    data = safetensors.torch.save(tensors, {"counters": json.dumps(asdict(counters))})
    write_whole(path, lambda file: file.write(data))


def read(path: Path) -> tuple[Counters, dict[str, Tensors]]:
    """Counters and groups of tensors, on the CPU.

    Raises
    ------
    InputError
        The file is not a whole checkpoint.
    """
    groups: dict[str, Tensors] = {}
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            counters = Counters(**json.loads(file.metadata()["counters"]))
            for key in file.keys():  # noqa: SIM118 (not a mapping)
                group, _, name = key.partition(".")
                groups.setdefault(group, {})[name] = file.get_tensor(key)
    except (OSError, safetensors.SafetensorError, TypeError, KeyError, ValueError) as exc:
        raise InputError(
            f"the checkpoint {path} is damaged: remove it to train that part anew ({exc})"
        ) from exc
    return counters, groups


def optimiser_tensors(optimiser: torch.optim.Optimizer, names: list[str]) -> Tensors:
    """The optimiser's state by parameter name and quantity; ``names`` in its order."""
    state = optimiser.state_dict()["state"]
    return {
        f"{names[index]}|{quantity}": tensor
        for index, quantities in state.items()
        for quantity, tensor in quantities.items()
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, names: list[str], found: Tensors) -> None:
    """Undo `optimiser_tensors`."""
    state: dict[int, Tensors] = {}
    for key, tensor in found.items():
        name, _, quantity = key.partition("|")
        state.setdefault(names.index(name), {})[quantity] = tensor
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
