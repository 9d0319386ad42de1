"""What a run is asked to do, and the network it begins with."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from models.contract import Gain
from models.mc2sleepnet import MC2SleepNet
from models.weights import load
from monitor.errors import InputError
from offline_training.data.recordings import Recording, hold_out_subjects
from offline_training.training.folder import RunFolder
from offline_training.training.parts import parts_of
from offline_training.training.reading import standardise, truth
from offline_training.training.recipe import Recipe


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
            "channel": self.channel,
            "trim": self.trim,
            "train_recordings": contents(train),
            "validation_recordings": contents(validation),
        }


def contents(recordings: Sequence[Recording]) -> dict[str, str]:
    """What is in each recording, as one sha256: its samples, stages and usable epochs."""
    return {
        f"{one.dataset}/{one.name}": hashlib.sha256(
            one.sha256.encode() + one.stage.tobytes() + one.usable.tobytes()
        ).hexdigest()
        for one in recordings
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
    init = None if job.init is None else load(job.init)[0]
    torch.manual_seed(job.seed)
    network = MC2SleepNet(
        replace(config, pretraining=config.two_streams), None if init is None else init.spectrogram
    )
    if init is None:
        standardise(network, train)
        return network
    known = init.state_dict()
    network.load_state_dict({**network.state_dict(), **known})
    standardise(network, train, known)
    with torch.no_grad():
        network.temperature.fill_(1.0)  # calibrated anew at the end
    return network


def before(job: Job) -> tuple[str, ...]:
    """The parts whose result the job builds on, and finds in its folder: all that come before its
    own or, where it begins with weights, those of them that were trained there.

    Raises
    ------
    InputError
        A part of the job is still to be trained, but a later one was already: without it.
    """
    order = parts_of(job.recipe.network)
    folder = RunFolder(job.out)
    there = [part for part in order if folder.checkpoint(part).is_file()]
    for part in job.parts:
        later = [one for one in there if order.index(one) > order.index(part)]
        if later and part not in there:
            raise InputError(
                f"{folder.checkpoint(later[0])} was trained without stage {part}: choose another "
                "--out, or remove it to train it after that"
            )
    last = max(order.index(part) for part in job.parts)
    return tuple(
        part
        for part in order[:last]
        if part not in job.parts and (job.init is None or part in there)
    )


def hold_out(
    recordings: Sequence[Recording], share: int, known: Collection[str] = ()
) -> tuple[list[Recording], list[Recording]]:
    """(train, validation): one subject in ``share``, none of those ``known`` from an earlier
    training where there are others; where there is one subject, the last night.

    Raises
    ------
    InputError
        There is one recording, or no epoch with a stage in either.
    """
    if len({one.subject for one in recordings}) > 1:
        train, validation = hold_out_subjects(recordings, share, known)
    elif len(recordings) > 1:
        ordered = sorted(recordings, key=lambda one: one.name)
        train, validation = ordered[:-1], ordered[-1:]
    else:
        raise InputError("training needs at least two recordings: one is held out to stop in time")
    for use, part in (("train on", train), ("validate on", validation)):
        if not any((truth(one) >= 0).any() for one in part):
            raise InputError(f"the recordings to {use} hold no usable epoch with a stage")
    return train, validation
