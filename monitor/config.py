"""What a run was asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from models.contract import Gain


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What `sleep-monitor replay` was asked to do; None takes the default."""

    recording: Path
    channel: str | None = None
    hypnogram: Path | None = None
    grid: str = "auto"
    speed: str = "max"
    gain: Gain = Gain.KNOWN
    weights: Path | None = None
    redis: str | None = None
    no_redis: bool = False
    store: Path | None = None
    output: Path | None = None
    dashboard: bool = True

    @property
    def inputs(self) -> list[Path]:
        """The files that are read: weights have their card beside them."""
        card = None if self.weights is None else self.weights.with_suffix(".json")
        given = (self.recording, self.hypnogram, self.weights, card)
        return [path for path in given if path is not None]


class LslConfig(BaseModel):
    """An LSL stream, told by any of its properties; with none of them, the only EEG stream."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["lsl"] = "lsl"
    name: str | None = None
    type: str | None = None
    source_id: str | None = None
    unit: str | None = None


class BrainflowConfig(BaseModel):
    """A board that BrainFlow knows, by its name there, in any case."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["brainflow"] = "brainflow"
    board: str
    port: str | None = None
    mac: str | None = None
    serial: str | None = None
    file: Path | None = None
