"""The values that the folders of the monitor pass to one another.

All of them are frozen, and no code writes to the arrays in them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from models.contract import EPOCH_S, Stage

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

MIN_SFREQ_HZ = 80.0
"""Lowest rate of a source. It still covers 30 Hz, the highest frequency that the network reads."""

MAX_SFREQ_HZ = 50_000.0
"""Highest rate of a source. No EEG amplifier is faster: a higher rate is damage, and would allocate
gigabytes."""


UNDATED = date(1985, 1, 1)
"""The date of a recording without one: EDF+ asks anonymised files for it (section 2.1.3.4)."""


@dataclass(frozen=True, slots=True, eq=False)
class EegChunk:
    """Samples from a source, in the order in which they arrived.

    - ``data_uv``: float32 (n_channels, n_samples), microvolts.
    - ``times_s``: float64 (n_samples,), on the source's clock; any order, gaps and repeats allowed.
    - ``sfreq_hz``: the nominal rate. ``times_s`` decides the true rate.
    - ``reached_s``: the time on the source's clock, if it is later than the newest sample. While
      no samples arrive, it closes epochs on time. It never changes the content of an epoch.
    """

    data_uv: F32
    times_s: F64
    channels: tuple[str, ...]
    sfreq_hz: float
    reached_s: float | None = None

    def without_samples(self, reached_s: float) -> EegChunk:
        """Return a chunk of the same channels and rate that holds no samples, only the time."""
        data_uv, times_s = self.data_uv[:, :0], self.times_s[:0]
        return replace(self, data_uv=data_uv, times_s=times_s, reached_s=reached_s)


class Reason(StrEnum):
    """The reason why an epoch is unscored."""

    MISSING = "missing"
    FLAT = "flat"
    RAILED = "railed"
    MAINS = "mains"
    AMPLITUDE = "amplitude"
    NOISE = "noise"


@dataclass(frozen=True, slots=True)
class Quality:
    """The quality of an epoch's signal. ``reason`` is None if the epoch can be scored.

    ``missing_fraction`` is a share of the epoch; the other fractions are shares of the samples
    that arrived.
    """

    reason: Reason | None
    std_uv: float
    peak_to_peak_uv: float
    flat_fraction: float
    railed_fraction: float
    high_amplitude_fraction: float
    mains_fraction: float | None
    missing_fraction: float


@dataclass(frozen=True, slots=True)
class SampleLedger:
    """A count of every sample. ``received + filled + lost == expected`` always holds.

    - ``expected``, ``received``, ``filled``, ``lost`` count samples of the 100 Hz grid: all of
      them, measured, interpolated over a short gap, lost in a long gap.
    - ``arrived``, ``reordered``, ``duplicate``, ``late``, ``invalid`` count samples of the source
      at its own rate: all of them, moved into place, and dropped because they repeat, come too
      late or are not finite.
    """

    expected: int = 0
    received: int = 0
    filled: int = 0
    lost: int = 0
    arrived: int = 0
    reordered: int = 0
    duplicate: int = 0
    late: int = 0
    invalid: int = 0

    def __add__(self, other: SampleLedger) -> SampleLedger:
        return SampleLedger(
            **{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        )


@dataclass(frozen=True, slots=True)
class Derivation:
    """A signal that can be staged: a channel as recorded, or the difference of two channels.

    ``plus`` and ``minus`` are indices into the channels of its `Montage`; ``minus`` is None for a
    single channel.
    """

    name: str
    plus: int
    minus: int | None = None

    @property
    def channels(self) -> tuple[int, ...]:
        """Indices of the channels that the derivation needs."""
        return (self.plus,) if self.minus is None else (self.plus, self.minus)

    def of(self, data_uv: F32) -> F32:
        """Return the derived signal, float32 (n,), of channels float32 (n_channels, n)."""
        plus: F32 = data_uv[self.plus]
        if self.minus is None:
            return plus
        derived: F32 = plus - data_uv[self.minus]
        return derived


@dataclass(frozen=True, slots=True)
class Montage:
    """The channels that are conditioned, and their derivations; the preferred one is first."""

    channels: tuple[str, ...]
    derivations: tuple[Derivation, ...]

    @classmethod
    def of_one(cls, name: str) -> Montage:
        """Return the montage of a single channel."""
        return cls((name,), (Derivation(name, 0),))


@dataclass(frozen=True, slots=True, eq=False)
class Epoch:
    """Thirty seconds on the session's grid, conditioned, with their quality.

    - ``start_s``: grid origin + 30 * ``index``, on the source's clock; ``start_utc``: the same.
    - ``data_uv``: float32 (n_channels, 3000) at 100 Hz; NaN where lost.
    - ``derivation``: the derivation that is staged; ``quality``: the quality of that derivation.
    - ``channel_quality``: one per channel.
    - ``verdicts``: for each derivation of the montage, why it cannot be scored, or None.
    """

    index: int
    start_s: float
    start_utc: datetime
    data_uv: F32
    derivation: Derivation
    quality: Quality
    channel_quality: tuple[Quality, ...]
    verdicts: tuple[Reason | None, ...]
    ledger: SampleLedger

    @property
    def staged_uv(self) -> F32:
        """The signal that is staged, float32 (3000,)."""
        return self.derivation.of(self.data_uv)


class Track(StrEnum):
    """A series of predictions of a night.

    - LIVE: made when the epoch ends, from this epoch and earlier ones; never changed.
    - REVISED: improved by the epochs that follow, with a rising revision number.
    """

    LIVE = "live"
    REVISED = "revised"


@dataclass(frozen=True, slots=True)
class StagePrediction:
    """The prediction of one epoch's stage.

    - Scored: ``stage`` is set; ``probabilities`` has five values in `STAGES` order that sum to 1;
      ``confidence`` is the probability of ``stage``; ``reason`` is None.
    - Unscored: ``stage``, ``probabilities`` and ``confidence`` are None; ``reason`` is set.
    - Live: ``revision`` is 0, ``final`` is True. Revised: ``revision`` is 1, 2, ...; exactly one
      of them is final.
    - ``latency_s``: seconds of computing. Epochs that are staged together share their time evenly.
      It differs from run to run.
    """

    epoch_index: int
    track: Track
    revision: int
    final: bool
    stage: Stage | None
    reason: Reason | None
    probabilities: tuple[float, ...] | None
    confidence: float | None
    model: str
    latency_s: float


@dataclass(frozen=True, slots=True)
class Event:
    """A CloudEvents 1.0 event of a session.

    - ``sequence`` counts 1, 2, ... within the session.
    - ``id`` depends on the session and on what happened, never on when or how often it is sent.
    """

    sequence: int
    id: str
    type: str
    source: str
    time: datetime
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Session:
    """A monitored night.

    - ``id``: for a replay, a hash of the recording, the grid, the derivation and the weights.
    - ``start_s``: the grid origin on the source's clock; ``start_utc``: the same moment.
    - ``derivation``: the preferred one. Each epoch names the derivation that was staged.
    - ``sleeper``: the person's name, if several people are monitored together; else "".
    """

    id: str
    source: str
    derivation: str
    channels: tuple[str, ...]
    start_s: float
    start_utc: datetime
    sfreq_hz: float
    gain: str
    model: str
    sleeper: str = ""

    @property
    def has_date(self) -> bool:
        """False for the replay of a recording that states no date, see `UNDATED`."""
        return self.start_utc.date() != UNDATED

    def utc(self, time_s: float) -> datetime:
        """Return ``time_s`` of the source's clock in UTC."""
        return self.start_utc + timedelta(seconds=time_s - self.start_s)

    def epoch_at(self, time_s: float) -> int:
        """Return the index of the epoch that contains ``time_s``; 0 before the first one."""
        return max(0, int((time_s - self.start_s) // EPOCH_S))

    def epoch_start_utc(self, index: int) -> datetime:
        """Return when epoch ``index`` starts, which is when the one before it ends."""
        return self.start_utc + timedelta(seconds=EPOCH_S * index)


class MarkKind(StrEnum):
    """The kinds of marks that a person can make during the night."""

    LIGHTS_OFF = "lights_off"
    LIGHTS_ON = "lights_on"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Mark:
    """A person's mark at a moment of the night. Only a note has ``text``."""

    kind: MarkKind
    time_utc: datetime
    text: str | None = None


class SignalState(StrEnum):
    """The state of the signal as a whole.

    - WAITING: no sample has arrived yet.
    - GOOD, POOR: the newest epoch can be scored, or cannot (or too much of it is missing).
    - LOST: no sample for 5 s. RESTORED: samples arrive again, and no epoch has ended since.
    """

    WAITING = "waiting"
    GOOD = "good"
    POOR = "poor"
    LOST = "lost"
    RESTORED = "restored"


class Contact(StrEnum):
    """The contact of an electrode, judged by the last seconds of its channel."""

    GOOD = "good"
    POOR = "poor"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class ChannelState:
    """The state of one channel's electrode.

    ``reason``: why the contact is not good. ``std_uv``: standard deviation of the signal; None if
    no samples arrived.
    """

    name: str
    contact: Contact
    reason: Reason | None
    std_uv: float | None

    @classmethod
    def of(cls, name: str, quality: Quality) -> ChannelState:
        """Return the state of the electrode of channel ``name``, judged by ``quality``."""
        if quality.reason is None:
            contact = Contact.GOOD
        else:
            contact = Contact.OFF if quality.reason in _NO_CONTACT else Contact.POOR
        std_uv = None if quality.reason is Reason.MISSING else quality.std_uv
        return cls(name, contact, quality.reason, std_uv)


_NO_CONTACT = (Reason.FLAT, Reason.RAILED, Reason.MAINS, Reason.MISSING)
"""Reasons that show an electrode off the head. The other reasons show a poor contact."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The delivery of a session's events to the event server.

    ``url`` is None in a run without a server. The server holds ``published`` events of the session;
    ``waiting`` more are stored and not sent yet.
    """

    url: str | None
    connected: bool
    published: int
    waiting: int
