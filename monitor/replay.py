"""The composition root: builds the parts of a run, wires them, and takes them down in order."""

from __future__ import annotations

import gc
import hashlib
import logging
import math
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from rich.console import Console

from models.contract import EPOCH_S
from monitor.clock import Clock
from monitor.composition import NO_DELIVERY, load_backend, nights_folder, nobody_to_notify
from monitor.conditioning.conditioner import Conditioner
from monitor.config import ReplayOptions
from monitor.errors import InputError, MonitorError
from monitor.night.agreement import agreement
from monitor.night.state import NightState
from monitor.night.store import NightStore
from monitor.pipeline import BATCH_EPOCHS, Pipeline, begin
from monitor.sinks.agreement_report import agreement_report
from monitor.sinks.dashboard import Look, night_view, summary
from monitor.sinks.epochs_csv import check_writable, write_epochs
from monitor.sinks.publisher import Publisher
from monitor.sinks.redis_client import connect
from monitor.sinks.redis_server import RedisServer
from monitor.sources.derivation import RecordedDerivation, choose_derivation, name_key
from monitor.sources.edf import EdfRecording
from monitor.sources.hypnogram import Hypnogram, expert_hypnogram, grid_origin_s, stages_on_grid
from monitor.sources.marks import recorded_marks
from monitor.sources.pacing import parse_speed, replay
from monitor.staging.chain import BackendChain
from monitor.staging.stager import Stager
from monitor.types import EegChunk, Montage, Session

HANDOVER_S = 0.05
"""A paced replay hands over samples this often, about as often as a headband does."""

LONGEST_CHUNK_S = EPOCH_S * BATCH_EPOCHS

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Replay:
    """A recording, checked and understood; nothing has been made or started for it yet."""

    options: ReplayOptions
    recording: EdfRecording
    derivation: RecordedDerivation
    expert: Hypnogram | None
    backend: BackendChain
    session: Session
    n_epochs: int
    speed: float | None

    @classmethod
    def prepare(cls, options: ReplayOptions) -> Replay:
        """Check everything that can be wrong. Raises `InputError`."""
        speed = parse_speed(options.speed)
        if options.redis is not None:
            connect(options.redis).close()
        recording = EdfRecording.open(options.recording)
        derivation = choose_derivation(recording.channels, options.channel)
        recording.chunks(derivation)  # raises if it cannot be decoded
        expert = expert_hypnogram(recording, options.hypnogram)
        origin_s = grid_origin_s(options.grid, expert, recording.first_sample_s)
        n_epochs = math.floor((recording.duration_s - origin_s) / EPOCH_S + 1e-6)
        if n_epochs < 1:
            raise InputError(
                f"{options.recording} has no whole epoch: it ends {recording.duration_s:.1f} s "
                f"after its start, and the first 30-s epoch begins at {origin_s:g} s"
            )
        backend = load_backend(options)
        contract = backend.contract
        # The id stands for what decides the stages: nothing else, and not the time of the run.
        identity = (
            recording.fingerprint,
            derivation.name,
            f"{origin_s:.6f}",
            contract.weights_sha256,
        )
        session = Session(
            id=hashlib.sha256("\n".join(identity).encode()).hexdigest()[:32],
            source=options.recording.name,
            derivation=derivation.name,
            channels=(derivation.name,),
            start_s=origin_s,
            start_utc=recording.start_utc + timedelta(seconds=origin_s),
            sfreq_hz=derivation.sfreq_hz,
            gain=options.gain.value,
            model=contract.full_name,
        )
        return cls(options, recording, derivation, expert, backend, session, n_epochs, speed)

    @property
    def end_utc(self) -> datetime:
        """The end of the last epoch."""
        return self.session.start_utc + timedelta(seconds=EPOCH_S * self.n_epochs)

    def notes(self) -> list[str]:
        """What the user should hear before the night is staged."""
        notes = [*self.recording.notes(self.derivation), self.derivation.why, self.backend.note]
        trained = self.backend.contract.channel
        if self.options.channel and name_key(self.derivation.name) != name_key(trained):
            notes.append(f"The network learned from {trained}: expect less of other channels.")
        return notes

    @property
    def store_path(self) -> Path:
        if self.options.store is not None:
            return self.options.store
        return nights_folder() / f"{Path(self.session.source).stem}-{self.session.id[:8]}.sqlite"

    def chunks(self, clock: Clock, from_s: float) -> Iterator[EegChunk]:
        """The samples at the asked pace; those before ``from_s`` at once."""
        return replay(self._pieces(from_s), self.speed, clock, from_s)

    def _pieces(self, from_s: float) -> Iterator[EegChunk]:
        """Whole epochs up to ``from_s``, then chunks as long as the speed asks for."""
        read, start_s = self.recording.chunks, 0.0
        for chunk in read(self.derivation, EPOCH_S):
            if chunk.times_s[-1] >= from_s:
                break
            yield chunk
            start_s = float(chunk.times_s[-1]) + 0.5 / chunk.sfreq_hz
        handover_s = math.inf if self.speed is None else HANDOVER_S * self.speed
        yield from read(self.derivation, min(handover_s, LONGEST_CHUNK_S), start_s)

    def pipeline(self, store: NightStore, clock: Clock, publisher: Publisher | None) -> Pipeline:
        session = self.session
        begin(store, session, clock.utc())
        return Pipeline(
            session,
            Conditioner(
                Montage.of_one(session.derivation),
                session.sfreq_hz,
                session.start_s,
                session.start_utc,
                self.options.gain,
            ),
            Stager(self.backend, clock),
            store,
            notify=publisher.notify if publisher is not None else nobody_to_notify,
            marks=recorded_marks(self.recording.annotations, self.recording.start_utc),
        )

    def state(
        self, pipeline: Pipeline, clock_utc: datetime, publisher: Publisher | None, ended: bool
    ) -> NightState:
        return pipeline.night.state(
            clock_utc=clock_utc,
            signal=pipeline.signal,
            recent_uv=pipeline.recent_uv,
            channels=(),
            last_sample_utc=pipeline.last_sample_utc,
            unstored=0,
            delivery=NO_DELIVERY if publisher is None else publisher.delivery(),
            n_epochs_total=self.n_epochs,
            speed=self.options.speed,
            ended=ended,
        )


