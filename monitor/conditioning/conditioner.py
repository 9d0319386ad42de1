"""Turn samples into judged epochs: order, grid, high-pass, epochs, quality."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import numpy as np

from models.contract import EPOCH_S, EPOCH_SAMPLES, HIGHPASS_HZ, SFREQ_HZ, Gain
from monitor.conditioning.derivation_chooser import DerivationChooser
from monitor.conditioning.grid import TIME_TOLERANCE_S, GridBlock, GridResampler, SampleProvenance
from monitor.conditioning.held_channels import HeldChannels
from monitor.conditioning.highpass import HighPass
from monitor.conditioning.ledger import ArrivalCounter
from monitor.conditioning.ordering import OrderedSamples, SampleOrderer
from monitor.conditioning.quality import judge, judge_derivation
from monitor.errors import InputError, MonitorError
from monitor.types import (
    F32,
    F64,
    MIN_SFREQ_HZ,
    ChannelState,
    Derivation,
    EegChunk,
    Epoch,
    Montage,
    Quality,
    Reason,
)

MAX_GAP_S = 24 * 3600.0
"""A source's clock that jumps ahead by more than this is broken: no night has such a gap."""

SILENCE_WAIT_S = 10.0
"""While no sample comes, an epoch stays open this much longer for samples that are under way. A
link that stalls and recovers delivers them late. If samples come, they close an epoch at once."""

CONTACT_S = 5.0
"""Length of the newest signal on which the contact of electrodes is judged."""


