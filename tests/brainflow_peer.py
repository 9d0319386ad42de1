"""Real BrainFlow boards to test against: recordings to play back, and a board that streams.

    unshare -rn python -m tests.brainflow_peer      (in a network namespace of its own)

This program streams a synthetic board to a multicast group, and prints as JSON what a
`BrainflowSource` received.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.clock import SystemClock, Timeline
from monitor.config import BrainflowConfig
from monitor.sources.brainflow import BrainflowSource
from monitor.sources.brainflow.library import board_shim
from monitor.types import EegChunk

GROUP = "225.1.1.1:6677"


def write_recording(path: Path, board: str, index: npt.NDArray[np.int64], each: int) -> Path:
    """Write a recording as BrainFlow does, of the samples ``index`` (n,).

    Each EEG channel holds the number of its sample. Packages of ``each`` samples are numbered 0 to
    255, again and again.
    """
    library = board_shim()
    description = library.BoardShim.get_board_descr(library.BoardIds[f"{board.upper()}_BOARD"])
    rows = np.zeros((index.size, description["num_rows"]))
    rows[:, description["eeg_channels"]] = index[:, None]
    rows[:, description["package_num_channel"]] = index // each % 256
    rows[:, description["timestamp_channel"]] = 1e9 + index / description["sampling_rate"]
    np.savetxt(path, rows, fmt="%.6f", delimiter="\t")
    return path


def poll_for(source: BrainflowSource, duration_s: float, count: int = 2**31) -> list[EegChunk]:
    """Return what arrives until there are ``count`` samples, or for ``duration_s`` of real time."""
    chunks: list[EegChunk] = []
    end_s = time.monotonic() + duration_s
    while time.monotonic() < end_s and sum(c.times_s.size for c in chunks) < count:
        chunks += source.poll()
        time.sleep(0.01)
    return chunks


def _main() -> dict[str, Any]:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "route", "add", "224.0.0.0/4", "dev", "lo"], check=True)
    library = board_shim()
    board = library.BoardShim(-1, library.BrainFlowInputParams())
    board.prepare_session()
    board.start_stream(10_000, f"streaming_board://{GROUP}")
    config = BrainflowConfig(board="streaming:synthetic", port=GROUP)
    source = BrainflowSource(config, Timeline(SystemClock()))
    chunks = poll_for(source, 4.0, count=400)
    device = source.device
    source.close()
    board.release_session()
    times_s = np.concatenate([c.times_s for c in chunks])
    return {
        "device": None if device is None else device.name,
        "samples": times_s.size,
        "span_s": float(np.ptp(times_s)),
    }


if __name__ == "__main__":
    print(json.dumps(_main()))
