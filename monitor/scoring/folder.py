"""`sleep-monitor score`: stages files and folders of recordings, and writes what it finds."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.text import Text

from monitor.clock import Clock
from monitor.composition import load_backend
from monitor.errors import InputError, MonitorError
from monitor.exports.formats import chosen_formats
from monitor.scoring.finding import find_recordings
from monitor.scoring.fingerprint import Fingerprints
from monitor.scoring.options import ScoreOptions
from monitor.scoring.outputs import outputs_exist, own_names, write_outputs
from monitor.scoring.pool import staged_rows
from monitor.scoring.progress import progress
from monitor.scoring.row import FAILED, Row, done_row, failed_row, in_short
from monitor.scoring.table import SummaryTable
from monitor.scoring.worker import Task, stage_task
from monitor.sinks.agreement_report import agreement_report
from monitor.sinks.dashboard import Look, summary
from monitor.sources.formats import open_recording
from monitor.sources.hypnogram_files import SCORED
from monitor.sources.listing import is_plain_folder
from monitor.text import printed

_log = logging.getLogger(__name__)


def run_scoring(
    options: ScoreOptions,
    console: Console,
    lines: Console,
    clock: Clock,
    stop: threading.Event,
) -> None:
    """Stage the recordings that ``options`` name, and write their files and the table of all.

    A single recording is shown as a replay shows it. Of many, ``lines`` shows the progress, and
    ``console`` what came of them. If ``stop`` is set, KeyboardInterrupt is raised; what is done
    stays, and the same command does the rest.

    Raises `InputError` if there is nothing to stage or an option is wrong, `MonitorError` if a
    recording could not be staged; the others are done then.
    """
    chosen_formats(list(options.formats))
    recordings = find_recordings(options.paths, recursive=options.recursive)
    if not recordings:
        for path in options.paths[:1]:
            if path.is_file():
                open_recording(path)  # it says what the file is instead
        raise InputError(
            f"there is no recording in {_named(options.paths)}: name recordings, or folders with "
            "them" + ("" if options.recursive else "; --recursive searches folders in them")
        )
    if len(recordings) == 1 and not any(map(is_plain_folder, options.paths)):
        _score_one(options, recordings[0], console, stop)
    else:
        _score_all(options, recordings, console, lines, clock, stop)


def _score_one(
    options: ScoreOptions, recording: Path, console: Console, stop: threading.Event
) -> None:
    """Stage one recording, show it, and write its files. Only --out has a table."""
    if options.out is None:
        output = recording.with_name(own_names([recording])[recording] + SCORED)
        _show(Task(options.of(recording), options.formats, output), console, stop)
        return
    with SummaryTable(options.out) as table:
        output = table.outputs([recording], options.out)[recording]
        task = Task(
            options.of(recording), options.formats, output, Fingerprints(options).of(recording)
        )
        try:
            row = _show(task, console, stop)
        except MonitorError as exc:
            table.add(task, failed_row(recording, str(exc)))
            raise
        table.add(task, row)
        table.finish()


def _show(task: Task, console: Console, stop: threading.Event) -> Row:
    """Stage the recording of ``task``, write its files, and print it as a replay does."""
    backend = load_backend(task.options)
    try:
        night = stage_task(task, backend, stop)
    except InputError as exc:
        # The command is right and the recording is there, but it failed: the status is 1.
        raise MonitorError(str(exc)) from exc
    for note in night.run.notes():
        _log.info(note)
    # First the files: a reader of the output, such as `head`, may close it.
    write_outputs(night.record, task.formats, task.output.parent)
    try:
        console.print(summary(night.record.state, Look.of(console)))
        if night.run.expert and night.live and night.revised:
            name = night.run.expert.path.name
            console.print(agreement_report(night.live, night.revised, name))
    except OSError as exc:
        raise MonitorError(f"cannot print the summary: {exc.strerror}") from exc
    return done_row(night)


def _score_all(
    options: ScoreOptions,
    recordings: list[Path],
    console: Console,
    lines: Console,
    clock: Clock,
    stop: threading.Event,
) -> None:
    """Stage many recordings in several processes."""
    # A mistake that concerns all of them is raised once, before anything is written.
    _log.info(load_backend(options.each).note)
    began_s = clock.monotonic_s()
    with SummaryTable(_table_folder(options, recordings)) as table:
        tasks = _tasks(options, recordings, table)
        if tasks and (n_before := len(recordings) - len(tasks)):
            _log.info("%d of %d recordings are done and unchanged", n_before, len(recordings))
        failures: list[tuple[Path, str]] = []
        jobs = min(options.jobs or _cores(), len(tasks))
        with (
            progress(lines, len(tasks)) as show,
            closing(staged_rows(tasks, jobs, options.each, stop)) as done,
        ):
            for task, row in done:
                table.add(task, row)
                path = task.options.recording
                if row["status"] == FAILED:
                    failures.append((path, row["reason"]))
                show(f"{printed(str(path))}: {in_short(row)}", len(failures))
        table.finish()
    if stop.is_set():
        raise KeyboardInterrupt
    took_s = clock.monotonic_s() - began_s
    n_done = len(tasks) - len(failures)
    _print(
        console,
        f"{n_done} of {len(tasks)} recordings staged in {_duration(took_s)}"
        if tasks
        else f"All {len(recordings)} recordings are done and unchanged: nothing is staged again",
    )
    _print(console, f"Summary: {table.path}")
    for path, reason in failures:
        _print(console, f"failed: {path} {reason}")
    if failures:
        raise MonitorError(f"{len(failures)} of {len(recordings)} recordings could not be staged")


def _tasks(options: ScoreOptions, recordings: Sequence[Path], table: SummaryTable) -> list[Task]:
    """Return what is to be done: all but the recordings that are done and unchanged."""
    fingerprints = Fingerprints(options)
    tasks = []
    for recording, output in table.outputs(recordings, options.out).items():
        fingerprint = fingerprints.of(recording)
        done = table.is_done(recording, fingerprint)
        if not (done and outputs_exist(output, options.formats)):
            tasks.append(Task(options.of(recording), options.formats, output, fingerprint))
    return tasks


def _table_folder(options: ScoreOptions, recordings: Sequence[Path]) -> Path:
    """Return where the table goes: --out, the folder that was named or holds all, else here."""
    if options.out is not None:
        return options.out
    if len(options.paths) == 1 and is_plain_folder(options.paths[0]):
        return options.paths[0]
    folders = {path.parent.resolve() for path in recordings}
    return folders.pop() if len(folders) == 1 else Path()


def _cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _named(paths: Sequence[Path], most: int = 3) -> str:
    names = ", ".join(str(path) for path in paths[:most])
    return f"{names} and {len(paths) - most} more" if len(paths) > most else names


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _print(console: Console, text: str) -> None:
    try:
        console.print(Text(printed(text)), soft_wrap=True)
    except OSError as exc:
        raise MonitorError(f"cannot print the result: {exc.strerror}") from exc
