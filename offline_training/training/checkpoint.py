"""The state of one part of the training on disk: a safetensors file that a run resumes from.

    network.*   weights of the last step         averaged.*  their moving average, if there is one
    best.*      weights with the least loss      adam.*      state of the optimiser, by parameter

The counters are JSON in the file's metadata, so tensors and counters are always of one moment. The
state of random generators is not needed: seed, part, step and number of a micro-batch decide its
draws.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from models.reading import parsed_json
from monitor.errors import InputError
from offline_training.data.files import write_whole

Tensors = dict[str, Tensor]


@dataclass(slots=True)
class Counters:
    """Progress of one part. The field names are keys of the checkpoint's JSON.

    - ``step``: steps done. ``best_step``: the step of the weights with ``best_loss``.
    - ``looked``: True after the first validation, the one before step 1.
    - ``looks_without_gain``: validations since the one with the best loss.
    - ``training_s``, ``epochs``: time and epochs of training alone, without validation.
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
    """Replace the file at ``path``. If the process is killed here, the old file stays whole."""
    tensors = {
        f"{group}.{name}": tensor.detach().cpu().contiguous()
        for group, members in groups.items()
        for name, tensor in members.items()
    }
    data = safetensors.torch.save(tensors, {"counters": json.dumps(asdict(counters))})
    write_whole(path, lambda file: file.write(data))


def read(path: Path) -> tuple[Counters, dict[str, Tensors]]:
    """Return the counters and the groups of tensors, on the CPU.

    Raises
    ------
    InputError
        The file is not a whole checkpoint.
    """
    groups: dict[str, Tensors] = {}
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            counters = Counters(**parsed_json(file.metadata()["counters"]))
            for key in file.keys():  # noqa: SIM118 (not a mapping)
                group, _, name = key.partition(".")
                groups.setdefault(group, {})[name] = file.get_tensor(key)
    except (OSError, safetensors.SafetensorError, TypeError, KeyError, ValueError) as exc:
        raise InputError(
            f"the checkpoint {path} is damaged: remove it to train that stage again ({exc})"
        ) from exc
    return counters, groups


def optimiser_tensors(optimiser: torch.optim.Optimizer, names: list[str]) -> Tensors:
    """Return the optimiser's state with keys "parameter|quantity".

    ``names`` are the parameters' names in the optimiser's order. PyTorch's own state numbers the
    parameters instead, and a number would fit the wrong parameter of another network.
    """
    state = optimiser.state_dict()["state"]
    return {
        f"{names[index]}|{quantity}": tensor
        for index, quantities in state.items()
        for quantity, tensor in quantities.items()
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, names: list[str], found: Tensors) -> None:
    """Load a state that `optimiser_tensors` returned.

    Raises ValueError if it holds a parameter that is not in ``names``.
    """
    state: dict[int, Tensors] = {}
    for key, tensor in found.items():
        name, _, quantity = key.partition("|")
        state.setdefault(names.index(name), {})[quantity] = tensor
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
