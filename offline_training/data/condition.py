"""One recording conditioned and scored as the monitor would, epoch by epoch."""

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
"""What decides prepared samples: recordings prepared with other values are refused.

``version`` is raised by hand where conditioning changes and no constant does.
"""


@dataclass(frozen=True, slots=True)
class Source:
    """A recording to prepare and what is known of it before it is opened.

    - ``name`` is unique within ``dataset``; ``subject`` over all data sets.
    - ``channels`` are tried in this order; without any the monitor's own choice is taken.
    - ``derivations``: what a channel is (C4-A1) whose name does not say it (EEG), by `name_key`.
    - ``wake_min``: minutes of wake kept on either side of sleep, None for the whole recording.
    - ``gain``: UNKNOWN where amplitudes are no calibrated microvolts and must not be judged.
    - ``published``: SHA-256 of each of ``files`` where the data set's makers published them.
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
    """Read, condition and judge ``source`` as a replay does, in small pieces.

    The whole recording passes through the filters even where it is trimmed, so every epoch is
    what the monitor makes of it, bit for bit. Memory holds the kept epochs, 12 kB each.

    Raises InputError where it cannot be read or holds no such channel, stages or whole epoch, or
    no sleep to keep wake around.
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
    )
