"""A source that hangs, and `sleep-monitor live lsl` with that source as a program.

python -m tests.live.hanging --no-redis --no-dashboard --store NIGHT.sqlite
"""

from __future__ import annotations

import sys
import threading

import numpy as np

import monitor.sources.opening
from monitor import cli
from monitor.clock import Timeline
from monitor.config import BrainflowConfig, LslConfig
from monitor.sources.live import Device
from monitor.types import EegChunk
from tests.signals import pink_noise_uv

SFREQ_HZ = 128.0
DURATION_S = 70.0
"""Two whole epochs and a part of the third."""


class HangingSource:
    """A `LiveSource` that delivers two epochs at once, then never returns from `poll`."""

    device = Device("a headband that hangs", ("AF7",), SFREQ_HZ)
    clock_offset_s = None
    status = "streaming"

    def __init__(
        self,
        config: LslConfig | BrainflowConfig,
        timeline: Timeline,
        clock_offset_s: float | None = None,
        known: object = None,
    ) -> None:
        self._timeline = timeline
        self._polls = 0
        self.hangs = threading.Event()
        """Set once `poll` hangs."""
        self.let_go = threading.Event()
        """Tests set it in the end, so that no thread stays."""

    def poll(self) -> list[EegChunk]:
        self._polls += 1
        if self._polls == 1:
            n_samples = round(DURATION_S * SFREQ_HZ)
            times_s = self._timeline.now_s() - DURATION_S + np.arange(n_samples) / SFREQ_HZ
            return [EegChunk(pink_noise_uv(n_samples), times_s, ("AF7",), SFREQ_HZ)]
        if self._polls == 3:  # the second poll returns, so that the first samples are staged
            self.hangs.set()
            self.let_go.wait()
        return []

    def close(self) -> None: ...


if __name__ == "__main__":
    monitor.sources.opening.LslSource = HangingSource  # type: ignore[assignment,misc]
    sys.argv[1:1] = ["live", "lsl"]
    cli.main()
