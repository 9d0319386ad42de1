"""The process that talks to a board, as the monitor sees it: what it sends, and how it ends."""

from __future__ import annotations

import contextlib
import json
import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from monitor.clock import Timeline
from monitor.sources.brainflow.boards import Board

CLOSE_S = 5.0
"""How long to wait for a board to be let go in order, and then for the end of a killed process:
one that hangs in its driver ends when the driver does, and the monitor does not wait for it."""


class BoardProcess:
    """The process of a board, and the thread that reads what it sends."""

    def __init__(self, board: Board, timeline: Timeline) -> None:
        self.leaving = False
        self.streaming = False
        self._timeline = timeline
        self._inbox: deque[tuple[float, tuple[Any, ...]]] = deque()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "monitor.sources.brainflow.worker", json.dumps(asdict(board))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        # A daemon: it waits in a read that ends with the process at the latest.
        self._reader = threading.Thread(target=self._read, name="brainflow", daemon=True)
        self._reader.start()

    @property
    def ended(self) -> bool:
        """Whether the process is gone and all it sent is in."""
        return not self._reader.is_alive() and self._process.poll() is not None

    def take(self) -> Iterator[tuple[float, tuple[Any, ...]]]:
        """What came, and when on the timeline."""
        while self._inbox:
            arrived_s, message = self._inbox.popleft()
            self.streaming = self.streaming or message[0] == "streaming"
            yield arrived_s, message

    def leave(self) -> None:
        """Ask it to let the board go; it ends by itself then, within `RELEASE_LIMIT_S`."""
        self.leaving = True
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> int | None:
        """End it: in order, if it has the board and does so soon. Returns its exit code, or None
        if it cannot be ended."""
        self.leave()
        if not self.streaming:
            self.kill()
        try:
            code = self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            try:
                code = self._process.wait(CLOSE_S)
            except subprocess.TimeoutExpired:
                return None
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code

    def _read(self) -> None:
        assert self._process.stdout is not None
        # The end of the pipe, also in the middle of a message, is the end of the process.
        with contextlib.suppress(EOFError, pickle.UnpicklingError, OSError):
            while True:
                message = pickle.load(self._process.stdout)
                self._inbox.append((self._timeline.now_s(), message))
