"""What a night does to samples on their way, done on purpose: reproducible, counted, composable.

Each fault is a pure function of a `Block`: chance comes from the seed and the sample number alone,
so a night has the same faults however it is cut, at whatever speed, and after a restart. Faults are
written as text, several joined by ``;``::

    loss=0.05           packets lost, as a share of all
    gap=60@600          60 s missing from 600 s on
    duplicate=0.02      packets sent twice
    reorder=0.05        packets overtaken by the next
    drift=200           a device fast by 200 ppm, its stamps true
    jitter=0.010        stamps off by so many seconds rms
    step=2.5@120        stamps jump by 2.5 s, the signal does not
    nan=0.5@600/60      half of the samples NaN, for 60 s
    flat=AF7@600/900    a channel dead for 900 s
    railed=AF7@600/900  a channel at its limit
    hum50=80@600/900    mains of 80 uV peak; or hum60
    hum50=AF7:800@600   in one channel
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

PACKET = 12
"""Samples a headband sends at once (a Muse: 12, every 47 ms)."""

UNIT = 2 * PACKET
"""Blocks hold whole units of the device's count: what overtakes does so within one."""

RAIL_UV = 1000.0


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Samples on their way, in the order they will be sent.

    ``data_uv`` float32 (n_channels, n); ``stamps_s`` float64 (n,): what the samples say of their
    time, in seconds of the device since its first sample; ``index`` int64 (n,): which sample of
    the device each one is.
    """

    data_uv: F32
    stamps_s: F64
    index: I64

    def take(self, which: Bool | I64) -> Block:
        return Block(self.data_uv[:, which], self.stamps_s[which], self.index[which])


@dataclass(frozen=True, slots=True)
class Stretch:
    """From ``start_s`` on for ``length_s`` (None: to the end), by the device's own count."""

    start_s: float = 0.0
    length_s: float | None = None

    def holds(self, index: I64, rate_hz: float) -> Bool:
        first = round(self.start_s * rate_hz)
        if self.length_s is None:
            return np.asarray(index >= first)
        return np.asarray((index >= first) & (index < first + round(self.length_s * rate_hz)))


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: ``value`` is what its kind says; ``channel`` the name of one, or empty."""

    kind: str
    value: float = 0.0
    channel: str = ""
    stretch: Stretch = Stretch()

    @property
    def text(self) -> str:
        """As it is written; `parse` reads it back."""
        value = "" if self.kind in _OF_A_CHANNEL else f"{self.value:g}"
        what = f"{self.kind}={':'.join(filter(None, (self.channel, value)))}"
        if self.stretch == Stretch() or self.kind == "gap":
            return what if self.kind != "gap" else f"{what}@{self.stretch.start_s:g}"
        length_s = self.stretch.length_s
        return f"{what}@{self.stretch.start_s:g}" + ("" if length_s is None else f"/{length_s:g}")


@dataclass(slots=True)
class Done:
    """What one fault did: samples touched, and the first and last of them."""

    samples: int = 0
    first: int | None = None
    last: int | None = None

    def note(self, index: I64) -> None:
        if index.size:
            self.samples += index.size
            self.first = int(index.min()) if self.first is None else self.first
            self.last = int(index.max())


class Injector:
    """Passes blocks through ``faults`` in order and counts what each one did.

    A block must hold whole units of `UNIT` samples, as the device made them.
    """

    def __init__(
        self, faults: Sequence[Fault], channels: Sequence[str], rate_hz: float, seed: int = 0
    ) -> None:
        for fault in faults:
            if fault.channel and fault.channel not in channels:
                raise ValueError(f"{fault.text}: no channel {fault.channel} among {channels}")
        self._faults = tuple(faults)
        self._channels = tuple(channels)
        self._rate_hz = rate_hz
        self._seed = seed
        self.done = {fault.text: Done() for fault in faults}

    @property
    def ppm(self) -> float:
        """How much faster than nominal the device is: its sample n is at n / rate / (1 + ppm)."""
        return sum(fault.value for fault in self._faults if fault.kind == "drift")

    def apply(self, block: Block) -> Block:
        """What is sent of ``block``."""
        for salt, fault in enumerate(self._faults):
            block, touched = self._one(block, fault, salt)
            self.done[fault.text].note(touched)
        return block

    def _one(self, block: Block, fault: Fault, salt: int) -> tuple[Block, I64]:
        index, value = block.index, fault.value
        hit = fault.stretch.holds(index, self._rate_hz)
        chance = uniform(self._seed, salt, index // PACKET)  # one throw a packet
        match fault.kind:
            case "gap":
                return block.take(~hit), index[hit]
            case "loss":
                hit &= chance < value
                return block.take(~hit), index[hit]
            case "duplicate":
                twice = hit & (chance < value)
                # The copy comes right after its packet, wherever that one is now.
                here = np.arange(index.size)
                _, packet = np.unique(index // PACKET, return_inverse=True)
                last = np.zeros(index.size)
                np.maximum.at(last, packet, here)
                order = np.argsort(np.append(here, last[packet[twice]] + 0.5), kind="stable")
                numbers = np.append(here, here[twice])
                return block.take(numbers[order]), index[twice]
            case "reorder":
                # The first packet of a unit waits for the second one.
                hit &= (uniform(self._seed, salt, index // UNIT) < value) & (index % UNIT < PACKET)
                order = np.argsort(index // PACKET + 1.5 * hit, kind="stable")
                return block.take(order), index[hit]
            case "drift":
                # Every sample's true time: the device's second is shorter than it says.
                stamps_s = block.stamps_s / (1.0 + 1e-6 * value)
                return replace(block, stamps_s=stamps_s), index
            case "jitter":
                stamps_s = block.stamps_s + value * normal(self._seed, salt, index)
                return replace(block, stamps_s=stamps_s), index
            case "step":
                return replace(block, stamps_s=block.stamps_s + value * hit), index[hit]
            case "nan":
                hit &= uniform(self._seed, salt, index) < value
                return self._with(block, fault, hit, np.float32(np.nan)), index[hit]
            case "flat":
                return self._with(block, fault, hit, np.float32(0.0)), index[hit]
            case "railed":
                return self._with(block, fault, hit, np.float32(RAIL_UV)), index[hit]
            case "hum50" | "hum60":
                turns = index * (float(fault.kind[3:]) / self._rate_hz)
                hum = (hit * value * np.sin(2 * np.pi * turns)).astype(np.float32)
                # Electrodes pick up unlike amounts, or a derivation would not see it.
                share = np.linspace(1.0, 0.2, len(self._channels), dtype=np.float32)
                if fault.channel:
                    share = np.array([fault.channel == name for name in self._channels], np.float32)
                return replace(block, data_uv=block.data_uv + share[:, None] * hum), index[hit]
        raise AssertionError(fault.kind)

    def _with(self, block: Block, fault: Fault, hit: Bool, value: np.float32) -> Block:
        """``value`` where ``hit``: in the fault's channel, or in all."""
        rows = np.array([fault.channel in ("", name) for name in self._channels])
        return replace(block, data_uv=np.where(rows[:, None] & hit, value, block.data_uv))


