"""A process that talks to one board: it prepares the board, reads it, and releases it.

Each board has a process of its own. BrainFlow locks all boards of a process while it looks for one,
and a board that hangs or crashes in its driver can be ended with its process.

The process lives as long as its standard input is open, so that it releases the board even if the
monitor is killed. A headband that stays connected is lost to every program.

    python -m monitor.sources.brainflow.worker '{"board_id": -1, ...}'

It writes pickled tuples to its standard output:

- ``("streaming",)``: the board is connected.
- ``("samples", ages_s, numbers, eeg_uv)``: the ages of n samples in seconds, float64 (n,); their
  package numbers, float64 (n,); microvolts, float32 (n_channels, n).
- ``("failed", code, text)``: BrainFlow's exit code, or None, and its message. It is the last one.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import sys
import threading
import time
from typing import Any, BinaryIO

import numpy as np

from monitor.clock import Clock, SystemClock
from monitor.sources.brainflow.library import board_shim
from monitor.types import F64

READ_EVERY_S = 0.04
"""Interval between two reads of the board, slightly less than the monitor's interval of polling."""

BUFFER_S = 120.0
BUFFER_MAX = 60_000
"""BrainFlow keeps `BUFFER_S` of samples while nobody reads, but at most `BUFFER_MAX` samples."""

RELEASE_LIMIT_S = 10.0
"""The longest a driver may take to release its board; then the process ends without it."""

STEP_S = 0.02
"""The wall clock was set if it moved by more against the steady clock between two reads."""

LATE_S = 1.0
"""A sample may be this much older than the last read: BrainFlow stamps the samples of a package
backwards from its arrival."""


class Ages:
    """Computes the ages of samples from the wall clock stamps that BrainFlow gives them.

    Only the spread of the stamps is useful: no step of the wall clock reaches the ages.
    """

    def __init__(self) -> None:
        self._offset_s: float | None = None
        self._read_s = 0.0

    def of(self, stamps_s: F64, wall_s: float, steady_s: float) -> F64:
        """Return the seconds (n,) between each of ``stamps_s`` (n,) and now.

        ``wall_s`` and ``steady_s`` are the wall clock and the steady clock now. An age is at least
        0 and at most `LATE_S` more than the time since the last call. All ages are 0 in the first
        call, and if the wall clock was set since the last one.
        """
        offset_s = wall_s - steady_s
        stepped = self._offset_s is None or abs(offset_s - self._offset_s) > STEP_S
        longest_s = steady_s - self._read_s + LATE_S
        self._offset_s, self._read_s = offset_s, steady_s
        if stepped:
            return np.zeros_like(stamps_s)
        ages_s: F64 = np.clip(np.nan_to_num(wall_s - stamps_s), 0.0, longest_s)
        return ages_s


def main(
    arguments: dict[str, Any], messages: BinaryIO, stop: threading.Event, clock: Clock
) -> None:
    """Run the board until ``stop`` is set. ``arguments`` are the fields of `boards.Board`."""
    try:
        library = board_shim()
        params = library.BrainFlowInputParams()
        for name, value in arguments["params"].items():
            setattr(params, name, value)
        board = library.BoardShim(arguments["board_id"], params)
        board.prepare_session()
        size = min(int(BUFFER_S * arguments["sfreq_hz"]), BUFFER_MAX)
        try:
            board.start_stream(size)
            _send(messages, "streaming")
            _read(board, arguments, messages, stop, clock)
        finally:
            board.release_session()
    except BrokenPipeError:
        return  # the monitor is gone
    except Exception as exc:
        with contextlib.suppress(OSError):
            _send(messages, "failed", getattr(exc, "exit_code", None), str(exc))


def _read(
    board: Any,
    arguments: dict[str, Any],
    messages: BinaryIO,
    stop: threading.Event,
    clock: Clock,
) -> None:
    """Send the samples of the board every `READ_EVERY_S` until ``stop`` is set."""
    ages = Ages()
    rows, number_row = arguments["eeg_rows"], arguments["number_row"]
    while not stop.wait(READ_EVERY_S):
        data = board.get_board_data()
        stamps_s = data[arguments["time_row"]]
        ages_s = ages.of(stamps_s, clock.utc().timestamp(), clock.monotonic_s())
        if not arguments["stamped_here"]:
            ages_s[:] = 0.0
        if data.shape[1]:
            _send(messages, "samples", ages_s, data[number_row], data[rows].astype(np.float32))


def _send(messages: BinaryIO, *message: object) -> None:
    pickle.dump(message, messages, pickle.HIGHEST_PROTOCOL)
    messages.flush()


def _until_orphaned(stop: threading.Event) -> None:
    """Set ``stop`` when the monitor closes the pipe or ends; end hard if the driver then hangs."""
    while os.read(0, 1):
        pass
    stop.set()
    time.sleep(RELEASE_LIMIT_S)
    os._exit(1)


def _run() -> None:
    # Ctrl-C and the stop of a service reach every process of the group. The monitor decides when
    # the board is released.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Drivers write to the terminal: keep the pipe for messages, send the rest nowhere.
    messages = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    stop = threading.Event()
    threading.Thread(target=_until_orphaned, args=(stop,), daemon=True).start()
    main(json.loads(sys.argv[1]), messages, stop, SystemClock())
    os._exit(0)  # without the driver's own clean-up, which may hang


if __name__ == "__main__":
    _run()
