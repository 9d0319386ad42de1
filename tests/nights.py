"""Nights for tests: samples go through the real pipeline into a night store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from models.card import default_weights
from models.contract import Gain, Stage
from monitor.clock import ManualClock
from monitor.closing import Closing
from monitor.conditioning.conditioner import Conditioner
from monitor.night.backlog import Backlog
from monitor.night.live_night import LiveNight
from monitor.night.store import NightStore
from monitor.pipeline import Pipeline, begin
from monitor.sources.derivation import choose_derivation
from monitor.sources.edf import EdfRecording
from monitor.staging.backend import Backend
from monitor.staging.stager import Stager
from monitor.staging.torch_backend import TorchBackend
from monitor.types import F32, Derivation, EegChunk, Event, Mark, Montage, Session, Track
from tests.signals import START, chunk

EXCERPT = Path(str(files("monitor") / "demo" / "excerpt.edf"))
EXCERPT_ORIGIN_S = 10.01
EXCERPT_HZ = 100.0


@cache
def excerpt_uv() -> F32:
    """Return the whole demo recording, float32 (1, 502600), microvolts at 100 Hz."""
    recording = EdfRecording.open(EXCERPT)
    derivation = choose_derivation(recording.channels)
    pieces = [each.data_uv for each in recording.chunks(derivation, chunk_s=60.0)]
    return np.concatenate(pieces, axis=1)


@cache
def backend(gain: Gain = Gain.KNOWN) -> TorchBackend:
    """Return the default network. It is loaded once."""
    return TorchBackend(default_weights(gain))


def night_session(origin_s: float = EXCERPT_ORIGIN_S, gain: Gain = Gain.KNOWN) -> Session:
    return Session(
        "night",
        "test",
        "EEG",
        ("EEG",),
        origin_s,
        START,
        EXCERPT_HZ,
        gain.value,
        "mc2sleepnet-test",
    )


def open_pipeline(
    store: NightStore,
    origin_s: float = EXCERPT_ORIGIN_S,
    gain: Gain = Gain.KNOWN,
    marks: Sequence[Mark] = (),
    staging: Backend | None = None,
) -> Pipeline:
    clock = ManualClock()
    session = night_session(origin_s, gain)
    begin(store, session, clock.utc())
    return Pipeline(
        session,
        Conditioner(Montage.of_one("EEG"), EXCERPT_HZ, origin_s, START, gain),
        Stager(staging or backend(gain), clock),
        store,
        notify=lambda: None,
        marks=marks,
    )


ELECTRODES = Montage(("AF7", "AF8"), (Derivation("AF7", 0), Derivation("AF8", 1)))
"""Two electrodes. Each is a derivation of its own; AF7 is preferred to AF8."""


def open_live(
    store: NightStore,
    *,
    montage: Montage = ELECTRODES,
    resumed_s: float | None = None,
    backlog: Backlog | None = None,
) -> Pipeline:
    """Begin a live night whose grid begins at 0 s, or continue it at ``resumed_s``."""
    clock = ManualClock()
    session = replace(
        night_session(0.0), channels=montage.channels, derivation=montage.derivations[0].name
    )
    begin(store, session, clock.utc(), LiveNight("lsl:test", montage, "boot", 0.0, None))
    first_epoch = None if resumed_s is None else store.n_epochs()
    return Pipeline(
        session,
        Conditioner(montage, EXCERPT_HZ, 0.0, START, Gain.KNOWN, first_epoch),
        Stager(backend(), clock),
        store,
        notify=lambda: None,
        backlog=backlog,
        resumed_s=resumed_s,
    )


def electrodes_uv(n_epochs: int) -> F32:
    """Return sleep on two electrodes, float32 (2, 3000 * n_epochs). AF8 has 0.8 of the signal."""
    sleep = excerpt_uv()[:, 60_000 : 60_000 + 3000 * n_epochs]
    return np.concatenate([sleep, 0.8 * sleep]).astype(np.float32)


def live_chunks(
    data_uv: F32,
    start_s: float = 0.0,
    stop_s: float = np.inf,
    *,
    length_s: float = 1.0,
    gaps_s: Sequence[tuple[float, float]] = (),
) -> list[EegChunk]:
    """Return the chunks of a live source from ``start_s`` to ``stop_s``, each ``length_s`` long.

    In ``gaps_s`` the headband is silent, and chunks without samples report the time.
    """
    times_s = np.arange(data_uv.shape[1]) / EXCERPT_HZ
    sent = np.ones(times_s.size, np.bool_)
    for first_s, end_s in gaps_s:
        sent &= (times_s < first_s) | (times_s >= end_s)
    chunks = []
    edges_s = np.arange(start_s, min(stop_s, times_s.size / EXCERPT_HZ) - 1e-9, length_s)
    for edge_s in edges_s:
        until_s = min(edge_s + length_s, stop_s)
        now = sent & (times_s >= edge_s - 1e-9) & (times_s < until_s - 1e-9)
        channels = ELECTRODES.channels[: data_uv.shape[0]]
        reached_s = None if now.any() else until_s
        chunks.append(EegChunk(data_uv[:, now], times_s[now], channels, EXCERPT_HZ, reached_s))
    return chunks


def whole_chunks(data_uv: F32, length: int) -> list[EegChunk]:
    """Return 100 Hz samples from time 0 on as chunks of ``length`` samples."""
    times_s = np.arange(data_uv.shape[1]) / EXCERPT_HZ
    return [
        chunk(data_uv[:, at : at + length], times_s[at : at + length], EXCERPT_HZ)
        for at in range(0, data_uv.shape[1], length)
    ]


def feed(pipeline: Pipeline, chunks: Iterable[EegChunk]) -> None:
    """Push all chunks into the pipeline."""
    for each in chunks:
        pipeline.push(each)


class Nights(Closing):
    """Stages nights into stores in ``folder``, and closes the stores in the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open = ExitStack()
        self._stores: dict[str, NightStore] = {}

    def close(self) -> None:
        self._open.close()

    def store(self, name: str = "night") -> NightStore:
        """Return the store called ``name``, always the same one."""
        if name not in self._stores:
            # These tests do not cut the power, so the store need not wait for the disk.
            store = NightStore.open(self._folder / f"{name}.sqlite", durable=False)
            self._open.callback(store.close)
            self._stores[name] = store
        return self._stores[name]

    def run(
        self,
        chunks: Iterable[EegChunk],
        *,
        name: str = "night",
        origin_s: float = EXCERPT_ORIGIN_S,
        gain: Gain = Gain.KNOWN,
        marks: Sequence[Mark] = (),
    ) -> NightStore:
        """Stage ``chunks`` into the store called ``name``, and end the night."""
        store = self.store(name)
        pipeline = open_pipeline(store, origin_s, gain, marks)
        feed(pipeline, chunks)
        pipeline.finish(ManualClock().utc())
        return store


def events_of(store: NightStore) -> list[Event]:
    """Return all events of a night, in their order."""
    return store.events_after(0, 1_000_000)


def stages_of(store: NightStore, track: Track = Track.LIVE) -> list[Stage | None]:
    return [prediction.stage for prediction in store.predictions(track)]


def probabilities_of(
    store: NightStore, track: Track = Track.LIVE
) -> list[tuple[float, ...] | None]:
    return [prediction.probabilities for prediction in store.predictions(track)]
