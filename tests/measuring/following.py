"""Kill servers, monitors and apps under `follow`; count what the app misses or gets twice.

    python -m tests.measuring.following --kills 20 --out FOLDER
    python -m tests.measuring.following --latency 2000 --out FOLDER

The app is a process of its own; in the table of kills it follows with a position. A night of one
epoch every 50 ms is published meanwhile; the monitor that is killed is a real replay.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monitor.clock import SystemClock
from monitor.closing import Closing
from monitor.night.envelope import Mode
from monitor.night.events import session_started, stage_event
from monitor.sinks.event_log import MemoryEventLog
from monitor.sinks.publisher import Publisher
from monitor.sinks.redis_server import RedisServer
from tests.live.processes import Program, environment, query
from tests.nights import EXCERPT
from tests.sinks.peers import a_session, scored
from tests.sinks.waiting import until

PAUSE_S = 0.05
KILL_AFTER_S = (0.2, 3.0)
REPLAY_SPEED = "25"

APP = """
import sys, time
from monitor.client import follow
for epoch in follow(sys.argv[1], position=sys.argv[2] or None, fresh_s=None, replays=True):
    print(epoch.epoch_index, time.monotonic(), flush=True)
"""
ASYNC_APP = """
import asyncio, sys, time
from monitor.client import afollow
async def main():
    async for epoch in afollow(sys.argv[1], fresh_s=None, replays=True):
        print(epoch.epoch_index, time.monotonic(), flush=True)
asyncio.run(main())
"""


class FollowingApp(Closing):
    """An app in a process of its own; `restart` kills it and starts it again."""

    def __init__(self, url: str, folder: Path, program: str = APP, keeps: bool = True) -> None:
        position = str(folder / "position") if keeps else ""
        self._command = [sys.executable, "-c", program, url, position]
        self._out = folder / "app.out"
        self._start()

    def _start(self) -> None:
        with self._out.open("ab") as out:
            self._process = subprocess.Popen(self._command, stdout=out)

    def restart(self) -> None:
        self.close()
        self._start()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def times(self) -> list[tuple[int, float]]:
        """Return epoch and time of arrival, on the monotonic clock, of each epoch it printed."""
        lines = [line.split() for line in self._out.read_text().split("\n")[:-1]]
        return [(int(epoch), float(when)) for epoch, when in lines]

    def epochs(self) -> Counter[int]:
        return Counter(epoch for epoch, _ in self.times())


class Sender(Closing):
    """Publishes one epoch after another, as a live night."""

    def __init__(self, url: str, pause_s: float = PAUSE_S) -> None:
        self._session, self._log, clock = a_session(), MemoryEventLog(), SystemClock()
        self._log.append(session_started(self._session, 1, Mode.LIVE))
        self._publisher = Publisher(self._log, "night-1", url, clock, socket_timeout_s=0.5)
        self._pause_s, self._stop = pause_s, threading.Event()
        self.sent: list[float] = []
        """When each epoch was published, on the monotonic clock."""
        self._publisher.start()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(self._pause_s):
            index = len(self.sent)
            event = stage_event(self._session, index + 2, scored(index))
            self.sent.append(time.monotonic())
            self._log.append(event)
            self._publisher.notify()

    def finish(self) -> None:
        """Stop; send what waits."""
        self._stop.set()
        self._thread.join()
        until(lambda: self._publisher.delivery().waiting == 0, "the last event to be sent")

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._publisher.close()


@contextmanager
def kept_running(server: RedisServer) -> Iterator[None]:
    """Start the server again whenever it has died, as the monitor does."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.1):
            server.ensure_running()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def with_kills(name: str, kills: int, folder: Path, options: tuple[str, ...]) -> str:
    """Return the row of a night in which the server or the app is killed, or both."""
    folder.mkdir(parents=True)
    chance = random.Random(name)
    with (
        RedisServer(0, options) as server,
        kept_running(server),
        Sender(server.url) as sender,
        FollowingApp(server.url, folder) as app,
    ):
        for _ in range(kills):
            time.sleep(chance.uniform(*KILL_AFTER_S))
            if "server" in name:
                pid = server.pid
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
                until(lambda pid=pid: server.pid not in (None, pid), "the server")  # type: ignore[misc]
            if "app" in name:
                app.restart()
        sender.finish()
        n = len(sender.sent)
        until(lambda: n - 1 in app.epochs(), "the last epoch")
        return row(name, kills, n, app.epochs())


