"""The real programs, each in a process of its own: headbands, and the monitor that listens."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from deploy.live_headbands import confined_lsl
from monitor.closing import Closing

ROOT = Path(__file__).parent.parent.parent
END_TIMEOUT_S = 60.0


def environment(folder: Path) -> dict[str, str]:
    """Return the environment for all processes of one test: LSL on this machine alone, in a
    session of its own, and user folders inside ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    own = {"OMP_NUM_THREADS": "1", "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    return os.environ | confined_lsl(folder, folder.resolve().as_posix().replace("/", "-")) | own


class Program(Closing):
    """A Python module that runs as a program; its output goes to files in ``folder``.

    ``close`` kills it.
    """

    def __init__(
        self, name: str, module: str, arguments: Sequence[str], folder: Path, env: dict[str, str]
    ) -> None:
        self.name = name
        self.out, self.err = folder / f"{name}.out", folder / f"{name}.err"
        # Appended, so that the output of a program that was killed before it stays readable.
        with self.out.open("ab") as out, self.err.open("ab") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=ROOT,
                env=env,
                stdout=out,
                stderr=err,
            )

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """End it at once (SIGKILL), as a crash or a loss of power would."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self.kill()

    def end(self, timeout_s: float = END_TIMEOUT_S) -> int:
        """Ask it to stop (SIGTERM), wait, and return its exit status."""
        if self.running:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"{self.name} did not end within {timeout_s} s:\n{self.errors()}"
            ) from None

    def errors(self) -> str:
        """Return what it wrote to stderr."""
        return self.err.read_text(encoding="utf-8", errors="replace")


class HeadbandProgram(Program):
    """`tests.live.headband`."""

    def __init__(self, folder: Path, env: dict[str, str], *arguments: str) -> None:
        arguments = ("--source-id", "headband-1", *arguments)
        super().__init__("headband", "tests.live.headband", arguments, folder, env)

    def lines(self, kind: str) -> list[dict[str, Any]]:
        """Return its JSON lines of one kind, of every start in this folder."""
        # A line that is only half written, now or when it was killed, does not end in a brace.
        lines = self.out.read_text(encoding="utf-8").splitlines()
        read = [json.loads(line) for line in lines if line.endswith("}")]
        return [each for each in read if each["what"] == kind]


class MonitorProgram(Program):
    """`sleep-monitor live lsl`, without a dashboard."""

    def __init__(
        self, folder: Path, env: dict[str, str], store: Path, redis: str, *arguments: str
    ) -> None:
        command = ("live", "lsl", "--source-id", "headband-1", "--store", str(store))
        options = ("--redis", redis, "--no-dashboard", *arguments)
        super().__init__("monitor", "monitor.cli", (*command, *options), folder, env)


def query(store: Path, sql: str) -> list[tuple[Any, ...]]:
    """Read a night's file while it is written. Return nothing if there is no night yet."""
    if not store.exists():
        return []
    try:
        with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=10.0)) as night:
            return night.execute(sql).fetchall()
    except sqlite3.OperationalError:
        return []


def epochs_stored(store: Path) -> int:
    """Return the number of epochs in a night's file."""
    rows = query(store, "SELECT count(*) FROM epoch")
    return int(rows[0][0]) if rows else 0


def wait_for(
    condition: Callable[[], bool], event: str, timeout_s: float, program: Program | None = None
) -> None:
    """Wait until ``condition`` is true. Fail after ``timeout_s``, or if ``program`` ends before.

    ``event`` names the condition in the message.
    """
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if program is not None and not program.running:
            raise AssertionError(f"{program.name} ended before {event}:\n{program.errors()}")
        if time.monotonic() > deadline_s:
            log = "" if program is None else f"\n{program.name} logged:\n{program.errors()[-2000:]}"
            raise AssertionError(f"waited {timeout_s:g} s for {event}{log}")
        time.sleep(0.05)


def wait_until_idle(store: Path, quiet_s: float, timeout_s: float) -> None:
    """Wait until the monitor has stored no epoch for ``quiet_s``."""
    deadline_s = time.monotonic() + timeout_s
    known, since_s = epochs_stored(store), time.monotonic()
    while time.monotonic() - since_s < quiet_s:
        assert time.monotonic() < deadline_s, f"still storing after {timeout_s:g} s"
        time.sleep(0.1)
        if (now := epochs_stored(store)) != known:
            known, since_s = now, time.monotonic()
