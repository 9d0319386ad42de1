"""The parity gate: the predictions that it compares, and the differences that pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.contract import Gain, ModelContract
from monitor.clock import ManualClock
from monitor.config import ReplayOptions
from monitor.night.store import NightStore
from monitor.replay import Replay
from monitor.staging.excerpt import excerpt_epochs
from monitor.staging.gate import MAX_DIFFERENCE, Parity, measure_parity
from monitor.types import F32, Bool
from tests.nights import EXCERPT, backend

Tracks = tuple[F32, F32]


class ChangedBackend:
    """PyTorch on the CPU, with ``change`` applied to its results. It records its inputs."""

    name = "changed"
    runs_on = "the CPU"
    trouble = ""

    def __init__(self, change: Callable[[F32, F32, Bool], Tracks] | None = None) -> None:
        self.change = change
        self.encoded: list[F32] = []
        self.lengths: list[int] = []

    @property
    def contract(self) -> ModelContract:
        return backend().contract

    def encode(self, epochs_uv: F32) -> F32:
        self.encoded.append(epochs_uv)
        return backend().encode(epochs_uv)

    def stage(self, embeddings: F32, scored: Bool) -> Tracks:
        self.lengths += [embeddings.shape[1]] * len(embeddings)
        live, revised = backend().stage(embeddings, scored)
        return (live, revised) if self.change is None else self.change(live, revised, scored)


def parity_of(change: Callable[[F32, F32, Bool], Tracks], unscored: tuple[int, ...] = ()) -> Parity:
    epochs_uv, scored = (each[:20] for each in excerpt_epochs(Gain.KNOWN))
    scored = scored.copy()
    scored[list(unscored)] = False
    return measure_parity(ChangedBackend(change), backend(), epochs_uv, scored)


def test_the_excerpts_epochs_are_those_that_a_replay_encodes(tmp_path: Path) -> None:
    clock, recorder = ManualClock(), ChangedBackend()
    run = replace(Replay.prepare(ReplayOptions(EXCERPT)), backend=recorder)
    store = NightStore.open(tmp_path / "night.sqlite", durable=False)
    pipeline = run.pipeline(store, clock)
    for chunk in run.chunks(clock, from_s=0.0):
        pipeline.push(chunk)
    pipeline.finish(clock.utc())
    store.close()
    epochs_uv, scored = excerpt_epochs(Gain.KNOWN)
    assert len(scored) == run.n_epochs
    assert np.array_equal(np.concatenate(recorder.encoded), epochs_uv[scored])


def test_each_epoch_is_staged_with_the_context_that_it_has_in_a_night() -> None:
    recorder = ChangedBackend()
    parity = measure_parity(recorder, backend(), *excerpt_epochs(Gain.KNOWN))
    assert recorder.lengths == [*range(1, 120), *[120] * 48]
    assert parity == Parity("changed", "the CPU", 167, 1.0, 0.0)
    assert parity.passed


def test_one_revised_probability_of_one_epoch_decides() -> None:
    def change_by(difference: float) -> Callable[[F32, F32, Bool], Tracks]:
        def change(live: F32, revised: F32, scored: Bool) -> Tracks:
            if scored.shape[1] == 20:
                revised[0, 3, 0] += difference
            return live, revised

        return change

    assert parity_of(change_by(0.9 * MAX_DIFFERENCE)).passed
    assert not parity_of(change_by(1.1 * MAX_DIFFERENCE)).passed


def test_different_labels_fail_even_if_probabilities_hardly_differ() -> None:
    """If two stages are almost equally probable, a small difference changes the label."""
    parity = Parity("cuda", "a card", 167, label_agreement=0.99, largest_difference=0.01)
    assert not parity.passed


def test_nan_fails() -> None:
    def change(live: F32, revised: F32, scored: Bool) -> Tracks:
        return np.full_like(live, np.nan), revised

    assert not parity_of(change).passed


def test_unscored_epochs_do_not_count() -> None:
    def change(live: F32, revised: F32, scored: Bool) -> Tracks:
        live[~scored[:, -1]] = np.nan
        revised[~scored[:, -revised.shape[1] :]] = np.nan
        return live, revised

    parity = parity_of(change, unscored=(0, 7, 19))
    assert parity.passed
    assert parity.n_epochs == 17
