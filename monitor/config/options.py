"""The options of a run, after validation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.contract import Gain
from monitor.config.rules import Rule
from monitor.config.sources import BrainflowConfig, LslConfig
from monitor.config.ways import NO_WAYS, WayOptions
from monitor.config.web import AlertConfig, WebAddress
from monitor.errors import InputError

Grid = Literal["auto", "start"] | float
"""The grid of a replay's epochs: "auto" (the expert's grid if there is one), "start" (from the
first sample on), or the 30-s grid that passes through this time of the recording, in seconds."""

Theme = Literal["auto", "dark", "light"]
"""The dashboard's colours. "auto": those that suit the terminal's background."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The options that a replay and a live run share.

    - ``weights`` None: the default weights for ``gain``. ``exported``: the folder of
      engines; None: the user's.
    - ``redis`` None: the event server inside the monitor, unless ``no_redis``.
    - ``ways``: the ways out beside Redis.
    - ``command``: the command line, for the night's file; "" if there was none.
    """

    gain: Gain = Gain.KNOWN
    weights: Path | None = None
    backend: str = "auto"
    exported: Path | None = None
    redis: str | None = None
    no_redis: bool = False
    dashboard: bool = True
    theme: Theme = "auto"
    ways: WayOptions = NO_WAYS
    command: str = ""

    @property
    def network_files(self) -> list[Path]:
        """The user's weights, and their card and export, which lie beside them."""
        if self.weights is None:
            return []
        suffixes = (".json", ".encode.onnx", ".stage.onnx", ".onnx.json")
        return [self.weights, *map(self.weights.with_suffix, suffixes)]


@dataclass(frozen=True, slots=True)
class ReplayOptions(RunOptions):
    """The options of `sleep-monitor replay`.

    - ``channel``, ``hypnogram`` None: the recording decides. ``expert`` False: no expert's stages
      are looked for.
    - ``store`` None: the night is stored in the user's folder of replays if ``keep``; else in a
      temporary file, which is gone at the end. ``output`` None: no CSV file.
    - ``speed``: recorded seconds per second; None: as fast as possible.
    """

    recording: Path
    channel: str | None = None
    hypnogram: Path | None = None
    grid: Grid = "auto"
    speed: float | None = None
    store: Path | None = None
    keep: bool = False
    output: Path | None = None
    expert: bool = True

    @property
    def is_kept(self) -> bool:
        """True if the night's file is still there after the replay."""
        return self.keep or self.store is not None

    @property
    def inputs(self) -> list[Path]:
        """The files that the replay reads."""
        own = [self.recording] if self.hypnogram is None else [self.recording, self.hypnogram]
        return [*own, *self.network_files]


def parse_speed(text: str) -> float | None:
    """Return ``--speed`` as a number above 0, or None for 'max'. Raises InputError."""
    if text == "max":
        return None
    speed = _number(text)
    if not (math.isfinite(speed) and speed > 0):
        raise InputError(f"--speed must be a number above 0, such as 1 or 60, or max, got '{text}'")
    return speed


def parse_grid(text: str) -> Grid:
    """Return ``--grid`` as 'auto', 'start' or seconds of 0 or more. Raises InputError."""
    if text == "auto":
        return "auto"
    if text == "start":
        return "start"
    seconds = _number(text)
    if not (math.isfinite(seconds) and seconds >= 0):
        raise InputError(f"--grid must be auto, start or seconds of 0 or more, got '{text}'")
    return seconds


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


@dataclass(frozen=True, slots=True)
class SleeperOptions:
    """A sleeper's source and files.

    - ``sleeper``: the person's name; "" if there is only one.
    - ``channels``: channels or derivations to stage, the best first; empty: the device decides.
    - ``store`` None: a file in the user's folder of nights. ``output`` None: no CSV file.
    """

    source: LslConfig | BrainflowConfig
    sleeper: str = ""
    channels: tuple[str, ...] = ()
    store: Path | None = None
    output: Path | None = None


@dataclass(frozen=True, slots=True)
class LiveOptions(RunOptions):
    """The options of `sleep-monitor live`.

    - ``sleepers``: one or more, with distinct names, stores and outputs.
    - ``wait_s``: how long a source may take to appear; None: for ever.
    - ``new_night``: begin a night even if one could be continued.
    - ``rules``: what is done when, for every sleeper or for the one that a rule names.
    - ``web``: where the page for the phone is served; None: there is none. ``web_hosts``: see
      `WebConfig`. ``alert`` None: nobody is told of trouble.
    """

    sleepers: tuple[SleeperOptions, ...]
    wait_s: float | None = None
    new_night: bool = False
    rules: tuple[Rule, ...] = ()
    web: WebAddress | None = None
    web_hosts: tuple[str, ...] = ()
    alert: AlertConfig | None = None
