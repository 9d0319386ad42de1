"""Samples in, judged epochs out: ordering, grid, high-pass and epochs in one line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import numpy as np

from models.contract import EPOCH_S, EPOCH_SAMPLES, HIGHPASS_HZ, SFREQ_HZ, Gain
from monitor.conditioning.grid import (
    TIME_TOLERANCE_S,
    GridBlock,
    GridResampler,
    Origin,
)
from monitor.conditioning.highpass import HighPass
from monitor.conditioning.montage import DerivationChooser
from monitor.conditioning.ordering import Arrival, OrderedSamples, SampleOrderer
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
    SampleLedger,
)

MAX_GAP_S = 24 * 3600.0
"""A jump of a source's clock beyond this is a broken clock, not a gap in a night."""


SILENCE_WAIT_S = 10.0
"""While nothing comes, epochs stay open so long for samples that are under way: what a link that
stalls and recovers delivers late is not lost. Samples that do come close an epoch at once."""

CONTACT_S = 5.0
"""Electrode contact is judged on so much of the newest signal."""


class Conditioner:
    """The signal path of one session: the same epochs however its input is cut into chunks.

    ``origin_s`` is where epoch 0 starts on the source's clock; ``start_utc`` the same moment.
    Samples before it only settle the filters. A night that is taken up again begins with
    ``first_epoch``: what is missing of it is lost, and `recall` tells what the epochs before were
    like. Chunks hold the channels of ``montage``. Raises `InputError` for a rate below 80 Hz.
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
            after_s = origin_s + EPOCH_S * first_epoch - 0.5 / SFREQ_HZ
            first_point = EPOCH_SAMPLES * first_epoch
            self._orderer = SampleOrderer(n_channels, sfreq_hz, after_s)
            self._resampler = GridResampler(n_channels, sfreq_hz, origin_s, first_point)
        else:
            self._orderer = SampleOrderer(n_channels, sfreq_hz)
            self._resampler = GridResampler(n_channels, sfreq_hz, origin_s)
        self._highpass = HighPass(HIGHPASS_HZ)
        self._chooser = DerivationChooser(len(montage.derivations))
        self._next_epoch = first_epoch or 0
        self._last_s: float | None = None
        self._last_uv: F32 = np.zeros((n_channels, 1), np.float32)
        # What the unfinished epoch has so far; its first grid sample is EPOCH_SAMPLES * index.
        self._grid_data: F64 = np.empty((n_channels, 0))
        self._grid_origin = np.empty(0, np.int8)
        self._raw_data: F32 = np.empty((n_channels, 0), np.float32)
        self._raw_times: F64 = np.empty(0)
        self._arrivals: defaultdict[int, np.ndarray] = defaultdict(
            lambda: np.zeros(len(Arrival), np.int64)
        )
        self._recent: F32 = np.full((n_channels, EPOCH_SAMPLES), np.nan, np.float32)
        self._recent_raw: F32 = np.empty((n_channels, 0), np.float32)

    @property
    def derivation(self) -> Derivation:
        """The derivation staged last, or to be staged first."""
        return self._montage.derivations[self._chooser.chosen]

    @property
    def recent_uv(self) -> F32:
        """The last 30 s of that derivation, (3000,), NaN where lost or not yet."""
        return self.derivation.of(self._recent)

    def verdict(self, epoch: Epoch, derivation: str) -> Reason | None:
        """Why the derivation called so could not be staged in ``epoch``, or None if it could."""
        names = [each.name for each in self._montage.derivations]
        return epoch.verdicts[names.index(derivation)]

    def contacts(self) -> tuple[ChannelState, ...]:
        """What the last `CONTACT_S` seconds say about each channel; () in the first of them."""
        if self._recent_raw.shape[1] < round(CONTACT_S * self._sfreq_hz):
            return ()
        recent = self._recent[:, -round(CONTACT_S * SFREQ_HZ) :]
        states = zip(self._montage.channels, recent, self._recent_raw, strict=True)
        return tuple(
            ChannelState.of(name, judge(newest, raw, self._sfreq_hz, self._gain))
            for name, newest, raw in states
        )

    def recall(self, verdicts: Iterable[Sequence[Reason | None]]) -> None:
        """The verdicts on every epoch before the first, as stored: which derivation is due."""
        for each in verdicts:
            self._chooser.choose(each)

    def push(self, chunk: EegChunk) -> list[Epoch]:
        """Take a chunk; return the epochs it completes."""
        data_uv = self._without_partial_nan(chunk.data_uv)
        epochs = self._take(self._orderer.push(data_uv, chunk.times_s))
        if chunk.reached_s is not None:
            settled, closed_s = self._orderer.advance(chunk.reached_s - SILENCE_WAIT_S)
            epochs += self._take(settled) + self._lay(self._resampler.skip(closed_s))
        return epochs

    def finish(self) -> list[Epoch]:
        """Settle what still waits behind a gap. The unfinished last epoch is no epoch."""
        return self._take(self._orderer.finish()) + self._lay(self._resampler.finish())

    def _without_partial_nan(self, data_uv: F32) -> F32:
        """A channel that gives no number where others do repeats its last one: flat, and judged as
        that, while the others are staged."""
        finite = np.isfinite(data_uv)
        if not finite.all():
            partial = finite.any(axis=0) & ~finite
            at = np.maximum.accumulate(np.where(finite, np.arange(data_uv.shape[1]), -1), axis=1)
            repeated = np.take_along_axis(data_uv, np.maximum(at, 0), axis=1)
            repeated = np.where(at >= 0, repeated, self._last_uv)
            data_uv = np.where(partial, repeated, data_uv)
            # Where none gives a number the sample stays invalid.
            self._last_uv = repeated[:, -1:]
        elif data_uv.shape[1]:
            self._last_uv = data_uv[:, -1:]
        return data_uv

    def _take(self, ordered: OrderedSamples) -> list[Epoch]:
        self._count_arrivals(ordered)
        self._refuse_broken_clock(ordered.times_s)
        self._raw_data = np.concatenate([self._raw_data, ordered.data_uv], axis=1)
        self._raw_times = np.concatenate([self._raw_times, ordered.times_s])
        newest = np.concatenate([self._recent_raw, ordered.data_uv], axis=1)
        self._recent_raw = newest[:, -round(CONTACT_S * self._sfreq_hz) :]
        return self._lay(self._resampler.push(ordered.data_uv, ordered.times_s))

    def _lay(self, resampled: GridBlock) -> list[Epoch]:
        """Lay grid samples into epochs; return the epochs they complete."""
        block = self._highpass.push(resampled)
        self._remember(block)
        in_epoch = block.first + np.arange(block.origin.size) >= 0
        self._grid_data = np.concatenate([self._grid_data, block.data_uv[:, in_epoch]], axis=1)
        self._grid_origin = np.concatenate([self._grid_origin, block.origin[in_epoch]])
        epochs = []
        while self._grid_origin.size >= EPOCH_SAMPLES:
            epochs.append(self._close_epoch())
        return epochs

    def _close_epoch(self) -> Epoch:
        index = self._next_epoch
        start_s = self._origin_s + EPOCH_S * index
        origin = self._grid_origin[:EPOCH_SAMPLES]
        data_uv = _with_gaps(self._grid_data[:, :EPOCH_SAMPLES], origin)
        # The source's samples since the last grid point of the epoch before, up to this one's: all
        # of them are here, however the samples were cut.
        last_point_s = start_s + EPOCH_S - 1.0 / SFREQ_HZ
        bounds_s = np.array([last_point_s - EPOCH_S, last_point_s]) + TIME_TOLERANCE_S
        first, stop = np.searchsorted(self._raw_times, bounds_s)
        raw_uv = self._raw_data[:, first:stop]
        channel_quality = tuple(map(self._judge, data_uv, raw_uv))
        derived = [
            self._judge_derivation(each, data_uv, raw_uv, channel_quality)
            for each in self._montage.derivations
        ]
        verdicts = tuple(quality.reason for quality in derived)
        chosen = self._chooser.choose(verdicts)
        ledger = _ledger(origin, self._arrivals.pop(index, np.zeros(len(Arrival), np.int64)))
        self._grid_data = self._grid_data[:, EPOCH_SAMPLES:]
        self._grid_origin = self._grid_origin[EPOCH_SAMPLES:]
        self._raw_data, self._raw_times = self._raw_data[:, stop:], self._raw_times[stop:]
        self._next_epoch += 1
        start_utc = self._start_utc + timedelta(seconds=EPOCH_S * index)
        return Epoch(
            index,
            start_s,
            start_utc,
            data_uv,
            self._montage.derivations[chosen],
            derived[chosen],
            channel_quality,
            verdicts,
            ledger,
        )

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

    def _count_arrivals(self, ordered: OrderedSamples) -> None:
        # A sample counts for the epoch whose last grid point the newest time seen has not passed.
        # One that is dropped at that very point comes after it closed the epoch: for the next.
        last_point_s = EPOCH_S - 1.0 / SFREQ_HZ
        # Before any valid sample, the first epoch.
        newest_s = np.where(np.isfinite(ordered.newest_s), ordered.newest_s, self._origin_s)
        past = (newest_s - self._origin_s - last_point_s) / EPOCH_S
        placed = ordered.arrivals <= Arrival.REORDERED
        tolerance = TIME_TOLERANCE_S / EPOCH_S
        open_epoch = np.where(
            placed, np.ceil(past - tolerance), np.floor(past + tolerance) + 1
        ).astype(np.int64)
        if not open_epoch.size:
            return
        first, n_epochs, n = int(open_epoch.min()), int(np.ptp(open_epoch)) + 1, len(Arrival)
        fates = np.bincount((open_epoch - first) * n + ordered.arrivals, minlength=n_epochs * n)
        fates = fates.reshape(n_epochs, n)
        for index in np.flatnonzero(fates.any(axis=1)).tolist():
            self._arrivals[first + index] += fates[index]

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

    def _remember(self, block: GridBlock) -> None:
        newest = _with_gaps(block.data_uv, block.origin)
        self._recent = np.concatenate([self._recent, newest], axis=1)[:, -EPOCH_SAMPLES:]


def _with_gaps(data_uv: F64, origin: np.ndarray) -> F32:
    return np.where(origin == Origin.LOST, np.nan, data_uv).astype(np.float32)


def _ledger(origin: np.ndarray, fates: np.ndarray) -> SampleLedger:
    return SampleLedger(
        expected=EPOCH_SAMPLES,
        received=int(np.sum(origin == Origin.RECEIVED)),
        filled=int(np.sum(origin == Origin.FILLED)),
        lost=int(np.sum(origin == Origin.LOST)),
        arrived=int(fates.sum()),
        reordered=int(fates[Arrival.REORDERED]),
        duplicate=int(fates[Arrival.DUPLICATE]),
        late=int(fates[Arrival.LATE]),
        invalid=int(fates[Arrival.INVALID]),
    )
