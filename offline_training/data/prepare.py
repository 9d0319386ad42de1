"""Many recordings prepared at once: what is there is kept, what is bad is told and left out."""

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
from offline_training.data.condition import Source, condition
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
    """What a run did: recordings made, recordings found already made, and those left out; and
    recordings of an earlier run whose files are gone, or have another name."""

    made: list[Card]
    kept: list[Card]
    left_out: list[LeftOut]
    gone: list[Card]


def prepare_all(sources: Sequence[Source], out: Path, jobs: int, report: Report) -> Prepared:
    """Prepares ``sources`` into ``out`` with ``jobs`` processes, and writes its index.

    What is there and would come out the same is kept. A recording that cannot be prepared is left
    out, and an older one of that name with it, and all but one of those that are one recording.
    Interrupted, the index lists what is whole.

    Raises InputError when ``out`` cannot be used, MonitorError when it cannot be written to.
    """
    made: list[Card] = []
    kept: list[Card] = []
    left_out: list[LeftOut] = []
    with _locked(out):
        todo = []
        for source in sources:
            card = _already(source, out)
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
        index.gone,
    )


def prepare_one(source: Source, out: Path) -> Card | LeftOut:
    """Prepares ``source``; what is wrong with it is returned, a failure to write is raised."""
    try:
        files = tuple(SourceFile.of(path) for path in source.files)
        if source.published:
            for path, file, sha256 in zip(source.files, files, source.published, strict=True):
                if file.sha256 != sha256:
                    raise InputError(f"{path} is not the published file: fetch it with --download")
        night = condition(source)
    except Exception as exc:  # one odd file among thousands must not cost the others
        remove_recording(out, source)
        return LeftOut.because_of(exc, source.name, source.recording)
    return write_recording(out, source, files, night)


def _already(source: Source, out: Path) -> Card | None:
    try:
        card = Card.read(card_path(out, source.dataset, source.name))
        size = samples_path(out, source.dataset, source.name).stat().st_size
        return card if size == card.bytes and card.answers(source) else None
    except (InputError, OSError):
        return None


def _outcomes(
    sources: Sequence[Source], out: Path, jobs: int
) -> Generator[Card | LeftOut, None, None]:
    if jobs == 1 or len(sources) < 2:
        for source in sources:
            yield prepare_one(source, out)
        return
    # Started afresh: a forked child would inherit torch's threads in whatever state they are.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(jobs, len(sources)), context, _begin_worker)
    try:
        for future in as_completed(pool.submit(prepare_one, each, out) for each in sources):
            yield future.result()
    except BrokenProcessPool as exc:
        raise MonitorError(
            "a process was killed, perhaps for want of memory: give fewer --jobs; "
            "the same command continues"
        ) from exc
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_worker() -> None:
    """Ctrl-C is for the parent, which lets recordings at hand end; without it workers end too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """``out`` made if need be, and kept from other runs: they would write one index."""
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
