"""What the parts of the training read: random epochs, windows of them, nights encoded once."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch

from models.bandpower import band_features
from models.contract import EPOCH_SAMPLES
from models.mc2sleepnet import MC2SleepNet
from monitor.errors import InputError
from offline_training.arrays import F32, I64
from offline_training.data.recordings import Recording
from offline_training.evaluation.streaming import EmbeddedNight
from offline_training.training.distributed import Ranks
from offline_training.training.windows import Stretch

ENCODE_BATCH = 128
STANDARDISE_EPOCHS = 4096
"""Epochs that the spectra's means and standard deviations are taken from, evenly over all."""


def truth(recording: Recording) -> I64:
    """The expert's stages, -1 also where the monitor would leave the epoch unscored. (n,)"""
    return np.where(recording.usable, recording.stage, -1)


class UsableEpochs:
    """Every usable epoch of all recordings, each as likely as any other."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self.recordings = recordings
        usable = [np.flatnonzero(one.usable) for one in recordings]
        self.epoch = np.concatenate(usable)  # (N,)
        self.recording = np.repeat(np.arange(len(usable)), [len(one) for one in usable])  # (N,)
        if not len(self.epoch):
            raise InputError("the recordings hold no usable epoch")

    def read(self, chosen: I64) -> tuple[F32, I64]:
        """Epochs float32 (B, 3000) and stages int64 (B,), in the recordings' order."""
        at = [(self.recordings[self.recording[i]], int(self.epoch[i])) for i in np.sort(chosen)]
        epochs_uv = np.concatenate([one.epochs_uv(epoch, epoch + 1) for one, epoch in at])
        return epochs_uv, np.array([one.stage[epoch] for one, epoch in at])

    def draw(self, random: np.random.Generator, n: int) -> tuple[F32, I64]:
        """``n`` epochs, all different where there are that many."""
        return self.read(random.choice(len(self.epoch), n, replace=n > len(self.epoch)))

    def spread(self, n: int) -> F32:
        """At most ``n`` epochs, evenly over all. float32 (n, 3000)."""
        total = len(self.epoch)
        return self.read(np.unique(np.linspace(0, total - 1, min(n, total)).astype(np.int64)))[0]


def read_stretches(
    recordings: Sequence[Recording], stretches: Sequence[Stretch], length: int
) -> F32:
    """Windows of epochs, float32 (B, length, 3000); zeros in places before a night begins."""
    windows = np.zeros((len(stretches), length, EPOCH_SAMPLES), np.float32)
    for window, part in zip(windows, stretches, strict=True):
        epochs_uv = recordings[part.recording].epochs_uv(part.start, part.stop)
        window[part.place : part.place + len(epochs_uv)] = epochs_uv
    return windows


@torch.no_grad()
def standardise(
    network: MC2SleepNet, recordings: Sequence[Recording], known: Collection[str] = ()
) -> None:
    """Set the constants of spectra and band powers to those of ``recordings``, but for the
    ``known`` buffers, which came with trained weights."""
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
    network: MC2SleepNet, recordings: Sequence[Recording], ranks: Ranks
) -> list[EmbeddedNight]:
    """Every recording encoded once, in eval mode and float32, as the monitor would.

    The processes share the work, and then all hold all nights.
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
    for number, night in enumerate(nights):
        ranks.share(night.embeddings, number % ranks.world)
    return nights
