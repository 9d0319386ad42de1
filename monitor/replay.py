"""Replays a recording through the whole monitor: builds the parts, feeds them, reports."""

from __future__ import annotations

import gc
import logging
import os
import shlex
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from pathlib import Path

from rich.console import Console

from models.contract import EPOCH_S
from monitor.clock import Clock
from monitor.composition import (
    LATER,
    EventDelivery,
    EventServer,
    check_outputs,
    event_server,
)
from monitor.config import ReplayOptions
from monitor.errors import InputError, MonitorError
from monitor.night.agreement import agreement
from monitor.night.file_watch import store_files
from monitor.night.state import NightState
from monitor.night.store import NightStore
from monitor.night.trouble import StoreError
from monitor.pipeline import Pipeline
from monitor.recorded_night import Replay
from monitor.sinks.agreement_report import agreement_report
from monitor.sinks.dashboard import Background, Look, night_view, summary
from monitor.sinks.dashboard.palette import Palette
from monitor.sinks.epochs_csv import check_store, check_writable, write_epochs
from monitor.sinks.ways import CarriedNight, open_ways
from monitor.sources.formats import OpenRecording, open_recording

_log = logging.getLogger(__name__)


def run_replay(
    options: ReplayOptions,
    console: Console,
    clock: Clock,
    stop: threading.Event,
    open_recording: OpenRecording = open_recording,
) -> None:
    """Replay a recording through the whole monitor; print the night and its agreement.

    If ``stop`` is set, the replay raises KeyboardInterrupt before the next samples, as Ctrl-C does.
    Raises `InputError` before anything is written, `MonitorError` later. If the night is kept, then
    however the replay ends, the epochs staged so far are stored, and the same command continues the
    night.
    """
    check_outputs(options)
    run = Replay.prepare(options, open_recording)
    # The modules that are loaded now stay until the end: the garbage collector need not search all
    # of PyTorch again and again.
    gc.freeze()
    for note in run.notes():
        _log.info(note)
    background = Background(options.theme, os.environ)
    with ExitStack() as stack:
        # Closed in reverse: first the delivery, which sends the last events to the server; then
        # the server; last the store, from which the delivery reads.
        store = stack.enter_context(_open_store(run))
        server = stack.enter_context(event_server(options, clock))
        left = LATER if options.is_kept else "they are lost, since this night is not kept"
        ways = open_ways(options.ways, CarriedNight(run.session, None), store, clock)
        delivery = EventDelivery(store, run.session.id, server.url, clock, left, ways)
        delivery.start()
        stack.callback(delivery.finish)
        pipeline = run.pipeline(store, clock, delivery.notify)
        if store.ended():
            _log.info(
                "%s already holds this whole night: nothing is staged again. To stage it anew, "
                "remove that file with: sleep-monitor nights delete %s",
                store.path,
                shlex.quote(str(store.path)),
            )
            delivery.finish()
        else:
            _stream(run, store, pipeline, server, delivery, console, background, clock, stop)
        store.keep()
        state = run.state(pipeline, run.end_utc, delivery.state(), ended=True)
        _report(run, state, console, background.palette)
        if store.losses and options.is_kept:
            raise MonitorError("; ".join(store.losses))
    if not options.is_kept:
        _log.info("This night is not kept. To keep it, run the same command with --keep")


def _stream(
    run: Replay,
    store: NightStore,
    pipeline: Pipeline,
    server: EventServer,
    delivery: EventDelivery,
    console: Console,
    background: Background,
    clock: Clock,
    stop: threading.Event,
) -> None:
    """Feed the recording to the pipeline and show the night, until the recording ends."""
    n_done = pipeline.night.n_epochs
    shown_before = None
    if n_done:
        _log.info("%d of %d epochs are in %s: continuing", n_done, run.n_epochs, store.path)
        shown_before = run.state(pipeline, run.session.start_utc, delivery.state())
    elif run.options.is_kept:
        _log.info("The night is stored in %s", store.path)
    view = night_view(
        console,
        clock,
        plain=not run.options.dashboard,
        resumed_from=shown_before,
        background=background,
        end=stop.set,
    )
    with view:
        for chunk in run.chunks(clock, from_s=run.session.start_s + EPOCH_S * n_done):
            if stop.is_set():
                raise KeyboardInterrupt
            pipeline.push(chunk)
            server.keep_running()
            reached_s = chunk.reached_s
            if reached_s is None:
                reached_s = float(chunk.times_s[-1]) + 1.0 / chunk.sfreq_hz
            clock_utc = run.recording.start_utc + timedelta(seconds=reached_s)
            view.update(run.state(pipeline, clock_utc, delivery.state()))
        pipeline.finish(clock.utc())
        delivery.finish()
        view.update(run.state(pipeline, run.end_utc, delivery.state(), ended=True))


def _report(run: Replay, state: NightState, console: Console, palette: Palette) -> None:
    """Write the CSV file, and print the summary and the agreement with the expert."""
    if run.options.output is not None:
        write_epochs(run.options.output, run.session, state.live, state.revised, is_live=False)
        _log.info("Epochs written to %s", run.options.output)
    try:
        console.print(summary(state, Look.of(console, palette=palette)))
        if run.expert is not None:
            expert = run.expert_stages(len(state.live))
            live = agreement(expert, [prediction.stage for prediction in state.live])
            revised = agreement(expert, state.hypnogram)
            console.print(agreement_report(live, revised, run.expert.path.name))
    except OSError as exc:
        raise MonitorError(
            f"cannot print the summary: {exc.strerror}"
            + ("; the night itself is stored" if run.options.is_kept else "")
        ) from exc


@contextmanager
def _open_store(run: Replay) -> Iterator[NightStore]:
    """Yield the night's store. Raises `InputError` if it holds another night."""
    with ExitStack() as stack:
        if run.options.is_kept:
            path = run.store_path
        else:
            path = stack.enter_context(_temporary_folder()) / "night.sqlite"
        check_store(path, run.inputs)
        if run.options.output is not None:
            check_writable(run.options.output, [*store_files(path), *run.inputs])
        # At --speed max, waiting for the disk would take longer than staging. A replay that loses
        # its last epochs in a power cut stages them again.
        durable = run.options.is_kept and run.options.speed is not None
        store = stack.enter_context(closing(NightStore.open(path, durable=durable)))
        stored = store.session()
        if stored is not None and stored.id != run.session.id:
            raise InputError(
                f"{path} holds another night ({stored.source}, {stored.derivation}, --gain "
                f"{stored.gain}, {stored.model}); choose another --store"
            )
        yield store


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """Yield a folder that is removed at the end, with the night in it."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="sleep-monitor-", ignore_cleanup_errors=True)
    except OSError as exc:
        raise InputError(
            f"cannot make a temporary folder for the night: {exc.strerror}; set TMPDIR, or name a "
            "file with --store"
        ) from exc
    with folder as name:
        try:
            yield Path(name)
        except StoreError as exc:
            raise MonitorError(
                f"the temporary file of the night in {name} failed ({exc.trouble}): make room "
                "there, or name a file elsewhere with --store"
            ) from exc
