"""The gate: what it looks at, and what it lets pass."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deploy import cli
from deploy.parity import MAX_DIFFERENCE, Parity, excerpt_epochs, measure_parity
from models.contract import Gain, ModelContract
from monitor.clock import ManualClock
from monitor.config import ReplayOptions
from monitor.night.store import NightStore
from monitor.replay import Replay
from monitor.types import F32, Bool
from tests.nights import EXCERPT, backend

Answers = tuple[F32, F32]


class Differs:
    """PyTorch, but ``change`` is made to what it says; it remembers what it was asked."""

    name = "differs"
    runs_on = "the CPU"
    trouble = ""

    def __init__(self, change: Callable[[F32, F32, Bool], Answers] | None = None) -> None:
        self.change = change
        self.encoded: list[F32] = []
        self.lengths: list[int] = []

    @property
    def contract(self) -> ModelContract:
        return backend().contract

    def encode(self, epochs_uv: F32) -> F32:
        self.encoded.append(epochs_uv)
        return backend().encode(epochs_uv)

    def stage(self, embeddings: F32, scored: Bool) -> Answers:
        self.lengths += [embeddings.shape[1]] * len(embeddings)
        live, revised = backend().stage(embeddings, scored)
        return (live, revised) if self.change is None else self.change(live, revised, scored)


def parity_of(
    change: Callable[[F32, F32, Bool], Answers], unscored: tuple[int, ...] = ()
) -> Parity:
    epochs_uv, scored = (each[:20] for each in excerpt_epochs(Gain.KNOWN))
    scored = scored.copy()
    scored[list(unscored)] = False
    return measure_parity(Differs(change), backend(), epochs_uv, scored)


def test_the_excerpt_is_what_a_replay_feeds_the_network(tmp_path: Path) -> None:
    clock, listens = ManualClock(), Differs()
    run = replace(Replay.prepare(ReplayOptions(EXCERPT)), backend=listens)
    store = NightStore.open(tmp_path / "night.sqlite", durable=False)
    pipeline = run.pipeline(store, clock)
    for chunk in run.chunks(clock, from_s=0.0):
        pipeline.push(chunk)
    pipeline.finish(clock.utc())
    store.close()
    epochs_uv, scored = excerpt_epochs(Gain.KNOWN)
    assert len(scored) == run.n_epochs
    assert np.array_equal(np.concatenate(listens.encoded), epochs_uv[scored])


def test_the_whole_night_is_staged_with_the_context_that_it_would_have() -> None:
    asked = Differs()
    parity = measure_parity(asked, backend(), *excerpt_epochs(Gain.KNOWN))
    assert asked.lengths == [*range(1, 120), *[120] * 48]
    assert parity == Parity("differs", "the CPU", 167, 1.0, 0.0)
    assert parity.passed


def test_one_revised_probability_of_one_epoch_decides() -> None:
    def off(by: float) -> Callable[[F32, F32, Bool], Answers]:
        def change(live: F32, revised: F32, scored: Bool) -> Answers:
            if scored.shape[1] == 20:
                revised[0, 3, 0] += by
            return live, revised

        return change

    assert parity_of(off(0.9 * MAX_DIFFERENCE)).passed
    assert not parity_of(off(1.1 * MAX_DIFFERENCE)).passed


def test_labels_decide_where_the_difference_is_small() -> None:
    """Two stages as probable as each other: nothing is off by much, but other labels come out."""
    parity = Parity("cuda", "a card", 167, label_agreement=0.99, largest_difference=0.01)
    assert not parity.passed


def test_what_is_no_number_fails() -> None:
    def change(live: F32, revised: F32, scored: Bool) -> Answers:
        return np.full_like(live, np.nan), revised

    assert not parity_of(change).passed


def test_unscored_epochs_do_not_count() -> None:
    def change(live: F32, revised: F32, scored: Bool) -> Answers:
        live[~scored[:, -1]] = np.nan
        revised[~scored[:, -revised.shape[1] :]] = np.nan
        return live, revised

    parity = parity_of(change, unscored=(0, 7, 19))
    assert parity.passed
    assert parity.n_epochs == 17


def run_command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["sleep-deploy", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code


def test_every_backend_is_judged_or_its_absence_explained(
    exported: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "parity.json"
    gain = ["--gain", "known", "--exported", str(exported)]
    assert run_command(monkeypatch, "parity", *gain, "--json", str(path)) in (0, None)
    verdicts = {verdict["backend"]: verdict for verdict in json.loads(path.read_text())}
    assert list(verdicts) == ["tensorrt", "cuda", "onnx", "torch"]
    assert verdicts["onnx"]["parity"]["label_agreement"] == 1.0
    assert verdicts["torch"]["parity"]["largest_difference"] == 0.0
    assert all(verdict["parity"] or verdict["trouble"] for verdict in verdicts.values())
    assert "passed" in capsys.readouterr().out


def test_weights_are_for_one_gain(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(monkeypatch, "parity", "--weights", "x", "--gain", "known") == 2
    assert "give one of them" in capsys.readouterr().err
