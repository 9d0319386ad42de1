"""Inputs of the three parts: random epochs, windows of epochs, and nights that are encoded once."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch

from models.bandpower import band_features
from models.contract import EPOCH_SAMPLES
from models.mc2sleepnet import MC2SleepNet
from monitor.errors import InputError
from offline_training.arrays import F32, I64
from offline_training.data.recordings import LabelledNight
from offline_training.evaluation.streaming import EmbeddedNight
from offline_training.training.distributed import Ranks
from offline_training.training.windows import Stretch

ENCODE_BATCH = 128
STANDARDISE_EPOCHS = 4096
"""Epochs, evenly spread over all, that give the mean and standard deviation of each feature."""


def truth(recording: LabelledNight) -> I64:
    """Return the expert's stages, int64 (n,); -1 also where the monitor leaves it unscored."""
    return np.where(recording.usable, recording.stage, -1)


class UsableEpochs:
    """All usable epochs of some recordings, each drawn with the same probability.

    Raises InputError if there is none.
    """

    def __init__(self, recordings: Sequence[LabelledNight]) -> None:
        self.recordings = recordings
        usable = [np.flatnonzero(one.usable) for one in recordings]
        self.epoch = np.concatenate(usable)  # (N,)
        self.recording = np.repeat(np.arange(len(usable)), [len(one) for one in usable])  # (N,)
        if not len(self.epoch):
            raise InputError("the recordings hold no usable epoch: prepare other recordings")

    def read(self, chosen: I64) -> tuple[F32, I64]:
        """Return epochs float32 (B, 3000) and stages int64 (B,), in the recordings' order."""
        at = [(self.recordings[self.recording[i]], int(self.epoch[i])) for i in np.sort(chosen)]
        epochs_uv = np.concatenate([one.epochs_uv(epoch, epoch + 1) for one, epoch in at])
        return epochs_uv, np.array([one.stage[epoch] for one, epoch in at])

    def draw(self, random: np.random.Generator, n: int) -> tuple[F32, I64]:
        """Draw ``n`` epochs, all different if there are that many, and `read` them."""
        return self.read(random.choice(len(self.epoch), n, replace=n > len(self.epoch)))

    def spread(self, n: int) -> F32:
        """Return at most ``n`` epochs, evenly spread over all. float32 (n, 3000)."""
        total = len(self.epoch)
        return self.read(np.unique(np.linspace(0, total - 1, min(n, total)).astype(np.int64)))[0]


def read_stretches(
    recordings: Sequence[LabelledNight], stretches: Sequence[Stretch], length: int
) -> F32:
    """Read windows of epochs, float32 (B, length, 3000); zeros in places before a night begins."""
    windows = np.zeros((len(stretches), length, EPOCH_SAMPLES), np.float32)
    for window, part in zip(windows, stretches, strict=True):
        epochs_uv = recordings[part.recording].epochs_uv(part.start, part.stop)
        window[part.place : part.place + len(epochs_uv)] = epochs_uv
    return windows


@torch.no_grad()
def standardise(
    network: MC2SleepNet, recordings: Sequence[LabelledNight], known: Collection[str] = ()
) -> None:
    """Set the network's means and standard deviations of features to those of ``recordings``.

    Buffers named in ``known`` keep their values: they came with trained weights.
    """
    if not network.config.spectral:
        return
    encoder = network.spectral_encoder
    kept = {name: buffer.clone() for name, buffer in network.named_buffers() if name in known}
    inputs = network.measure(torch.from_numpy(UsableEpochs(recordings).spread(STANDARDISE_EPOCHS)))
    if inputs.frames is not None:
        encoder.standardise.fit(inputs.frames.flatten(0, 1))  # (N * 29, 128)
    if encoder.token is not None:
        assert inputs.log_power is not None
        features = band_features(inputs.log_power, encoder.token.gain_free)  # (N, 10)
        encoder.token.standardise.fit(features)
    network.load_state_dict(kept, strict=False)


@torch.inference_mode()
def encode_nights(
    network: MC2SleepNet, recordings: Sequence[LabelledNight], ranks: Ranks
) -> list[EmbeddedNight]:
    """Encode every recording once, in eval mode and float32, as the monitor does.

    Each process encodes its share of the recordings; afterwards every process holds all nights.
    """
    network.eval()
    nights = []
    for number, one in enumerate(recordings):
        n = len(one.stage)
        embeddings = torch.zeros(n, network.config.embedding_dim)
        if number % ranks.world == ranks.rank:
            for start in range(0, n, ENCODE_BATCH):
                stop = min(start + ENCODE_BATCH, n)
                epochs_uv = torch.from_numpy(one.epochs_uv(start, stop)).to(ranks.device)
                embeddings[start:stop] = network.encode(epochs_uv).cpu()
        nights.append(EmbeddedNight(embeddings, truth(one), one.usable))
    # Broadcast at the end, so that no process waits for the others after each night.
    for number, night in enumerate(nights):
        ranks.broadcast(night.embeddings, number % ranks.world)
    return nights
