"""Condition and score one recording as the monitor does, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from models.contract import EPOCH_S, EPOCH_SAMPLES, HIGHPASS_HZ, LOWPASS_HZ, SFREQ_HZ, Gain
from monitor.conditioning import grid, quality
from monitor.conditioning.bridging import bridged
from monitor.errors import InputError
from monitor.sources.channel_names import name_key
from offline_training.arrays import F32
from offline_training.data.scored import ScoredNight

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
"""The constants that decide prepared samples. Training refuses recordings prepared with others.

If conditioning changes and no constant does, raise ``version`` by hand.
"""


@dataclass(frozen=True, slots=True)
class SourceRecording:
    """A recording to prepare, and the facts known of it before it is opened.

    - ``name`` is unique within ``dataset``; ``subject`` is unique over all data sets.
    - ``channels`` are tried in this order. If there are none, the monitor's own choice is used.
    - ``derivations`` maps a channel whose name does not state its derivation (EEG) to that
      derivation (C4-A1). The keys are those of `name_key`.
    - ``wake_min``: minutes of wake kept on either side of sleep, None for the whole recording.
    - ``gain``: UNKNOWN if amplitudes are not calibrated microvolts and must not be judged.
    - ``published``: SHA-256 of each of ``files``, if the authors of the data set published them.
    """

    dataset: str
    name: str
    subject: str
    licence: str
    recording: Path
    hypnogram: Path | None
    channels: tuple[str, ...]
    wake_min: float | None = None
    published: tuple[str, ...] = ()
    derivations: Mapping[str, str] = field(default_factory=dict)
    gain: Gain = Gain.KNOWN

    @property
    def files(self) -> list[Path]:
        """The files to read: the recording, and the hypnogram if it is a separate file."""
        return [path for path in (self.recording, self.hypnogram) if path is not None]


@dataclass(frozen=True, slots=True, eq=False)
class ConditionedNight:
    """n contiguous epochs of one recording.

    - ``epochs_uv``: float32 (n, 3000), microvolts at 100 Hz. Losses are bridged as in staging;
      unusable epochs are zeros.
    - ``stages``: n indices into `STAGES`; -1 if the expert scored none.
    - ``unusable``: the epochs that the monitor would leave unscored, by reason.
    - ``notes``: what the user must know, one sentence each.
    - Epoch 0 here is ``first_epoch`` on the recording's grid. The grid begins ``origin_s`` after
      the recording's start.
    """

    epochs_uv: F32
    stages: tuple[int, ...]
    unusable: dict[str, list[int]]
    channel: str
    source_sfreq_hz: float
    origin_s: float
    first_epoch: int
    notes: tuple[str, ...]


def condition(source: SourceRecording) -> ConditionedNight:
    """Read, condition and judge ``source`` in small pieces, as a replay does.

    The whole recording passes through the filters even if only a part is kept, so every epoch
    equals the monitor's, bit for bit. Memory holds the kept epochs, 12 kB each.

    Raises InputError if the recording cannot be read, or if it has none of the channels, no
    stages, no whole epoch, or no sleep to keep wake around.
    """
    night = ScoredNight.open(source.recording, source.hypnogram, source.channels, source.wake_min)
    first, stop = night.kept.start, night.kept.stop
    epochs_uv = np.zeros((stop - first, EPOCH_SAMPLES), np.float32)
    unusable: dict[str, list[int]] = {}
    n_kept = 0
    for epoch in islice(night.epochs(source.gain), first, stop):
        if epoch.quality.reason is None:
            epochs_uv[n_kept] = bridged(epoch.staged_uv)
        else:
            unusable.setdefault(epoch.quality.reason.value, []).append(n_kept)
        n_kept += 1
    if not n_kept:
        raise InputError(f"{source.recording} ends before the first epoch to keep is complete")
    name = night.derivation.name
    return ConditionedNight(
        epochs_uv=epochs_uv[:n_kept],
        stages=tuple(night.stage[first : first + n_kept].tolist()),
        unusable=unusable,
        channel=source.derivations.get(name_key(name), name),
        source_sfreq_hz=night.derivation.sfreq_hz,
        origin_s=night.origin_s,
        first_epoch=first,
        notes=night.notes,
    )