class Conditioner:
    """The signal path of one session.

    - The epochs are the same, bit for bit, however the input is cut into chunks.
    - Chunks hold the channels of ``montage``.
    - ``origin_s`` is the start of epoch 0 on the source's clock, and ``start_utc`` the same moment.
      Samples before it only settle the filters.

    A night that is continued begins with ``first_epoch``. The samples of this epoch that came
    before the interruption are lost. `recall` restores the choice of derivation.

    Raises `InputError` for a rate below 80 Hz.
    """

    def __init__(
        self,
        montage: Montage,
        sfreq_hz: float,
        origin_s: float,
        start_utc: datetime,
        gain: Gain,
        first_epoch: int | None = None,
    ) -> None:
        if sfreq_hz < MIN_SFREQ_HZ:
            raise InputError(
                f"the sampling rate is {sfreq_hz:g} Hz; staging needs at least {MIN_SFREQ_HZ:g} Hz"
            )
        n_channels = len(montage.channels)
        self._montage = montage
        self._sfreq_hz = sfreq_hz
        self._origin_s = origin_s
        self._start_utc = start_utc
        self._gain = gain
        if first_epoch is not None:
            # A sample up to half a grid step before the epoch still counts for its first point.
            after_s = origin_s + EPOCH_S * first_epoch - 0.5 / SFREQ_HZ
            first_point = EPOCH_SAMPLES * first_epoch
            self._orderer = SampleOrderer(n_channels, sfreq_hz, after_s)
            self._resampler = GridResampler(n_channels, sfreq_hz, origin_s, first_point)
        else:
            self._orderer = SampleOrderer(n_channels, sfreq_hz)
            self._resampler = GridResampler(n_channels, sfreq_hz, origin_s)
        self._held = HeldChannels(n_channels)
        self._arrivals = ArrivalCounter(origin_s)
        self._highpass = HighPass(HIGHPASS_HZ)
        self._chooser = DerivationChooser(len(montage.derivations))
        self._next_epoch = first_epoch or 0
        self._last_s: float | None = None  # the time of the last settled sample
        # The unfinished epoch: its grid points so far, and the source's samples.
        self._grid_data: F64 = np.empty((n_channels, 0))
        self._provenance = np.empty(0, np.int8)
        self._raw_data: F32 = np.empty((n_channels, 0), np.float32)
        self._raw_times: F64 = np.empty(0)
        # The newest 30 s on the grid, and CONTACT_S of the source's samples.
        self._recent: F32 = np.full((n_channels, EPOCH_SAMPLES), np.nan, np.float32)
        self._recent_raw: F32 = np.empty((n_channels, 0), np.float32)

    @property
    def derivation(self) -> Derivation:
        """The derivation that was staged last, or that will be staged first."""
        return self._montage.derivations[self._chooser.chosen]

    @property
    def recent_uv(self) -> F32:
        """The newest 30 s of this derivation, (3000,), NaN where lost or not yet received."""
        return self.derivation.of(self._recent)

    def verdict(self, epoch: Epoch, derivation: str) -> Reason | None:
        """Return why the derivation of this name cannot be scored in ``epoch``, or None."""
        names = [each.name for each in self._montage.derivations]
        return epoch.verdicts[names.index(derivation)]

    def contacts(self) -> tuple[ChannelState, ...]:
        """Judge each channel on the newest `CONTACT_S` seconds; () if there are fewer so far."""
        if self._recent_raw.shape[1] < round(CONTACT_S * self._sfreq_hz):
            return ()
        recent = self._recent[:, -round(CONTACT_S * SFREQ_HZ) :]
        states = zip(self._montage.channels, recent, self._recent_raw, strict=True)
        return tuple(
            ChannelState.of(name, judge(newest, raw, self._sfreq_hz, self._gain))
            for name, newest, raw in states
        )

    def recall(self, verdicts: Iterable[Sequence[Reason | None]]) -> None:
        """Restore the choice of derivation from the stored verdicts on all epochs so far."""
        for each in verdicts:
            self._chooser.choose(each)

    def push(self, chunk: EegChunk) -> list[Epoch]:
        """Add a chunk; return the epochs that it completes.

        Raises `MonitorError` if the source's clock jumps ahead by more than `MAX_GAP_S`.
        """
        data_uv = self._held.fill(chunk.data_uv)
        epochs = self._add_samples(self._orderer.push(data_uv, chunk.times_s))
        if chunk.reached_s is not None:
            settled, closed_s = self._orderer.advance(chunk.reached_s - SILENCE_WAIT_S)
            epochs += self._add_samples(settled) + self._add_points(self._resampler.skip(closed_s))
        return epochs

    def finish(self) -> list[Epoch]:
        """Settle the samples that wait behind a gap; return the epochs that they complete.

        The last epoch is dropped if it is not complete.
        """
        return self._add_samples(self._orderer.finish()) + self._add_points(
            self._resampler.finish()
        )

    def _add_samples(self, ordered: OrderedSamples) -> list[Epoch]:
        """Add settled samples; return the epochs that they complete."""
        self._arrivals.count(ordered)
        self._refuse_broken_clock(ordered.times_s)
        self._raw_data = np.concatenate([self._raw_data, ordered.data_uv], axis=1)
        self._raw_times = np.concatenate([self._raw_times, ordered.times_s])
        newest = np.concatenate([self._recent_raw, ordered.data_uv], axis=1)
        self._recent_raw = newest[:, -round(CONTACT_S * self._sfreq_hz) :]
        return self._add_points(self._resampler.push(ordered.data_uv, ordered.times_s))

    def _add_points(self, resampled: GridBlock) -> list[Epoch]:
        """Add grid points to the open epoch; return the epochs that they complete."""
        block = self._highpass.push(resampled)
        newest = _with_gaps(block.data_uv, block.provenance)
        self._recent = np.concatenate([self._recent, newest], axis=1)[:, -EPOCH_SAMPLES:]
        in_epoch = block.first + np.arange(block.provenance.size) >= 0
        self._grid_data = np.concatenate([self._grid_data, block.data_uv[:, in_epoch]], axis=1)
        self._provenance = np.concatenate([self._provenance, block.provenance[in_epoch]])
        epochs = []
        while self._provenance.size >= EPOCH_SAMPLES:
            epochs.append(self._close_epoch())
        return epochs

    def _close_epoch(self) -> Epoch:
        """Judge the oldest 30 s of the grid as an epoch, and remove them."""
        index = self._next_epoch
        start_s = self._origin_s + EPOCH_S * index
        provenance = self._provenance[:EPOCH_SAMPLES]
        data_uv = _with_gaps(self._grid_data[:, :EPOCH_SAMPLES], provenance)
        raw_uv = self._cut_raw(start_s)
        channel_quality = tuple(map(self._judge, data_uv, raw_uv))
        derived = [
            self._judge_derivation(each, data_uv, raw_uv, channel_quality)
            for each in self._montage.derivations
        ]
        verdicts = tuple(quality.reason for quality in derived)
        chosen = self._chooser.choose(verdicts)
        self._grid_data = self._grid_data[:, EPOCH_SAMPLES:]
        self._provenance = self._provenance[EPOCH_SAMPLES:]
        self._next_epoch += 1
        return Epoch(
            index=index,
            start_s=start_s,
            start_utc=self._start_utc + timedelta(seconds=EPOCH_S * index),
            data_uv=data_uv,
            derivation=self._montage.derivations[chosen],
            quality=derived[chosen],
            channel_quality=channel_quality,
            verdicts=verdicts,
            ledger=self._arrivals.close(index, provenance),
        )

    def _cut_raw(self, start_s: float) -> F32:
        """Remove and return the source's samples of the epoch from ``start_s``, (n_channels, n).

        These are the samples after the last grid point of the epoch before, up to the last grid
        point of this one. All of them are here when the epoch closes, however the input was cut.
        """
        last_point_s = start_s + EPOCH_S - 1.0 / SFREQ_HZ
        bounds_s = np.array([last_point_s - EPOCH_S, last_point_s]) + TIME_TOLERANCE_S
        first, stop = np.searchsorted(self._raw_times, bounds_s)
        raw_uv = self._raw_data[:, first:stop]
        self._raw_data, self._raw_times = self._raw_data[:, stop:], self._raw_times[stop:]
        return raw_uv

    def _judge(self, conditioned_uv: F32, raw_uv: F32) -> Quality:
        return judge(conditioned_uv, raw_uv, self._sfreq_hz, self._gain)

    def _judge_derivation(
        self, derivation: Derivation, data_uv: F32, raw_uv: F32, channels: Sequence[Quality]
    ) -> Quality:
        derived_uv = derivation.of(data_uv)
        if derivation.minus is None:
            quality = channels[derivation.plus]
        else:
            quality = self._judge(derived_uv, derivation.of(raw_uv))
        return judge_derivation(quality, [channels[n] for n in derivation.channels], derived_uv)

    def _refuse_broken_clock(self, times_s: F64) -> None:
        if not times_s.size:
            return
        before_s = times_s[0] if self._last_s is None else self._last_s
        jump_s = float(np.max(np.diff(times_s, prepend=before_s)))
        self._last_s = float(times_s[-1])
        if jump_s > MAX_GAP_S:
            raise MonitorError(
                f"the source's clock jumped by {jump_s / 3600.0:.1f} h; check the recording's "
                "timestamps or the device's clock and start again"
            )


def _with_gaps(data_uv: F64, provenance: np.ndarray) -> F32:
    """Return the grid samples as float32, NaN where lost."""
    return np.where(provenance == SampleProvenance.LOST, np.nan, data_uv).astype(np.float32)
