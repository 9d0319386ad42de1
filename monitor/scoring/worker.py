"""The work on one recording, and the process that does it again and again."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

from monitor.clock import SystemClock
from monitor.composition import load_backend
from monitor.config import ReplayOptions
from monitor.errors import MonitorError, one_line
from monitor.scoring.outputs import need_signals, write_outputs
from monitor.scoring.row import Row, done_row, failed_row
from monitor.scoring.staged import StagedNight, stage_night
from monitor.staging.chain import BackendChain
from monitor.staging.slices import limit_threads


@dataclass(frozen=True, slots=True)
class Task:
    """A recording to stage, what to write of it, and the beginning of those files' paths.

    ``fingerprint``: see `Fingerprints`; "" if no table keeps it.
    """

    options: ReplayOptions
    formats: tuple[str, ...]
    output: Path
    fingerprint: str = ""


def stage_task(
    task: Task, backend: BackendChain, stop: threading.Event | None = None
) -> StagedNight:
    """Stage the recording of ``task`` with its signals, if a format needs them."""
    return stage_night(
        task.options,
        SystemClock(),
        backend,
        name=task.output.name,
        keep_signals=need_signals(task.formats),
        stop=stop,
    )


def work(tasks: Connection, first: ReplayOptions) -> None:
    """Answer each `Task` with its `Row`, until the other end closes ``tasks``.

    ``first`` are options for which the network is loaded.
    """
    # The process that began this one ends it in order: Ctrl-C and a closed terminal reach both.
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    # The others keep the other cores busy.
    limit_threads(1)
    heard = _Heard()
    logging.basicConfig(handlers=[heard], level=logging.WARNING)
    logging.captureWarnings(True)
    with suppress(EOFError, BrokenPipeError):  # the process that began this one was killed
        backend = load_backend(first)
        while True:
            task: Task = tasks.recv()
            heard.texts.clear()
            row = _row(task, backend)
            row["notes"] = " ".join([*filter(None, [row.get("notes")]), *heard.texts])
            tasks.send(row)


def _row(task: Task, backend: BackendChain) -> Row:
    try:
        night = stage_task(task, backend)
        write_outputs(night.record, task.formats, task.output.parent)
        return done_row(night)
    except MonitorError as exc:
        return failed_row(task.options.recording, str(exc))
    except Exception as exc:  # the others must be staged all the same
        return failed_row(
            task.options.recording, f"an error of the monitor, please report it: {one_line(exc)}"
        )


def _end(signum: int, frame: FrameType | None) -> None:
    sys.exit(1)


class _Heard(logging.Handler):
    """A log handler that keeps texts for the row: a line of a worker would tear the bar."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
