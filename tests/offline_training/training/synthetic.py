"""Synthetic nights whose stages show in the signal, with a small network, recipe and job."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.contract import EPOCH_SAMPLES, SFREQ_HZ, Gain
from models.mc2sleepnet import MC2SleepNet, NetworkConfig
from offline_training.arrays import F32, I64, Bool
from offline_training.data.licences import ODC_BY
from offline_training.training.job import Job
from offline_training.training.parts import TRAINED
from offline_training.training.reading import standardise
from offline_training.training.recipe import Schedule, TrainingRecipe

RHYTHM = ((10.0, 20.0), (6.0, 10.0), (13.0, 20.0), (1.5, 60.0), (20.0, 8.0))
"""Frequency in Hz and amplitude in uV of the sine that marks each of the five stages."""


@dataclass(eq=False)
class SyntheticRecording:
    """A `LabelledNight` of ``n`` epochs in bouts of three: a sine in noise, by stage.

    - About one epoch in ten is unusable: zeros.
    - The name decides all random draws.
    - Read number ``reads_until_interrupt`` raises KeyboardInterrupt, as Ctrl-C would.
    """

    name: str
    subject: str
    n: int = 30
    dataset: str = "made"
    licence: str = ODC_BY
    stage: I64 = field(init=False)
    usable: Bool = field(init=False)
    reads_until_interrupt: int = -1

    def __post_init__(self) -> None:
        random = np.random.default_rng(abs(hash_of(self.name)))
        bouts = np.r_[random.permutation(5), random.integers(0, 5, self.n)]
        self.stage = np.repeat(bouts, 3)[: self.n].astype(np.int64)
        self.usable = random.random(self.n) > 0.1
        time_s = np.arange(EPOCH_SAMPLES) / SFREQ_HZ
        hz, uv = np.array(RHYTHM)[self.stage].T[:, :, None]
        sines = uv * np.sin(2 * np.pi * (hz * time_s + random.random((self.n, 1))))
        samples = sines + random.normal(0, 3, (self.n, EPOCH_SAMPLES))
        self.samples: F32 = np.where(self.usable[:, None], samples, 0).astype(np.float32)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.samples.tobytes()).hexdigest()

    def epochs_uv(self, start: int, stop: int) -> F32:
        self.reads_until_interrupt -= 1
        if self.reads_until_interrupt == 0:
            raise KeyboardInterrupt
        return self.samples[start:stop]


def hash_of(text: str) -> int:
    """Return a hash that is the same in every process, unlike ``hash``."""
    return int.from_bytes(text.encode(), "big") % 2**32


def nights(subjects: int, each: int = 1, **fields: Any) -> list[SyntheticRecording]:
    """Return ``each`` nights of every subject, named 0a, 0b, ..., 1a, ..."""
    return [
        SyntheticRecording(f"{subject}{chr(97 + night)}", f"made-{subject}", **fields)
        for subject in range(subjects)
        for night in range(each)
    ]


NETWORK = NetworkConfig(
    raw_channels=16,
    d_model=16,
    n_heads=2,
    d_ff=32,
    frame_layers=1,
    sequence_layers=1,
    dropout=0.1,
    pretraining=True,
)


def schedule(**fields: Any) -> Schedule:
    """Return a schedule of two short steps, with ``fields`` replaced."""
    defaults = {
        "steps": 2,
        "batch": 4,
        "micro_batch": 2,
        "learning_rate": 1e-3,
        "evaluate_every": 1,
        "patience": 9,
        "warmup_steps": 1,
    }
    return Schedule(**{**defaults, **fields})


RECIPE = TrainingRecipe(
    network=NETWORK,
    sequence_length=6,
    revision_epochs=2,
    epoch=schedule(batch=16, micro_batch=8),
    sequence=schedule(),
    finetune=schedule(batch=8, micro_batch=4, average=0.9),
    validation_share=3,
    validation_batches=1,
    evaluate_stride=2,
)


LEARNS = replace(
    RECIPE,
    epoch=schedule(steps=1, batch=16, micro_batch=8),
    sequence=schedule(steps=1),
    finetune=schedule(
        steps=120, batch=32, micro_batch=16, learning_rate=1e-2, average=0.9, evaluate_every=60
    ),
)
"""A recipe that trains until the network stages synthetic nights."""


def job(out: Path, **fields: object) -> Job:
    """Return a job that trains all parts with `RECIPE`, with ``fields`` replaced."""
    defaults = {
        "recipe": RECIPE,
        "gain": Gain.KNOWN,
        "seed": 0,
        "parts": tuple(TRAINED),
        "channel": "EEG Fpz-Cz",
        "trim": "30 min around sleep",
        "command": "sleep-train fit ...",
    }
    return Job(out, **{**defaults, **fields})  # type: ignore[arg-type]


def build(recordings: list[SyntheticRecording], **fields: Any) -> MC2SleepNet:
    """Return a new network, standardised on ``recordings``, with config ``fields`` replaced."""
    torch.manual_seed(0)
    network = MC2SleepNet(replace(NETWORK, **fields))
    standardise(network, recordings)
    return network