_OF_A_CHANNEL = ("flat", "railed")
_HUM = ("hum50", "hum60")
_KINDS = (
    *("loss", "gap", "duplicate", "reorder", "drift", "jitter", "step", "nan"),
    *_OF_A_CHANNEL,
    *_HUM,
)


def parse(text: str) -> tuple[Fault, ...]:
    """Read ``loss=0.05;gap=60@120``. Raises ValueError, naming the part that is wrong."""
    return tuple(_parse_one(part.strip()) for part in text.split(";") if part.strip())


def _parse_one(text: str) -> Fault:
    kind, _, rest = text.partition("=")
    if kind not in _KINDS:
        raise ValueError(f"{text!r}: no such fault; there are {', '.join(_KINDS)}")
    what, _, where = rest.partition("@")
    start, _, length = where.partition("/")
    try:
        stretch = Stretch(float(start or 0.0), float(length) if length else None)
        if kind in _OF_A_CHANNEL:
            return Fault(kind, channel=what, stretch=stretch)
        channel, _, what = what.rpartition(":") if kind in _HUM else ("", "", what)
        value = float(what)
    except ValueError:
        raise ValueError(f"{text!r}: write {kind}=VALUE@START/LENGTH, in seconds") from None
    if kind == "gap":
        stretch = Stretch(stretch.start_s, value)
    return Fault(kind, value, channel, stretch)


def uniform(seed: int, salt: int, index: I64) -> F64:
    """A number in (0, 1) for every sample number: splitmix64, the same wherever it is asked."""
    with np.errstate(over="ignore"):
        z = index.astype(np.uint64) + np.uint64((seed * 1_000_003 + salt + 1) & 0xFFFFFFFF) * (
            np.uint64(0x9E3779B97F4A7C15)
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53


def normal(seed: int, salt: int, index: I64) -> F64:
    """A standard normal number for every sample number (Box-Muller)."""
    radius = np.sqrt(-2.0 * np.log(uniform(seed, 2 * salt + 1_000, index)))
    return np.asarray(radius * np.cos(2 * np.pi * uniform(seed, 2 * salt + 1_001, index)))
