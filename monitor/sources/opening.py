"""Opens the live source that a configuration names."""

from __future__ import annotations

from collections.abc import Callable

from monitor.clock import Timeline
from monitor.config import BrainflowConfig, LslConfig
from monitor.sources.brainflow import BrainflowSource
from monitor.sources.brainflow.boards import find_board
from monitor.sources.live import LiveSource
from monitor.sources.lsl import LslSource

OpenSource = Callable[[LslConfig | BrainflowConfig, Timeline, float | None], LiveSource]
"""Opens a source: what was asked for, the timeline that times its samples, and the offset of the
device's clock in an earlier run of the same night (None: unknown)."""


def check_source(config: LslConfig | BrainflowConfig) -> None:
    """Raise `InputError` for a configuration that no waiting can mend."""
    if isinstance(config, BrainflowConfig):
        find_board(config)


def open_source(
    config: LslConfig | BrainflowConfig, timeline: Timeline, clock_offset_s: float | None
) -> LiveSource:
    """Start to look for the device that ``config`` names; see `OpenSource`."""
    if isinstance(config, LslConfig):
        return LslSource(config, timeline, clock_offset_s)
    return BrainflowSource(config, timeline)
