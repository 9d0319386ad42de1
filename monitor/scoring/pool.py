"""Stages recordings in several processes. One that dies costs its own recording alone."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from monitor.config import ReplayOptions
from monitor.scoring.row import Row, failed_row
from monitor.scoring.worker import Task, work

LOOK_S = 0.2
"""`stop` is looked at this often."""

END_S = 5.0
"""Time for a process to end. One that takes longer is killed."""


@dataclass(slots=True)
class _Worker:
    """A process, the connection to it, and the task it works on."""

    process: SpawnProcess
    tasks: Connection
    task: Task | None = None


def staged_rows(
    tasks: Iterable[Task], jobs: int, options: ReplayOptions, stop: threading.Event
) -> Generator[tuple[Task, Row], None, None]:
    """Yield each task with its row, as they are done, by ``jobs`` processes.

    Ends early if ``stop`` is set; what is in work is then given up.
    """
    waiting = iter(tasks)
    workers: list[_Worker] = []
    try:
        for task in waiting:
            workers.append(_started(options))
            _give(workers[-1], task)
            if len(workers) == jobs:
                break
        while workers and not stop.is_set():
            ready = wait([each.tasks for each in workers], LOOK_S)
            for worker in [each for each in workers if each.tasks in ready]:
                task, row = _answer(worker)
                # A signal to all processes may have ended this one first.
                if row is None and stop.wait(LOOK_S):
                    return
                if row is None:
                    row = failed_row(task.options.recording, _death(worker))
                    workers.remove(worker)
                    _close(worker)
                    if (following := next(waiting, None)) is not None:
                        workers.append(_started(options))
                        _give(workers[-1], following)
                elif (following := next(waiting, None)) is not None:
                    _give(worker, following)
                else:
                    workers.remove(worker)
                    _close(worker)
                yield task, row
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            _close(worker)


def _started(options: ReplayOptions) -> _Worker:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=work, args=(there, options), daemon=True)
    with _interrupts_ignored():
        process.start()
    # With the other end open here too, nobody would notice that the process died.
    there.close()
    return _Worker(process, here)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Let a process that starts inherit that Ctrl-C is ignored: it is not ready for it yet."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _give(worker: _Worker, task: Task) -> None:
    worker.task = task
    with suppress(BrokenPipeError):  # it died: its answer says so
        worker.tasks.send(task)


def _answer(worker: _Worker) -> tuple[Task, Row | None]:
    """Return the task of ``worker`` and its row, or None if the process died."""
    assert worker.task is not None
    try:
        row: Row = worker.tasks.recv()
    except (EOFError, OSError):
        return worker.task, None
    return worker.task, row


def _death(worker: _Worker) -> str:
    """Return why the process of ``worker`` ended."""
    worker.process.join(END_S)
    code = worker.process.exitcode
    if code == -getattr(signal, "SIGKILL", 9):
        return "its process was killed; if memory is short, use fewer --jobs"
    return f"its process ended with status {code}"


def _close(worker: _Worker) -> None:
    worker.tasks.close()
    worker.process.join(END_S)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()
    worker.process.close()
