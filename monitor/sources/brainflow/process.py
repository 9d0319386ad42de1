"""Run the process that talks to a board, from the side of the monitor."""

from __future__ import annotations

import contextlib
import json
import pickle
import subprocess
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from monitor.clock import Timeline
from monitor.programs import child_command
from monitor.sources.brainflow.boards import Board

CLOSE_S = 5.0
"""Time limit for the process to release its board, and again for a killed process to end. A process
that hangs in its driver ends only when the driver lets it; the monitor does not wait for that."""


class BoardProcess:
    """The process of a board, and the thread that reads its messages.

    ``streaming`` is True once the process has reported that the board sends; ``leaving`` once
    `leave` was called.
    """

    def __init__(self, board: Board, timeline: Timeline) -> None:
        self.leaving = False
        self.streaming = False
        self._timeline = timeline
        self._inbox: deque[tuple[float, tuple[Any, ...]]] = deque()
        self._process = subprocess.Popen(
            child_command("monitor.sources.brainflow.worker", json.dumps(asdict(board))),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        # A daemon, since it waits in a read that ends only when the process ends.
        self._reader = threading.Thread(target=self._read, name="brainflow", daemon=True)
        self._reader.start()

    @property
    def ended(self) -> bool:
        """True if the process is gone and all its messages are in the inbox."""
        return not self._reader.is_alive() and self._process.poll() is not None

    def take(self) -> Iterator[tuple[float, tuple[Any, ...]]]:
        """Yield the messages that came, each with its time of arrival on the timeline."""
        while self._inbox:
            arrived_s, message = self._inbox.popleft()
            self.streaming = self.streaming or message[0] == "streaming"
            yield arrived_s, message

    def leave(self) -> None:
        """Ask the process to release the board; it then ends within `worker.RELEASE_LIMIT_S`."""
        self.leaving = True
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    def close(self) -> int | None:
        """End the process. Returns its exit code, or None if it could not be ended.

        A process that has its board gets `CLOSE_S` to release it. One that still looks for a board
        has nothing to release, and may hang in its driver: it is killed at once.
        """
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
        # The process is gone, so the reader's read ends; only then may its pipe be closed.
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code

    def _read(self) -> None:
        assert self._process.stdout is not None
        # The pipe ends with the process, also in the middle of a message.
        with contextlib.suppress(EOFError, pickle.UnpicklingError, OSError):
            while True:
                message = pickle.load(self._process.stdout)
                self._inbox.append((self._timeline.now_s(), message))
