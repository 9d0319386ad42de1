"""A process that talks to one board: prepares it, reads it, and lets it go.

A process for each board, since BrainFlow locks all boards of a process while it looks for one, and
since a board that hangs or crashes in its driver can then be ended. It lives as long as its
standard input is open, so that the board is let go even if the monitor is killed: a headband that
stays connected is lost to everybody.

    python -m monitor.sources.brainflow.worker '{"board_id": -1, ...}'

It writes pickled tuples to its standard output, and ends after the last:

- ``("streaming",)``: the board is there.
- ``("samples", ages_s, numbers, eeg_uv)``: float64 (n,), how old they are; float64 (n,), their
  package numbers; float32 (n_channels, n).
- ``("failed", code, text)``: BrainFlow's exit code, or None, and what was said.
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

from monitor.clock import SystemClock
from monitor.sources.brainflow.library import board_shim
from monitor.types import F64

READ_EVERY_S = 0.04
BUFFER_S = 120.0
BUFFER_MAX = 60_000
RELEASE_LIMIT_S = 10.0

STEP_S = 0.02
"""The wall clock was set if it moved by more against the steady clock from one read to the next."""

LATE_S = 1.0
"""A sample may have been stamped so long before the last read: packages are stamped backwards."""


class Ages:
    """How old samples are when they are read, from the wall clock stamps that BrainFlow gives them.

    Only their spread is of use; no step of the wall clock gets through.
    """

    def __init__(self) -> None:
        self._offset_s: float | None = None
        self._read_s = 0.0

    def of(self, stamps_s: F64, wall_s: float, steady_s: float) -> F64:
        """Seconds (n,) between each stamp and now, from 0 to the time since the last call and
        `LATE_S`; all 0 when the wall clock was set in between."""
        offset_s = wall_s - steady_s
        stepped = self._offset_s is None or abs(offset_s - self._offset_s) > STEP_S
        longest_s = steady_s - self._read_s + LATE_S
        self._offset_s, self._read_s = offset_s, steady_s
        if stepped:
            return np.zeros_like(stamps_s)
        ages_s: F64 = np.clip(np.nan_to_num(wall_s - stamps_s), 0.0, longest_s)
        return ages_s


def main(arguments: dict[str, Any], messages: BinaryIO, stop: threading.Event) -> None:
    """Run the board until ``stop``. ``arguments`` are the fields of `boards.Board`."""
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
            _read(board, arguments, messages, stop)
        finally:
            board.release_session()
    except BrokenPipeError:
        return  # the monitor is gone
    except Exception as exc:
        with contextlib.suppress(OSError):
            _send(messages, "failed", getattr(exc, "exit_code", None), str(exc))


def _read(board: Any, arguments: dict[str, Any], messages: BinaryIO, stop: threading.Event) -> None:
    clock, ages = SystemClock(), Ages()
    rows, number_row = arguments["eeg_rows"], arguments["number_row"]
    while not stop.wait(READ_EVERY_S):
        data = board.get_board_data()
        ages_s = ages.of(data[arguments["time_row"]], time.time(), clock.monotonic_s())
        if not arguments["stamped_here"]:
            ages_s[:] = 0.0
        if data.shape[1]:
            _send(messages, "samples", ages_s, data[number_row], data[rows].astype(np.float32))


def _send(messages: BinaryIO, *message: object) -> None:
    pickle.dump(message, messages, pickle.HIGHEST_PROTOCOL)
    messages.flush()


def _until_orphaned(stop: threading.Event) -> None:
    """Stop when the monitor closes the pipe or ends; and end hard if the driver does not let go."""
    while os.read(0, 1):
        pass
    stop.set()
    time.sleep(RELEASE_LIMIT_S)
    os._exit(1)


def _run() -> None:
    # Ctrl-C and a service's stop reach every process: the monitor decides when the board goes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Drivers write to the terminal as they please.
    messages = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    stop = threading.Event()
    threading.Thread(target=_until_orphaned, args=(stop,), daemon=True).start()
    main(json.loads(sys.argv[1]), messages, stop)
    os._exit(0)  # without the driver's own way out, which may hang


if __name__ == "__main__":
    _run()
