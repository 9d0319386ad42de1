"""What every live source is: a device that is polled, and that comes and goes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from monitor.config import BrainflowConfig, LslConfig
from monitor.types import EegChunk


@dataclass(frozen=True, slots=True)
class Device:
    """What a source turned out to be once it was there.

    - ``name``: for people, such as "LSL stream 'Muse-1A2B' from laptop".
    - ``channels``: its EEG channels, as they are called, in the order of the samples.
    - ``sfreq_hz``: the nominal rate; if the device names none, the measured one.
    - ``candidates``: derivations to stage, best first, by name ("AF7-TP9", or one channel); empty
      where the names of the channels decide.
    - ``notes``: what the user should hear, a sentence each.
    """

    name: str
    channels: tuple[str, ...]
    sfreq_hz: float
    candidates: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def source_key(config: LslConfig | BrainflowConfig) -> str:
    """Names a source the same way in every run, by what was asked for: a night goes on by it."""
    asked = config.model_dump(mode="json", exclude={"kind", "unit"}, exclude_none=True)
    if isinstance(config, BrainflowConfig):
        asked["board"] = re.sub(r"[\s-]", "_", config.board.lower())  # any spelling will do
    return f"{config.kind}:" + ",".join(f"{key}={asked[key]}" for key in sorted(asked))


class LiveSource(Protocol):
    """A headband or a stream. It looks for its device by itself, and again when it is gone.

    Used from one thread. Chunks hold all channels of ``device``, in microvolts, and times on the
    `Timeline` it was given; they rise except for what the device itself sends out of order.
    """

    @property
    def device(self) -> Device | None:
        """What was found; None until the first time, and then never None again."""
        ...

    @property
    def clock_offset_s(self) -> float | None:
        """Timeline minus the device's own clock, for a later run of the same night; None if the
        device has no clock, or is not known yet."""
        ...

    @property
    def status(self) -> str:
        """What it does just now, in a few words: "waiting for ...", "streaming", "trying again
        in 4 s: ..."."""
        ...

    def poll(self) -> list[EegChunk]:
        """What has come since the last call. Never waits, never raises because a device is away.

        Raises `InputError` for what no waiting can mend (a board that does not exist), also later.
        """
        ...

    def close(self) -> None:
        """Let the device go."""
        ...
