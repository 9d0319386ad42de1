"""Small nights whose stages can be told from the signal, and a network and a recipe to match."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from models.contract import EPOCH_SAMPLES, SFREQ_HZ
from models.mc2sleepnet import MC2SleepNet, NetworkConfig
from offline_training.data.licences import ODC_BY
from offline_training.data.recordings import F32, I64, Bool
from offline_training.training.reading import standardise
from offline_training.training.recipe import Recipe, Schedule

RHYTHM = ((10.0, 20.0), (6.0, 10.0), (13.0, 20.0), (1.5, 60.0), (20.0, 8.0))
"""Hz and uV of the five stages."""


@dataclass(eq=False)
class MadeRecording:
    """``n`` epochs in bouts of three, a sine in noise each; one in ten is unusable (zeros)."""

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
    """The same in every process, unlike ``hash``."""
    return int.from_bytes(text.encode(), "big") % 2**32


def nights(subjects: int, each: int = 1, **fields: Any) -> list[MadeRecording]:
    return [
        MadeRecording(f"{subject}{chr(97 + night)}", f"made-{subject}", **fields)
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


RECIPE = Recipe(
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


def build(recordings: list[MadeRecording], **fields: Any) -> MC2SleepNet:
    torch.manual_seed(0)
    network = MC2SleepNet(replace(NETWORK, **fields))
    standardise(network, recordings)
    return network
