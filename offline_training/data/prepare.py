"""Prepare many recordings at once: keep the current ones, leave out and list the bad ones."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from monitor.errors import InputError, MonitorError
from offline_training.data.condition import SourceRecording, condition
from offline_training.data.index import Index
from offline_training.data.layout import (
    Card,
    SourceFile,
    card_path,
    remove_recording,
    samples_path,
    write_recording,
)
from offline_training.data.left_out import LeftOut
from offline_training.progress import Report

LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class Prepared:
    """The result of a run.

    - ``made``: recordings that were prepared now; ``kept``: those that an earlier run prepared and
      that are still current; ``left_out``: those that could not be used.
    - ``orphaned``: recordings of an earlier run whose files were removed or renamed.
    """

    made: list[Card]
    kept: list[Card]
    left_out: list[LeftOut]
    orphaned: list[Card]


def prepare_all(
    sources: Sequence[SourceRecording], out: Path, jobs: int, report: Report
) -> Prepared:
    """Prepare ``sources`` into ``out`` with ``jobs`` processes, and write the index.

    A recording that is already there and current is kept. One that cannot be prepared is left out,
    and its older version is removed. Of recordings with the same content one is listed. If the
    run is interrupted, the index lists the recordings that are whole.

    Raises InputError if ``out`` cannot be used, MonitorError if writing fails.
    """
    made: list[Card] = []
    kept: list[Card] = []
    left_out: list[LeftOut] = []
    with _locked(out):
        todo = []
        for source in sources:
            card = _current_card(source, out)
            if card is None:
                todo.append(source)
            else:
                kept.append(card)
        try:
            with closing(_outcomes(todo, out, jobs)) as outcomes:
                for step, outcome in enumerate(outcomes, 1):
                    if isinstance(outcome, Card):
                        made.append(outcome)
                        line = f"{outcome.name}: {outcome.n_epochs} epochs"
                    else:
                        left_out.append(outcome)
                        line = f"{outcome.name} is left out: {outcome.reason}"
                    report(step, len(todo), line)
        finally:
            index = Index.of(out, sources)
            index.write(out)
    listed = {(card.dataset, card.name) for card in index.cards}
    return Prepared(
        [card for card in made if (card.dataset, card.name) in listed],
        [card for card in kept if (card.dataset, card.name) in listed],
        [*left_out, *index.repeated],
        index.orphaned,
    )


def prepare_one(source: SourceRecording, out: Path) -> Card | LeftOut:
    """Prepare ``source`` into ``out``.

    A recording that cannot be used is returned as `LeftOut`. Raises MonitorError if writing fails.
    """
    try:
        files = tuple(SourceFile.of(path) for path in source.files)
        if source.published:
            for path, file, sha256 in zip(source.files, files, source.published, strict=True):
                if file.sha256 != sha256:
                    raise InputError(f"{path} is not the published file: fetch it with --download")
        night = condition(source)
    except Exception as exc:  # One odd file among thousands must not end the run.
        remove_recording(out, source)
        return LeftOut.because_of(exc, source.name, source.recording)
    return write_recording(out, source, files, night)


def _current_card(source: SourceRecording, out: Path) -> Card | None:
    """Return the card of ``source`` in ``out``, None if it is missing, damaged or out of date."""
    try:
        card = Card.read(card_path(out, source.dataset, source.name))
        size = samples_path(out, source.dataset, source.name).stat().st_size
        return card if size == card.bytes and card.is_current(source) else None
    except (InputError, OSError):
        return None


def _outcomes(
    sources: Sequence[SourceRecording], out: Path, jobs: int
) -> Generator[Card | LeftOut, None, None]:
    """Prepare ``sources`` and yield each result once it is there, in any order."""
    if jobs == 1 or len(sources) < 2:
        for source in sources:
            yield prepare_one(source, out)
        return
    # A forked child would inherit PyTorch's threads and their locks in an undefined state.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(jobs, len(sources)), context, _begin_worker)
    try:
        for future in as_completed(pool.submit(prepare_one, each, out) for each in sources):
            yield future.result()
    except BrokenProcessPool as exc:
        raise MonitorError(
            "a process was killed, perhaps because memory ran out: give fewer --jobs; "
            "the same command continues"
        ) from exc
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_worker() -> None:
    """Ignore Ctrl-C in this worker, and end the worker if the parent process ends.

    Ctrl-C reaches every process of the terminal. The parent handles it: it lets the current
    recordings finish.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Create ``out`` if it is missing, and lock it: two runs would overwrite each other's index."""
    lock = FileLock(out / LOCK)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as exc:
        raise InputError(f"another sleep-train prepare is writing to {out}: wait for it") from exc
    except OSError as exc:
        raise InputError(
            f"--out {out} cannot be written: {exc.strerror or exc}; choose another folder"
        ) from exc
    try:
        yield
    finally:
        lock.release()
