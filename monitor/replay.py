"""Replays a recording through the whole monitor: builds the parts, feeds them, reports."""

from __future__ import annotations

import gc
import logging
import math
import os
import shlex
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from rich.console import Console

from models.contract import EPOCH_S
from monitor.clock import Clock
from monitor.composition import (
    LATER,
    NO_DELIVERY,
    EventDelivery,
    EventServer,
    build_pipeline,
    check_event_server,
    event_server,
    load_backend,
    nights_folder,
)
from monitor.config import ReplayOptions, default_replays_folder
from monitor.errors import InputError, MonitorError
from monitor.night.agreement import agreement
from monitor.night.file_watch import store_files
from monitor.night.identity import replay_id
from monitor.night.state import NightState
from monitor.night.store import NightStore
from monitor.night.trouble import StoreError
from monitor.pipeline import BATCH_EPOCHS, Pipeline, begin
from monitor.sinks.agreement_report import agreement_report
from monitor.sinks.dashboard import Background, Look, night_view, summary
from monitor.sinks.dashboard.palette import Palette
from monitor.sinks.epochs_csv import check_store, check_writable, write_epochs
from monitor.sources.channel_names import name_key
from monitor.sources.derivation import RecordedDerivation, choose_derivation
from monitor.sources.expert import expert_hypnogram
from monitor.sources.formats import OpenRecording, open_recording
from monitor.sources.hypnogram import (
    Hypnogram,
    grid_origin_s,
    stages_on_grid,
    whole_epochs,
)
from monitor.sources.marks import recorded_marks
from monitor.sources.pacing import replay
from monitor.sources.recording import Recording
from monitor.staging.chain import BackendChain
from monitor.text import printed
from monitor.types import Delivery, EegChunk, Montage, Session

HANDOVER_S = 0.05
"""A paced replay hands over samples this often, about as often as a headband does."""

LONGEST_CHUNK_S = EPOCH_S * BATCH_EPOCHS
"""A fast replay hands over as many samples at once as the pipeline stages together."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Replay:
    """A recording whose options are checked. Nothing is written or started for it yet."""

    options: ReplayOptions
    recording: Recording
    derivation: RecordedDerivation
    expert: Hypnogram | None
    backend: BackendChain
    session: Session
    n_epochs: int

    @classmethod
    def prepare(
        cls, options: ReplayOptions, open_recording: OpenRecording = open_recording
    ) -> Replay:
        """Open the recording and load the network. Raises `InputError` for every mistake."""
        check_event_server(options)
        recording = open_recording(options.recording)
        derivation = choose_derivation(recording.channels, options.channel)
        recording.chunks(derivation)  # raises InputError if it cannot be decoded
        expert = expert_hypnogram(recording, options.hypnogram)
        origin_s = grid_origin_s(options.grid, expert, recording.first_sample_s)
        n_epochs = whole_epochs(recording.duration_s, origin_s)
        if n_epochs < 1:
            raise InputError(
                f"{options.recording} has no whole epoch: it ends {recording.duration_s:.1f} s "
                f"after its start, and the first 30-s epoch begins at {origin_s:g} s"
            )
        backend = load_backend(options)
        contract = backend.contract
        session = Session(
            id=replay_id(recording.fingerprint, derivation.name, origin_s, contract.weights_sha256),
            source=printed(options.recording.name),
            derivation=derivation.name,
            channels=(derivation.name,),
            start_s=origin_s,
            start_utc=recording.start_utc + timedelta(seconds=origin_s),
            sfreq_hz=derivation.sfreq_hz,
            gain=options.gain.value,
            model=contract.full_name,
        )
        return cls(options, recording, derivation, expert, backend, session, n_epochs)

    @property
    def end_utc(self) -> datetime:
        """The end of the last epoch, on the recording's clock."""
        return self.session.epoch_start_utc(self.n_epochs)

    def notes(self) -> list[str]:
        """Return what the user should know before the night is staged, a sentence each."""
        notes = [*self.recording.notes(self.derivation), self.derivation.why, self.backend.note]
        notes += self._expert_notes()
        trained = self.backend.contract.channel
        if self.options.channel and name_key(self.derivation.name) != name_key(trained):
            notes.append(f"The network learned from {trained}: expect less of other channels.")
        return notes

    def _expert_notes(self) -> list[str]:
        if self.expert is None:
            return []
        notes = list(self.expert.notes)
        if self.options.hypnogram is None and self.expert.path != self.recording.path:
            notes.append(
                f"The expert's stages are those of {self.expert.path.name}, beside the recording "
                "(choose others with --hypnogram)."
            )
        return notes

    @property
    def inputs(self) -> list[Path]:
        """The files that the replay reads; nothing may be written in their place."""
        found = [] if self.expert is None else [self.expert.path]
        return [*self.options.inputs, *found]

    @property
    def store_path(self) -> Path:
        """The file of a night that is kept: the user's choice, or one in the folder of replays."""
        if self.options.store is not None:
            return self.options.store
        name = f"{Path(self.session.source).stem}-{self.session.id[:8]}.sqlite"
        return nights_folder(default_replays_folder()) / name

    def chunks(self, clock: Clock, from_s: float) -> Iterator[EegChunk]:
        """Yield the samples at the chosen speed; those before ``from_s`` without waiting."""
        return replay(self._pieces(from_s), self.options.speed, clock, from_s)

    def _pieces(self, from_s: float) -> Iterator[EegChunk]:
        """Yield whole epochs up to ``from_s``, then chunks whose length suits the speed."""
        read, start_s = self.recording.chunks, self.recording.first_sample_s
        for chunk in read(self.derivation, EPOCH_S):
            if chunk.times_s[-1] >= from_s:
                break
            yield chunk
            # Half a period after the last sample: no rounding repeats it or skips the next one.
            start_s = float(chunk.times_s[-1]) + 0.5 / chunk.sfreq_hz
        speed = self.options.speed
        handover_s = math.inf if speed is None else HANDOVER_S * speed
        yield from read(self.derivation, min(handover_s, LONGEST_CHUNK_S), start_s)

    def pipeline(
        self, store: NightStore, clock: Clock, notify: Callable[[], None] = lambda: None
    ) -> Pipeline:
        """Begin the session in ``store``, unless it has begun, and build its pipeline.

        ``notify`` is called whenever the store holds new events.
        """
        session = self.session
        begin(
            store,
            session,
            clock.utc(),
            weights_sha256=self.backend.contract.weights_sha256,
            command=self.options.command,
        )
        return build_pipeline(
            session,
            Montage.of_one(session.derivation),
            store,
            self.backend,
            clock,
            notify,
            marks=recorded_marks(self.recording.annotations, self.recording.start_utc),
        )

    def state(
        self,
        pipeline: Pipeline,
        clock_utc: datetime,
        delivery: Delivery = NO_DELIVERY,
        *,
        ended: bool = False,
    ) -> NightState:
        """Return the night as it is now; ``clock_utc`` is on the recording's clock."""
        return pipeline.night.state(
            clock_utc=clock_utc,
            signal=pipeline.signal,
            recent_uv=pipeline.recent_uv,
            channels=(),
            last_sample_utc=pipeline.last_sample_utc,
            unstored=0,
            delivery=delivery,
            n_epochs_total=self.n_epochs,
            is_live=False,
            speed=self.options.speed,
            ended=ended,
        )


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
        delivery = EventDelivery(store, run.session.id, server.url, clock, left)
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
            expert = stages_on_grid(run.expert, run.session.start_s, len(state.live))
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
