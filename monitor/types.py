"""What flows between the stages of the monitor. All frozen; arrays in them are never written to."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from models.contract import EPOCH_S, Stage

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

MIN_SFREQ_HZ = 80.0
"""The slowest source that still covers the 30 Hz that the network looks at."""


@dataclass(frozen=True, slots=True, eq=False)
class EegChunk:
    """Samples as a source hands them over, in the order they arrived.

    - ``data_uv``: float32 (n_channels, n_samples), microvolts.
    - ``times_s``: float64 (n_samples,), the source's clock; any order, gaps and repeats allowed.
    - ``sfreq_hz``: the nominal rate. The true rate is whatever ``times_s`` says.
    - ``reached_s``: where the source's clock stands if that is later than the samples say, as in a
      chunk without samples while nothing comes. It closes epochs in time, and changes none.
    """

    data_uv: F32
    times_s: F64
    channels: tuple[str, ...]
    sfreq_hz: float
    reached_s: float | None = None


class Reason(StrEnum):
    """Why an epoch is unscored."""

    MISSING = "missing"
    FLAT = "flat"
    RAILED = "railed"
    MAINS = "mains"
    AMPLITUDE = "amplitude"
    NOISE = "noise"


@dataclass(frozen=True, slots=True)
class Quality:
    """What an epoch's signal is worth. ``reason`` is None for an epoch that can be scored.

    ``missing_fraction`` is of the epoch, the other fractions are of what was seen of it.
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
    """Where every sample went. ``received + filled + lost == expected`` always holds.

    The first four count samples of the 100 Hz grid: measured, bridged by interpolation over a
    short gap, and lost in a long one. The others count samples of the source, at its own rate:
    all that ``arrived``, and of these the ones ``reordered`` into place, and the ones dropped as
    ``duplicate``, as too ``late``, or as ``invalid`` (not finite).
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
    """A signal to stage: a channel as recorded, or the difference of two.

    ``plus`` and ``minus`` count the channels of its `Montage`; ``minus`` is None for a channel as
    it is.
    """

    name: str
    plus: int
    minus: int | None = None

    @property
    def channels(self) -> tuple[int, ...]:
        return (self.plus,) if self.minus is None else (self.plus, self.minus)

    def of(self, data_uv: F32) -> F32:
        """The derived signal, (n,), of channels (n_channels, n)."""
        plus: F32 = data_uv[self.plus]
        if self.minus is None:
            return plus
        derived: F32 = plus - data_uv[self.minus]
        return derived


@dataclass(frozen=True, slots=True)
class Montage:
    """The channels that are conditioned, and the derivations of them that can be staged, the
    preferred one first."""

    channels: tuple[str, ...]
    derivations: tuple[Derivation, ...]

    @classmethod
    def of_one(cls, name: str) -> Montage:
        """One channel, staged as it is."""
        return cls((name,), (Derivation(name, 0),))


@dataclass(frozen=True, slots=True, eq=False)
class Epoch:
    """Thirty seconds on the session's grid, conditioned and judged.

    - ``start_s`` is on the source's clock: grid origin + 30 * ``index``. ``start_utc`` likewise.
    - ``data_uv``: float32 (n_channels, 3000) at 100 Hz; NaN where lost.
    - ``derivation`` is the one that is staged, ``quality`` is its.
    - ``channel_quality``: one a channel. ``verdicts``: one a derivation of the montage, why it
      cannot be scored, or None.
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
        """The signal that is staged, (3000,)."""
        return self.derivation.of(self.data_uv)


class Track(StrEnum):
    """LIVE: made when the epoch ends, from the past alone, never changed.
    REVISED: improved by the epochs that follow, under a rising revision number."""

    LIVE = "live"
    REVISED = "revised"


@dataclass(frozen=True, slots=True)
class StagePrediction:
    """One opinion on one epoch.

    - Scored: ``stage`` set, ``probabilities`` are five in `STAGES` order that sum to 1,
      ``confidence`` is the probability of ``stage``, ``reason`` is None.
    - Unscored: ``stage``, ``probabilities`` and ``confidence`` are None, ``reason`` says why.
    - Live: ``revision`` 0 and ``final``. Revised: ``revision`` 1, 2, ...; exactly one is final.
    - ``latency_s``: seconds of computing this prediction took, of epochs staged together its share;
      differs from run to run.
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
    """One CloudEvents 1.0 event of a session. ``sequence`` counts 1, 2, ... within the session.

    ``id`` depends on the session and on what happened, never on when or how often it is sent.
    """

    sequence: int
    id: str
    type: str
    source: str
    time: datetime
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Session:
    """One monitored night. ``id`` of a replay derives from recording, grid, derivation and model.

    ``start_s`` is the grid origin on the source's clock, ``start_utc`` the same moment.
    ``derivation`` is the preferred one; each epoch says which one was staged. ``sleeper`` tells
    the people apart who are monitored together.
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
    """What a person can tell the monitor during the night."""

    LIGHTS_OFF = "lights_off"
    LIGHTS_ON = "lights_on"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Mark:
    """Something a person said, at a moment of the night. Only a note has ``text``."""

    kind: MarkKind
    time_utc: datetime
    text: str | None = None


class SignalState(StrEnum):
    """Whether samples come in that can be scored.

    LOST: none for 5 s. RESTORED: they come again, and have not been judged yet.
    """

    WAITING = "waiting"
    GOOD = "good"
    POOR = "poor"
    LOST = "lost"
    RESTORED = "restored"


class Contact(StrEnum):
    """What a channel's last seconds say about its electrode."""

    GOOD = "good"
    POOR = "poor"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class ChannelState:
    """One channel now. ``reason`` says why its contact is not good; ``std_uv`` of the last
    seconds, None while nothing comes."""

    name: str
    contact: Contact
    reason: Reason | None
    std_uv: float | None

    @classmethod
    def of(cls, name: str, quality: Quality) -> ChannelState:
        """Return what ``quality`` says about the contact of the channel's electrode."""
        contact = Contact.OFF if quality.reason in _NO_CONTACT else Contact.POOR
        if quality.reason is None:
            contact = Contact.GOOD
        std_uv = None if quality.reason is Reason.MISSING else quality.std_uv
        return cls(name, contact, quality.reason, std_uv)


_NO_CONTACT = (Reason.FLAT, Reason.RAILED, Reason.MAINS, Reason.MISSING)


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where events go and how far they got."""

    url: str | None
    connected: bool
    published: int
    waiting: int
