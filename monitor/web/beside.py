"""The page of a live night, in a process of its own: `WebBeside`.

A thread of the monitor would share its Python interpreter, and fifty open pages or a report would
delay the stages. A process shares nothing but the machine, and takes a lower priority. If it fails
it is started again, and the night does not notice.
"""

from __future__ import annotations

import logging
import os
import subprocess
import threading
from contextlib import suppress
from typing import IO, Self

from monitor.backoff import Backoff
from monitor.closing import Closing
from monitor.config import WebAddress
from monitor.programs import child_command
from monitor.text import clean

END_S = 4.0
"""Time limit for the process to end by itself."""

LONGEST_LINE = 400

_log = logging.getLogger(__name__)


class WebBeside(Closing):
    """The page at ``address`` of the night whose events are at ``redis_url``.

    - ``hosts``: see `WebConfig`.
    - The process ends with the monitor, however that ends: its standard input ends then.
    - What it writes to standard error is logged here, since a dashboard may have the terminal.
    """

    def __init__(self, address: WebAddress, redis_url: str, hosts: tuple[str, ...] = ()) -> None:
        self._command = child_command("monitor.cli", "web", str(address), "--beside")
        for host in hosts:
            self._command += ["--host", host]
        # Every user can see a command line; the URL may hold a password.
        self._environment = os.environ | {"SLEEP_MONITOR_REDIS": redis_url}
        self._closing = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def close(self) -> None:
        with self._lock:
            self._closing.set()
            process = self._process
        if process is not None:
            assert process.stdin is not None
            with suppress(OSError):
                process.stdin.close()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._thread.join(END_S)

    def _run(self) -> None:
        backoff = Backoff(first_s=2.0, longest_s=60.0)
        while not self._closing.is_set():
            with self._lock:
                if self._closing.is_set():
                    return
                try:
                    self._process = self._start()
                except OSError as exc:  # no memory, or too many processes
                    self._process = None
                    _log.warning("The page cannot be started: %s", exc.strerror)
            if self._process is not None:
                self._log_errors(self._process)
                status = self._process.wait()
                if not self._closing.is_set():
                    _log.warning("The page ended with status %d, and starts again", status)
            self._closing.wait(backoff.next_s())

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # Ctrl-C in the terminal ends the night in order; the page ends after it.
            start_new_session=True,
        )

    def _log_errors(self, process: subprocess.Popen[bytes]) -> None:
        """Log what the process writes, until it ends."""
        assert process.stderr is not None
        errors: IO[bytes] = process.stderr
        with errors:
            while line := errors.readline(LONGEST_LINE):
                if text := clean(line.decode(errors="replace"), LONGEST_LINE):
                    _log.warning("%s", text.replace("sleep-monitor:", "The page:", 1))