def run_replay(
    options: ReplayOptions, console: Console, clock: Clock, stop: threading.Event
) -> None:
    """Replay a recording through the whole monitor; print the night and its agreement.

    Setting ``stop`` ends it as Ctrl-C does, by KeyboardInterrupt, before the next samples. Raises
    `InputError` before anything is made, `MonitorError` later: what is in the store by then is
    safe, and the same command continues. So it does after KeyboardInterrupt.
    """
    run = Replay.prepare(options)
    # What is loaded stays: the collector need not look through all of PyTorch again and again.
    gc.freeze()
    for note in run.notes():
        _log.info(note)
    with ExitStack() as stack:
        # Taken down in reverse: first the publisher, which sends what is left, then its server,
        # and last the store that it reads from.
        store = stack.enter_context(_open_store(run))
        url = stack.enter_context(_event_server(options))
        publisher = stack.enter_context(_publish(run, store, url, clock))
        pipeline = run.pipeline(store, clock, publisher)
        if store.ended():
            _log.info(
                "%s already holds this whole night: nothing is staged again. To stage it anew, "
                "give another --store or remove the file",
                store.path,
            )
            _drain(publisher)
        else:
            _stream(run, store, pipeline, publisher, console, clock, stop)
        _report(run, run.state(pipeline, run.end_utc, publisher, True), console)


def _stream(
    run: Replay,
    store: NightStore,
    pipeline: Pipeline,
    publisher: Publisher | None,
    console: Console,
    clock: Clock,
    stop: threading.Event,
) -> None:
    """Feed the recording to the pipeline and the night to the screen, until the end."""
    done = pipeline.night.n_epochs
    told = None
    if done:
        _log.info("%d of %d epochs are in %s: continuing", done, run.n_epochs, store.path)
        told = run.state(pipeline, run.session.start_utc, publisher, False)
    else:
        _log.info("The night is stored in %s", store.path)
    view = night_view(console, clock, plain=not run.options.dashboard, told=told)
    with view:
        for chunk in run.chunks(clock, from_s=run.session.start_s + EPOCH_S * done):
            if stop.is_set():
                raise KeyboardInterrupt
            pipeline.push(chunk)
            reached_s = chunk.reached_s
            if reached_s is None:
                reached_s = float(chunk.times_s[-1]) + 1.0 / chunk.sfreq_hz
            clock_utc = run.recording.start_utc + timedelta(seconds=reached_s)
            view.update(run.state(pipeline, clock_utc, publisher, False))
        pipeline.finish(clock.utc())
        _drain(publisher)
        view.update(run.state(pipeline, run.end_utc, publisher, True))


def _drain(publisher: Publisher | None) -> None:
    """Send what can be sent in a few seconds."""
    if publisher is not None and (left := publisher.close()):
        _log.warning("%d events did not reach the server; the store keeps them", left)


def _report(run: Replay, state: NightState, console: Console) -> None:
    if run.options.output is not None:
        write_epochs(run.options.output, state.live, state.revised, run.session.start_s)
        _log.info("Epochs written to %s", run.options.output)
    try:
        console.print(summary(state, Look.of(console)))
        if run.expert is not None:
            expert = stages_on_grid(run.expert, run.session.start_s, len(state.live))
            live = agreement(expert, [prediction.stage for prediction in state.live])
            revised = agreement(expert, state.hypnogram)
            console.print(agreement_report(live, revised, run.expert.path.name))
    except OSError as exc:
        raise MonitorError(
            f"cannot print the summary: {exc.strerror}; the night itself is stored"
        ) from exc


@contextmanager
def _open_store(run: Replay) -> Iterator[NightStore]:
    path = run.store_path
    if run.options.output is not None:
        check_writable(run.options.output, [path, *run.options.inputs])
    # As fast as it goes, waiting for the disk would take longer than staging; a replay that loses
    # its last epochs with the power stages them again.
    store = NightStore.open(path, durable=run.speed is not None)
    try:
        held = store.session()
        if held is not None and held.id != run.session.id:
            raise InputError(
                f"{path} holds another night ({held.source}, {held.derivation}, --gain "
                f"{held.gain}, {held.model}); choose another --store"
            )
        yield store
    finally:
        store.close()


@contextmanager
def _event_server(options: ReplayOptions) -> Iterator[str | None]:
    """The URL of the asked server, or of an embedded one that ends with the run."""
    if options.no_redis or options.redis is not None:
        yield options.redis
        return
    with RedisServer() as server:
        _log.info("Follow the events elsewhere with: sleep-monitor watch --redis %s", server.url)
        yield server.url


@contextmanager
def _publish(
    run: Replay, store: NightStore, url: str | None, clock: Clock
) -> Iterator[Publisher | None]:
    if url is None:
        yield None
        return
    with Publisher(store, run.session.id, url, clock) as publisher:
        yield publisher
