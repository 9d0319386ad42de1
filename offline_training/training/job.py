"""The task of a run, and the network that it begins with."""

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
from offline_training.data.recordings import LabelledNight, hold_out_subjects
from offline_training.training.folder import RunFolder
from offline_training.training.parts import parts_of
from offline_training.training.reading import standardise, truth
from offline_training.training.recipe import TrainingRecipe


@dataclass(frozen=True, slots=True)
class Job:
    """The task of one run: what to train, from which weights, and where to write it.

    - ``parts``: keys of `parts.TRAINED`, those to train.
    - ``recipe.network`` has the shape of the weights ``init`` if there are any, and its inputs
      match ``gain``. `resolved` makes it so.
    - ``channel``, ``trim`` (how much wake the recordings keep), ``command`` and ``version`` go
      into contract and card.
    """

    out: Path
    recipe: TrainingRecipe
    gain: Gain
    seed: int
    parts: tuple[str, ...]
    channel: str
    trim: str
    command: str
    version: str = "1"
    init: Path | None = None

    def config(
        self, train: Sequence[LabelledNight], validation: Sequence[LabelledNight]
    ) -> dict[str, Any]:
        """Return all that decides the result. Runs with the same config can share a folder."""
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
            "train_recordings": content_hashes(train),
            "validation_recordings": content_hashes(validation),
        }


def content_hashes(recordings: Sequence[LabelledNight]) -> dict[str, str]:
    """Return, by recording, one sha256 of its samples, stages and usable epochs."""
    return {
        f"{one.dataset}/{one.name}": hashlib.sha256(
            one.sha256.encode() + one.stage.tobytes() + one.usable.tobytes()
        ).hexdigest()
        for one in recordings
    }


def resolved(
    recipe: TrainingRecipe, gain: Gain | None, init: Path | None, add: Sequence[str] = ()
) -> tuple[TrainingRecipe, Gain]:
    """Return the recipe and the gain to train with.

    With ``init``, the shape, the context and the gain of those weights replace those of
    ``recipe``. ``add`` names inputs ("raw", "frames") that these weights lack and the new network
    shall have, in the recipe's size. Without ``init`` and ``gain``, the gain is KNOWN.

    Raises
    ------
    InputError
        ``gain`` is not that of ``init``, or ``init`` has an input of ``add`` already.
    """
    if init is None:
        gain = gain or Gain.KNOWN
        return replace(
            recipe, network=replace(recipe.network, gain_free=gain is Gain.UNKNOWN)
        ), gain
    network, contract = load(init)
    if gain not in (None, contract.gain):
        raise InputError(
            f"--gain {gain} does not fit the weights {init}, which are for gain {contract.gain}: "
            "leave out --gain"
        )
    if present := [name for name in add if getattr(network.config, name)]:
        raise InputError(
            f"the weights {init} read {present[0]} already: leave out --add {present[0]}"
        )
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


def initial_network(job: Job, train: Sequence[LabelledNight]) -> MC2SleepNet:
    """Build the network as it is before the first step, with the modules for pre-training.

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
        network.temperature.fill_(1.0)  # the end of the run calibrates it again
    return network


def earlier_parts(job: Job) -> tuple[str, ...]:
    """Return the parts that the job builds on and whose checkpoints its folder must hold.

    These are all parts before the job's own. A job that begins with weights needs none of them; it
    builds on those that were trained in its folder.

    Raises
    ------
    InputError
        The folder holds a later part, and it was trained without a part of this job.
    """
    order = parts_of(job.recipe.network)
    folder = RunFolder(job.out)
    present = [part for part in order if folder.checkpoint(part).is_file()]
    for part in job.parts:
        later = [one for one in present if order.index(one) > order.index(part)]
        if later and part not in present:
            raise InputError(
                f"{folder.checkpoint(later[0])} was trained without stage {part}: choose another "
                f"--out, or remove that file to train its stage again after {part}"
            )
    last = max(order.index(part) for part in job.parts)
    return tuple(
        part
        for part in order[:last]
        if part not in job.parts and (job.init is None or part in present)
    )


def hold_out(
    recordings: Sequence[LabelledNight], share: int, known: Collection[str] = ()
) -> tuple[list[LabelledNight], list[LabelledNight]]:
    """Split into (train, validation): hold out one subject in ``share``.

    Subjects ``known`` from an earlier training are held out only if there are no others. If all
    recordings are of one subject, the last night is held out.

    Raises
    ------
    InputError
        There is only one recording, or one side of the split has no epoch with a stage.
    """
    if len({one.subject for one in recordings}) > 1:
        train, validation = hold_out_subjects(recordings, share, known)
    elif len(recordings) > 1:
        ordered = sorted(recordings, key=lambda one: one.name)
        train, validation = ordered[:-1], ordered[-1:]
    else:
        raise InputError(
            f"training needs at least two recordings, got {len(recordings)}: one is held out for "
            "validation"
        )
    for use, side in (("train on", train), ("validate on", validation)):
        if not any((truth(one) >= 0).any() for one in side):
            raise InputError(
                f"the recordings to {use} hold no usable epoch with a stage: add recordings"
            )
    return train, validation
