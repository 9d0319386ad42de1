"""What a run is asked to do, and the network it begins with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from models.contract import Gain
from models.mc2sleepnet import MC2SleepNet
from models.weights import load
from monitor.errors import InputError
from offline_training.data.recordings import Recording, split_subjects
from offline_training.training.parts import parts_of
from offline_training.training.reading import standardise, truth
from offline_training.training.recipe import Recipe

SPLIT_SEED = 2025


@dataclass(frozen=True, slots=True)
class Job:
    """What to train, and where.

    - ``parts``: which of `parts.TRAINED`.
    - ``recipe.network`` has the shape of the weights ``init``, if those are given, and reads
      amplitude as ``gain`` says: see `planned`.
    - ``channel``, ``trim`` (how much wake the recordings keep), ``command`` and ``version`` are
      what contract and card say.
    """

    out: Path
    recipe: Recipe
    gain: Gain
    seed: int
    parts: tuple[str, ...]
    channel: str
    trim: str
    command: str
    version: str = "1"
    init: Path | None = None

    def config(self, train: Sequence[Recording], validation: Sequence[Recording]) -> dict[str, Any]:
        """All that decides the result. Two runs with the same can share a folder."""
        init = None
        if self.init is not None:
            init = hashlib.sha256(self.init.read_bytes()).hexdigest()
        return {
            "gain": self.gain.value,
            "seed": self.seed,
            "init_sha256": init,
            "recipe": self.recipe.to_json(),
            "train_recordings": [one.name for one in train],
            "validation_recordings": [one.name for one in validation],
        }


def planned(
    recipe: Recipe, gain: Gain | None, init: Path | None, add: Sequence[str] = ()
) -> tuple[Recipe, Gain]:
    """``recipe`` with the network that is to be trained, and the gain it is trained for.

    Shape, context and gain of the weights ``init`` go before those of the recipe; ``add`` names
    inputs (raw, frames) that they lack and the network is to have, of the recipe's size.

    Raises
    ------
    InputError
        ``gain`` is not that of ``init``, or ``init`` has one of ``add`` already.
    """
    if init is None:
        gain = gain or Gain.KNOWN
        return replace(
            recipe, network=replace(recipe.network, gain_free=gain is Gain.UNKNOWN)
        ), gain
    network, contract = load(init)
    if gain not in (None, contract.gain):
        raise InputError(
            f"--gain {gain} does not fit the weights {init}, which are for gain {contract.gain}"
        )
    if had := [name for name in add if getattr(network.config, name)]:
        raise InputError(f"the weights {init} read {had[0]} already: leave out --add {had[0]}")
    shape = replace(
        network.config,
        raw_channels=recipe.network.raw_channels,
        frame_layers=recipe.network.frame_layers,
        **dict.fromkeys(add, True),
    )
    return (
        replace(
            recipe,
            network=shape if add else network.config,
            sequence_length=contract.context_epochs,
            revision_epochs=contract.revision_epochs,
        ),
        contract.gain,
    )


def begin(job: Job, train: Sequence[Recording]) -> MC2SleepNet:
    """The network before its first step, with what only pre-training needs.

    Raises
    ------
    InputError
        A part of the job needs a stream that the network lacks.
    """
    config = job.recipe.network
    if not config.two_streams and "epoch" in job.parts:
        raise InputError(
            "the epoch stage needs both streams, raw and spectral; this network has one: use "
            "another --stage"
        )
    torch.manual_seed(job.seed)
    network = MC2SleepNet(replace(config, pretraining=config.two_streams))
    if job.init is None:
        standardise(network, train)
        return network
    known = load(job.init)[0].state_dict()
    network.load_state_dict({**network.state_dict(), **known})
    standardise(network, train, known)
    with torch.no_grad():
        network.temperature.fill_(1.0)  # calibrated anew at the end
    return network


def before(job: Job) -> tuple[str, ...]:
    """The parts whose result the job builds on, and finds in its folder."""
    if job.init is not None:
        return ()
    order = parts_of(job.recipe.network)
    last = max(order.index(part) for part in job.parts)
    return tuple(part for part in order[:last] if part not in job.parts)


def hold_out(
    recordings: Sequence[Recording], share: int, seed: int = SPLIT_SEED
) -> tuple[list[Recording], list[Recording]]:
    """(train, validation): one subject in ``share``; where there is one subject, the last night.

    Raises
    ------
    InputError
        There is one recording, or no epoch with a stage in either.
    """
    subjects = len({one.subject for one in recordings})
    if subjects > 1:
        train, validation = split_subjects(recordings, min(share, subjects), seed)[0]
    elif len(recordings) > 1:
        ordered = sorted(recordings, key=lambda one: one.name)
        train, validation = ordered[:-1], ordered[-1:]
    else:
        raise InputError("training needs at least two recordings: one is held out to stop in time")
    for use, part in (("train on", train), ("validate on", validation)):
        if not any((truth(one) >= 0).any() for one in part):
            raise InputError(f"the recordings to {use} hold no usable epoch with a stage")
    return train, validation
