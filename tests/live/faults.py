"""Faults on a signal's way from the headband to the monitor: reproducible, counted, composable.

Each fault is a pure function of a `Block`. Its random numbers depend on the seed and on the sample
number alone. So a night has the same faults however it is cut, at any speed, and after a restart.

Faults are written as text, several joined by ``;``::

    loss=0.05           lose 5 % of the packets
    gap=60@600          lose 60 s, from 600 s on
    duplicate=0.02      send 2 % of the packets twice
    reorder=0.05        let the next packet overtake 5 % of the packets
    drift=200           run the device fast by 200 ppm; its stamps are true
    jitter=0.010        move the stamps at random, by 10 ms rms
    step=2.5@120        move the stamps by 2.5 s from 120 s on; the signal does not move
    nan=0.5@600/60      make half of the samples NaN, for 60 s
    flat=AF7@600/900    make a channel flat, for 900 s
    railed=AF7@600/900  hold a channel at its limit, for 900 s
    hum50=80@600/900    add 50 Hz mains hum of 80 uV peak; or hum60
    hum50=AF7:800@600   add it to one channel
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from monitor.types import F32, F64, Bool

I64 = npt.NDArray[np.int64]

PACKET = 12
"""Samples in one packet of a headband (a Muse sends 12 every 47 ms)."""

UNIT = 2 * PACKET
"""Blocks hold whole units of the device's samples, because a packet overtakes within one unit."""