def with_killed_monitor(kills: int, folder: Path) -> str:
    """Return the row of a replay that is killed and started again, and that the app follows."""
    folder.mkdir(parents=True)
    env, store, chance = environment(folder), folder / "night.sqlite", random.Random(1)

    def replay(speed: str) -> Program:
        options = ("--store", str(store), "--redis", server.url, "--speed", speed)
        command = ("replay", str(EXCERPT), *options, "--no-dashboard")
        return Program("replay", "monitor.cli", command, folder, env)

    def staged() -> int:
        sql = "SELECT count(*) FROM event WHERE type LIKE '%stage%' AND data LIKE '%\"live\"%'"
        return query(store, sql)[0][0] if query(store, sql) else 0

    with RedisServer(0) as server, FollowingApp(server.url, folder) as app:
        done = 0
        while done < kills:
            known = staged()
            with replay(REPLAY_SPEED) as program:
                until(lambda known=known, p=program: staged() > known or not p.running, "an epoch")  # type: ignore[misc]
                time.sleep(chance.uniform(0.0, 2.0))
                if not program.running:
                    break
            done += 1
        with replay("max") as program:
            program.process.wait(300)
        n = staged()
        until(lambda: n - 1 in app.epochs(), "the last epoch")
        return row("the monitor (a replay)", done, n, app.epochs())


def row(name: str, kills: int, n: int, epochs: Counter[int]) -> str:
    missed = n - len(epochs)
    return f"| {name} | {kills} | {n} | {missed} | {epochs.total() - len(epochs)} |"


def latency(n: int, folder: Path, name: str, program: str) -> str:
    """Return the row with the time from the publication of an epoch to the app's loop."""
    folder.mkdir(parents=True)
    with (
        RedisServer(0) as server,
        FollowingApp(server.url, folder, program, keeps=False) as app,
        Sender(server.url, 0.02) as sender,
    ):
        until(lambda: bool(app.epochs()), "the first epoch")
        first = len(sender.sent)
        while len(sender.sent) < first + n:
            time.sleep(0.1)
        sender.finish()
        until(lambda: len(sender.sent) - 1 in app.epochs(), "the last epoch")
        delays = sorted(when - sender.sent[epoch] for epoch, when in app.times() if epoch >= first)
    p50, p99 = (1000 * delays[int(len(delays) * share)] for share in (0.5, 0.99))
    return f"| {name} | {len(delays)} | {p50:.1f} | {p99:.1f} | {1000 * delays[-1]:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="following", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--latency", type=int, default=0)
    options = parser.parse_args()
    if options.kills:
        kept = options.out / "data"
        kept.mkdir(parents=True)
        keeps = ("--dir", str(kept), "--appendonly", "yes", "--appendfsync", "always")
        print("| killed with SIGKILL | kills | epochs | missed | twice |\n|---|---|---|---|---|")
        for name, server in (
            ("the server, which comes back empty", ()),
            ("the server, which keeps its data", keeps),
            ("the app", ()),
            ("the app and the server", ()),
        ):
            folder = options.out / name.replace(" ", "-")
            print(with_kills(name, options.kills, folder, server), flush=True)
        print(with_killed_monitor(options.kills, options.out / "monitor"), flush=True)
    if options.latency:
        print("| | epochs | p50 ms | p99 ms | slowest ms |\n|---|---|---|---|---|")
        for name, program in (("`follow`", APP), ("`afollow`", ASYNC_APP)):
            folder = options.out / name.strip("`")
            print(latency(options.latency, folder, name, program), flush=True)


if __name__ == "__main__":
    main()
