"""One recording conditioned and scored as the monitor would, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from models.contract import EPOCH_S, EPOCH_SAMPLES, SFREQ_HZ, STAGES, Gain, Stage
from monitor.conditioning import grid, quality
from monitor.conditioning.bridging import bridged
from monitor.conditioning.conditioner import HIGHPASS_HZ, LOWPASS_HZ, Conditioner
from monitor.errors import InputError
from monitor.sources.derivation import Derivation, choose_derivation
from monitor.sources.edf import EdfRecording
from monitor.sources.hypnogram import grid_origin_s, stages_on_grid
from monitor.types import EegChunk, Epoch
from offline_training.data.expert import expert_stages
from offline_training.data.recordings import F32

CHUNK_S = 30.0

CONDITIONING: dict[str, Any] = {
    "version": 1,
    "sfreq_hz": SFREQ_HZ,
    "epoch_s": EPOCH_S,
    "highpass_hz": HIGHPASS_HZ,
    "lowpass_hz": LOWPASS_HZ,
    "transition_hz": grid.TRANSITION_HZ,
    "stopband_db": grid.STOPBAND_DB,
    "max_fill_s": grid.MAX_FILL_S,
    "max_useless_fraction": quality.MAX_USELESS_FRACTION,
    "flat_std_uv": quality.FLAT_STD_UV,
    "rail_uv": quality.RAIL_UV,
    "max_railed_fraction": quality.MAX_RAILED_FRACTION,
    "high_amplitude_uv": quality.HIGH_AMPLITUDE_UV,
    "max_mains_fraction": quality.MAX_MAINS_FRACTION,
}
"""What decides prepared samples: recordings prepared with other values are refused.

``version`` is raised by hand where conditioning changes and no constant does.
"""


@dataclass(frozen=True, slots=True)
class Source:
    """A recording to prepare and what is known of it before it is opened.

    - ``name`` is unique within ``dataset``; ``subject`` over all data sets.
    - ``channels`` are tried in this order; without any the monitor's own choice is taken.
    - ``wake_min``: minutes of wake kept on either side of sleep, None for the whole recording.
    - ``published``: SHA-256 of each of ``files`` where the data set's makers published them.
    """

    dataset: str
    name: str
    subject: str
    licence: str
    recording: Path
    hypnogram: Path | None
    channels: tuple[str, ...]
    wake_min: float | None
    published: tuple[str, ...] = ()

    @property
    def files(self) -> list[Path]:
        """What is read: the recording, and the hypnogram if it is a file of its own."""
        return [path for path in (self.recording, self.hypnogram) if path is not None]


@dataclass(frozen=True, slots=True, eq=False)
class ConditionedNight:
    """n contiguous epochs of one recording.

    - ``epochs_uv``: float32 (n, 3000), microvolts at 100 Hz: losses bridged as in staging, zeros
      where unusable. ``stages``: index into `STAGES` or -1, n of them.
    - ``unusable``: the epochs that the monitor would leave unscored, by reason.
    - ``first_epoch`` of the recording's grid is epoch 0 here; the grid begins at ``origin_s``
      after the recording's start.
    """

    epochs_uv: F32
    stages: tuple[int, ...]
    unusable: dict[str, list[int]]
    channel: str
    source_sfreq_hz: float
    origin_s: float
    first_epoch: int


def condition(source: Source) -> ConditionedNight:
    """Read, condition and judge ``source`` as a replay with a known gain does, in small pieces.

    The whole recording passes through the filters even where it is trimmed, so every epoch is
    what the monitor makes of it, bit for bit. Memory holds the kept epochs, 12 kB each.

    Raises InputError where it cannot be read or holds no such channel, stages or whole epoch, or
    no sleep to keep wake around.
    """
    recording = EdfRecording.open(source.recording)
    derivation = _derivation(recording, source.channels)
    expert = expert_stages(recording, source.hypnogram)
    origin_s = grid_origin_s("auto", expert, recording.first_sample_s)
    n_epochs = math.floor((recording.duration_s - origin_s) / EPOCH_S + 1e-6)
    if n_epochs < 1:
        raise InputError(f"{source.recording} has no whole epoch: it is shorter than 30 s")
    expert_stage = [
        -1 if stage is None else STAGES.index(stage)
        for stage in stages_on_grid(expert, origin_s, n_epochs)
    ]
    first, stop = _kept(expert_stage, source)
    start_utc = recording.start_utc + timedelta(seconds=origin_s)
    conditioner = Conditioner(1, derivation.sfreq_hz, origin_s, start_utc, Gain.KNOWN)
    epochs_uv = np.zeros((stop - first, EPOCH_SAMPLES), np.float32)
    unusable: dict[str, list[int]] = {}
    n_kept = 0
    for epoch in islice(_epochs(conditioner, recording.chunks(derivation, CHUNK_S)), first, stop):
        if epoch.quality.reason is None:
            epochs_uv[n_kept] = bridged(epoch.data_uv[0])
        else:
            unusable.setdefault(epoch.quality.reason.value, []).append(n_kept)
        n_kept += 1
    if not n_kept:
        raise InputError(f"{source.recording} ends before the first epoch to keep is complete")
    return ConditionedNight(
        epochs_uv=epochs_uv[:n_kept],
        stages=tuple(expert_stage[first : first + n_kept]),
        unusable=unusable,
        channel=derivation.name,
        source_sfreq_hz=derivation.sfreq_hz,
        origin_s=origin_s,
        first_epoch=first,
    )


def _epochs(conditioner: Conditioner, chunks: Iterable[EegChunk]) -> Iterator[Epoch]:
    for chunk in chunks:
        yield from conditioner.push(chunk)
    yield from conditioner.finish()


def _derivation(recording: EdfRecording, names: Sequence[str]) -> Derivation:
    """The first of ``names`` that ``recording`` has, without names the monitor's own choice."""
    for name in names:
        with suppress(InputError):
            return choose_derivation(recording.channels, name)
    return choose_derivation(recording.channels, names[0] if names else None)


def _kept(stages: Sequence[int], source: Source) -> tuple[int, int]:
    """The epochs to keep: all, or those from the first to the last of sleep and the wake around."""
    if source.wake_min is None:
        return 0, len(stages)
    sleep = np.flatnonzero(np.asarray(stages) > STAGES.index(Stage.W))
    if not sleep.size:
        raise InputError(
            f"{source.recording} has no epoch scored as sleep: keep all of it with --wake-min all"
        )
    wake = round(source.wake_min * 60.0 / EPOCH_S)
    return max(0, int(sleep[0]) - wake), min(len(stages), int(sleep[-1]) + 1 + wake)
