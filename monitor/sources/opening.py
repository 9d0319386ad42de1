"""Open the live source that a configuration names."""

from __future__ import annotations

from collections.abc import Callable

from monitor.clock import Timeline
from monitor.config import BrainflowConfig, LslConfig
from monitor.sources.brainflow import BrainflowSource
from monitor.sources.brainflow.boards import find_board
from monitor.sources.live import KnownDevice, LiveSource
from monitor.sources.lsl import LslSource

OpenSource = Callable[
    [LslConfig | BrainflowConfig, Timeline, float | None, KnownDevice | None], LiveSource
]
"""Opens a source. Arguments: the options, the timeline for the times of its samples, and the
``clock_offset_s`` and the device that an earlier run of the same night stored (None: unknown)."""


def check_source(config: LslConfig | BrainflowConfig) -> None:
    """Raise `InputError` for a configuration that no waiting can mend."""
    if isinstance(config, BrainflowConfig):
        find_board(config)


def open_source(
    config: LslConfig | BrainflowConfig,
    timeline: Timeline,
    clock_offset_s: float | None,
    known: KnownDevice | None,
) -> LiveSource:
    """Start to look for the device that ``config`` names; the arguments are those of `OpenSource`.

    Raises `InputError` for a device that cannot exist, or if its library cannot be loaded.
    """
    match config:
        case LslConfig():
            return LslSource(config, timeline, clock_offset_s, known)
        case BrainflowConfig():
            # Boards are timed by this computer's clock: there is no offset to remember. The options
            # name the board, and they are the same in every run of a night.
            return BrainflowSource(config, timeline)
    raise AssertionError(f"no source for {type(config).__name__}")
