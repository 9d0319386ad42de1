"""Put real servers into situations in which they refuse events, and print the results as a table.

    python -m tests.measuring.redis_table [--only NAME]

A publisher sends 20 events a second. After 2 s the server gets into the situation, after 6 s out of
it. Then every event must be in the stream once and in order.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from monitor.clock import SystemClock
from monitor.sinks.event_log import MemoryEventLog
from monitor.sinks.publisher import Publisher
from monitor.sinks.redis_client import Keys, connect
from monitor.sinks.redis_server import RedisServer
from tests.sinks.peers import append, ids, ids_of
from tests.sinks.waiting import until

KEYS = Keys()
PAUSE_S = 0.05
BEFORE_S, DURING_S = 2.0, 6.0
OPTIONS = ("--enable-protected-configs", "yes")
KILL = "CLIENT KILL TYPE normal SKIPME yes"
MON = "ACL SETUSER mon reset on >pw ~sleep-monitor:* +@all"


@dataclass(frozen=True)
class Situation:
    """Commands, one a line, that put a server into a situation and out of it; or functions.

    ``login`` is that of the publisher, for situations that concern its user.
    """

    name: str
    into: str | Callable[[RedisServer, Path], None]
    out_of: str | Callable[[RedisServer, Path], None] = "PING"
    login: str = ""


def _cannot_save(server: RedisServer, folder: Path) -> None:
    client: Any = connect(server.url)
    client.config_set("dir", str(folder / "data"))
    client.config_set("save", "1 1")
    shutil.rmtree(folder / "data")
    with suppress(redis.RedisError):
        client.bgsave()
    client.close()


def _stop(server: RedisServer, folder: Path) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)


def _continue(server: RedisServer, folder: Path) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGCONT)


def _of_another_type(key: str) -> Situation:
    return Situation(f"`{key}` of another type", f"DEL {key}\nSADD {key} x", f"DEL {key}")


SITUATIONS = [
    Situation("memory full", "CONFIG SET maxmemory 1mb", "CONFIG SET maxmemory 0"),
    Situation("read-only replica", "REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
    Situation("disk error (MISCONF)", _cannot_save, "CONFIG SET stop-writes-on-bgsave-error no"),
    Situation("no right to XADD", f"{MON} -xadd", MON, login="mon:pw@"),
    Situation("no right to EVAL", f"{MON} -eval", MON, login="mon:pw@"),
    Situation("no right to HSET", f"{MON} -hset", MON, login="mon:pw@"),
    Situation(
        "password set later", f"CONFIG SET requirepass x\n{KILL}", 'CONFIG SET requirepass ""'
    ),
    Situation("login changed", f"ACL SETUSER mon resetpass >new\n{KILL}", MON, login="mon:pw@"),
    Situation(
        "no connection left", f"CONFIG SET maxclients 1\n{KILL}", "CONFIG SET maxclients 100"
    ),
    Situation("progress evicted", f"DEL {KEYS.published('night-1')}"),
    Situation("stream evicted", f"DEL {KEYS.events}"),
    Situation("all keys deleted", "FLUSHALL"),
    _of_another_type(KEYS.events),
    _of_another_type(KEYS.last()),
    _of_another_type(KEYS.last("night-1")),
    _of_another_type(KEYS.published("night-1")),
    _of_another_type(KEYS.heartbeat()),
    Situation("foreign text in the progress", f"SET {KEYS.published('night-1')} 99999999999"),
    Situation("scripts flushed", "SCRIPT FLUSH"),
    Situation("writes paused", "CLIENT PAUSE 6000 WRITE"),
    Situation("stopped (SIGSTOP)", _stop, _continue),
    Situation("ended", lambda s, _: s.stop(), lambda s, _: s.start()),
]


class _Lines(logging.Handler):
    """Keeps each message in ``lines``."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())


def run(situation: Situation) -> str:
    """Return the row of one situation."""
    lines: list[str] = []
    handler = _Lines(lines)
    logger = logging.getLogger("monitor.sinks.publisher")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        with tempfile.TemporaryDirectory() as name, RedisServer(0, OPTIONS) as server:
            (Path(name) / "data").mkdir()
            return _row(situation, server, Path(name), lines)
    finally:
        logger.removeHandler(handler)


def _row(situation: Situation, server: RedisServer, folder: Path, lines: list[str]) -> str:
    if situation.login:
        _apply(MON, server, folder)
    url = server.url.replace("redis://", f"redis://{situation.login}")
    log = MemoryEventLog()
    changes, connected, cpu_s = 0, True, time.process_time()
    with Publisher(log, "night-1", url, SystemClock(), socket_timeout_s=0.5) as publisher:
        _feed(log, publisher, BEFORE_S)
        _apply(situation.into, server, folder)
        end_s = time.monotonic() + DURING_S
        while time.monotonic() < end_s:
            _feed(log, publisher, PAUSE_S)
            now = publisher.delivery().connected
            changes, connected = changes + (now != connected), now
        _apply(situation.out_of, server, folder)
        began_s = time.monotonic()
        _feed(log, publisher, PAUSE_S)
        last = log.last_sequence()
        until(lambda: publisher.delivery().published == last, "all events")
        delay_s = time.monotonic() - began_s
        until(lambda: ids(server.url) == ids_of(1, last), "each event once and in order")
        cpu_s = time.process_time() - cpu_s
    return (
        f"| {situation.name} | {last} of {last} | {len(lines)} | {changes} | {delay_s:.1f} "
        f"| {cpu_s:.1f} |"
    )


def _apply(
    change: str | Callable[[RedisServer, Path], None], server: RedisServer, folder: Path
) -> None:
    if not isinstance(change, str):
        change(server, folder)
        return
    with suppress(redis.RedisError):
        client: Any = _admin(server)
        for line in change.splitlines():
            client.execute_command(*[word.strip('"') for word in line.split(" ")])


_admins: dict[int, Any] = {}


def _admin(server: RedisServer) -> Any:
    """Return a connection that stays open: a later one might be refused."""
    assert server.pid is not None
    return _admins.setdefault(server.pid, connect(server.url))


def _feed(log: MemoryEventLog, publisher: Publisher, duration_s: float) -> None:
    """Append an event every `PAUSE_S` for ``duration_s``."""
    end_s = time.monotonic() + duration_s
    while time.monotonic() < end_s:
        number = log.last_sequence() + 1
        append(log, number, number)
        publisher.notify()
        time.sleep(PAUSE_S)


def main() -> None:
    parser = argparse.ArgumentParser(prog="redis_table", description=__doc__)
    parser.add_argument("--only", default="", help="run situations whose name begins like this")
    options = parser.parse_args()
    print("| situation | events once, in order | log lines | changes of state | s after | CPU s |")
    print("|---|---|---|---|---|---|")
    for situation in SITUATIONS:
        if situation.name.startswith(options.only):
            try:
                print(run(situation), flush=True)
            except AssertionError as exc:
                print(f"| {situation.name} | FAILED: {' '.join(str(exc).split())} |", flush=True)


if __name__ == "__main__":
    main()