RAIL_UV = 1000.0


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Samples on their way, in the order in which they will be sent.

    - ``data_uv``: float32 (n_channels, n), microvolts.
    - ``stamps_s``: float64 (n,), the time that each sample claims: seconds of the device since its
      first sample.
    - ``index``: int64 (n,), the device's number of each sample.
    """

    data_uv: F32
    stamps_s: F64
    index: I64

    def take(self, chosen: Bool | I64) -> Block:
        """Return the chosen samples: a mask, or positions in their new order."""
        return Block(self.data_uv[:, chosen], self.stamps_s[chosen], self.index[chosen])


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of the night: ``length_s`` from ``start_s`` on (None: to the end), as counted by
    the device's samples."""

    start_s: float = 0.0
    length_s: float | None = None

    def holds(self, index: I64, rate_hz: float) -> Bool:
        """Return a mask of the samples inside the stretch."""
        first = round(self.start_s * rate_hz)
        if self.length_s is None:
            return np.asarray(index >= first)
        return np.asarray((index >= first) & (index < first + round(self.length_s * rate_hz)))


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault. The unit of ``value`` depends on the kind; an empty ``channel`` means all."""

    kind: str
    value: float = 0.0
    channel: str = ""
    stretch: Stretch = Stretch()

    @property
    def text(self) -> str:
        """The fault as text; `parse` reads it back."""
        value = "" if self.kind in _OF_A_CHANNEL else f"{self.value:g}"
        text = f"{self.kind}={':'.join(filter(None, (self.channel, value)))}"
        if self.kind == "gap":
            return f"{text}@{self.stretch.start_s:g}"
        if self.stretch == Stretch():
            return text
        length_s = self.stretch.length_s
        return f"{text}@{self.stretch.start_s:g}" + ("" if length_s is None else f"/{length_s:g}")


@dataclass(slots=True)
class Effect:
    """The samples that one fault touched: their number, the first and the last."""

    samples: int = 0
    first: int | None = None
    last: int | None = None

    def add(self, index: I64) -> None:
        if index.size:
            self.samples += index.size
            self.first = int(index.min()) if self.first is None else self.first
            self.last = int(index.max())


class Injector:
    """Passes blocks through ``faults``, in their order, and counts the effect of each.

    Every block must hold whole units of `UNIT` samples, as the device made them.

    Raises ValueError if a fault names a channel that is not among ``channels``.
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
        self.effects = {fault.text: Effect() for fault in faults}

    @property
    def ppm(self) -> float:
        """The device's excess rate over the nominal one, in parts per million: it measures sample n
        at n / rate / (1 + 1e-6 * ppm) seconds."""
        return sum(fault.value for fault in self._faults if fault.kind == "drift")

    def apply(self, block: Block) -> Block:
        """Return ``block`` as it is sent, after all faults."""
        for salt, fault in enumerate(self._faults):
            block, touched = self._apply_one(block, fault, salt)
            self.effects[fault.text].add(touched)
        return block

    def _apply_one(self, block: Block, fault: Fault, salt: int) -> tuple[Block, I64]:
        """Return the block after ``fault``, and the numbers of the samples it touched.

        ``salt`` differs from fault to fault, so that two faults of one kind hit other samples.
        """
        index, value = block.index, fault.value
        hit = fault.stretch.holds(index, self._rate_hz)
        chance = uniform(self._seed, salt, index // PACKET)  # one number for each packet
        match fault.kind:
            case "gap":
                return block.take(~hit), index[hit]
            case "loss":
                hit &= chance < value
                return block.take(~hit), index[hit]
            case "duplicate":
                return self._repeat_packets(block, hit & (chance < value))
            case "reorder":
                # The first packet of a unit waits for the second one.
                hit &= (uniform(self._seed, salt, index // UNIT) < value) & (index % UNIT < PACKET)
                order = np.argsort(index // PACKET + 1.5 * hit, kind="stable")
                return block.take(order), index[hit]
            case "drift":
                # The stamps stay true: a fast device measures its samples closer together.
                stamps_s = block.stamps_s / (1.0 + 1e-6 * value)
                return replace(block, stamps_s=stamps_s), index
            case "jitter":
                stamps_s = block.stamps_s + value * normal(self._seed, salt, index)
                return replace(block, stamps_s=stamps_s), index
            case "step":
                return replace(block, stamps_s=block.stamps_s + value * hit), index[hit]
            case "nan":
                hit &= uniform(self._seed, salt, index) < value
                return self._overwrite(block, fault, hit, np.float32(np.nan)), index[hit]
            case "flat":
                return self._overwrite(block, fault, hit, np.float32(0.0)), index[hit]
            case "railed":
                return self._overwrite(block, fault, hit, np.float32(RAIL_UV)), index[hit]
            case "hum50" | "hum60":
                return self._add_hum(block, fault, hit), index[hit]
        raise AssertionError(fault.kind)

    def _repeat_packets(self, block: Block, twice: Bool) -> tuple[Block, I64]:
        """Put a copy of each packet in ``twice`` right after the packet, wherever that is now."""
        position = np.arange(block.index.size)
        _, packet = np.unique(block.index // PACKET, return_inverse=True)
        last = np.zeros(block.index.size)
        np.maximum.at(last, packet, position)
        order = np.argsort(np.append(position, last[packet[twice]] + 0.5), kind="stable")
        numbers = np.append(position, position[twice])
        return block.take(numbers[order]), block.index[twice]

    def _overwrite(self, block: Block, fault: Fault, hit: Bool, value: np.float32) -> Block:
        """Write ``value`` where ``hit``: in the fault's channel, or in all."""
        rows = np.array([fault.channel in ("", name) for name in self._channels])
        return replace(block, data_uv=np.where(rows[:, None] & hit, value, block.data_uv))

    def _add_hum(self, block: Block, fault: Fault, hit: Bool) -> Block:
        turns = block.index * (float(fault.kind[3:]) / self._rate_hz)
        hum = (hit * fault.value * np.sin(2 * np.pi * turns)).astype(np.float32)
        # Each electrode picks up another share: equal shares would cancel in a derivation.
        share = np.linspace(1.0, 0.2, len(self._channels), dtype=np.float32)
        if fault.channel:
            share = np.array([fault.channel == name for name in self._channels], np.float32)
        return replace(block, data_uv=block.data_uv + share[:, None] * hum)


_OF_A_CHANNEL = ("flat", "railed")
_HUM = ("hum50", "hum60")
_KINDS = (
    *("loss", "gap", "duplicate", "reorder", "drift", "jitter", "step", "nan"),
    *_OF_A_CHANNEL,
    *_HUM,
)


def parse(text: str) -> tuple[Fault, ...]:
    """Read ``loss=0.05;gap=60@120``. Raises ValueError, which names the part that is wrong."""
    return tuple(_parse_one(part.strip()) for part in text.split(";") if part.strip())


def _parse_one(text: str) -> Fault:
    kind, _, rest = text.partition("=")
    if kind not in _KINDS:
        raise ValueError(f"{text!r}: no such fault; there are {', '.join(_KINDS)}")
    amount, _, place = rest.partition("@")
    start, _, length = place.partition("/")
    try:
        stretch = Stretch(float(start or 0.0), float(length) if length else None)
        if kind in _OF_A_CHANNEL:
            return Fault(kind, channel=amount, stretch=stretch)
        channel, _, amount = amount.rpartition(":") if kind in _HUM else ("", "", amount)
        value = float(amount)
    except ValueError:
        raise ValueError(f"{text!r}: write {kind}=VALUE@START/LENGTH, in seconds") from None
    if kind == "gap":
        stretch = Stretch(stretch.start_s, value)
    return Fault(kind, value, channel, stretch)


def uniform(seed: int, salt: int, index: I64) -> F64:
    """Return a number in (0, 1) for every sample number, always the same one (splitmix64).

    Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
    """
    with np.errstate(over="ignore"):
        z = index.astype(np.uint64) + np.uint64((seed * 1_000_003 + salt + 1) & 0xFFFFFFFF) * (
            np.uint64(0x9E3779B97F4A7C15)
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53


def normal(seed: int, salt: int, index: I64) -> F64:
    """Return a standard normal number for every sample number (Box-Muller)."""
    radius = np.sqrt(-2.0 * np.log(uniform(seed, 2 * salt + 1_000, index)))
    return np.asarray(radius * np.cos(2 * np.pi * uniform(seed, 2 * salt + 1_001, index)))
