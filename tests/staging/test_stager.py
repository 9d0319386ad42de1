"""The stager's two tracks from cached embeddings, with the real network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from models.card import default_weights
from models.contract import Gain
from monitor.clock import ManualClock
from monitor.staging.stager import Stager
from monitor.staging.torch_backend import TorchBackend
from monitor.types import (
    Derivation,
    Epoch,
    Quality,
    Reason,
    SampleLedger,
    StagePrediction,
    Track,
)
from tests.nights import backend, excerpt_uv
from tests.signals import START


def epochs(n: int, unscored: tuple[int, ...] = ()) -> list[Epoch]:
    return [
        Epoch(
            index=i,
            start_s=30.0 * i,
            start_utc=START + timedelta(seconds=30 * i),
            data_uv=excerpt_uv()[:, 1001 + 3000 * i : 1001 + 3000 * (i + 1)],
            derivation=Derivation("EEG", 0),
            quality=Quality(Reason.FLAT if i in unscored else None, 0, 0, 0, 0, 0, None, 0),
            channel_quality=(),
            verdicts=(),
            ledger=SampleLedger(),
        )
        for i in range(n)
    ]


def new_stager() -> Stager:
    return Stager(backend(), ManualClock())


def stage(stager: Stager, night: list[Epoch]) -> list[StagePrediction]:
    predictions = [prediction for step in stager.push(night) for prediction in step]
    return predictions + stager.finish()


def test_an_epoch_costs_one_encoder_pass_and_one_sequence_pass() -> None:
    """The passes are counted inside the network, in its encoder and its sequence stack."""
    counted = TorchBackend(default_weights(Gain.KNOWN))
    network = counted._network
    passes = {"encoder": 0, "stack": 0}

    def count(part: str) -> Callable[..., None]:
        def hook(*_: object) -> None:
            passes[part] += 1

        return hook

    network.spectral_encoder.register_forward_hook(count("encoder"))
    network.spectral_stack.register_forward_hook(count("stack"))
    stager = Stager(counted, ManualClock())
    for each in epochs(30):
        stager.push([each])
    assert passes == {"encoder": 30, "stack": 30}


def test_probabilities_sum_to_one_and_confidence_is_the_probability_of_the_stage() -> None:
    for prediction in stage(new_stager(), epochs(25)):
        assert prediction.probabilities is not None
        assert sum(prediction.probabilities) == pytest.approx(1.0, abs=1e-5)
        assert prediction.confidence == max(prediction.probabilities)


def test_revisions_count_up_and_the_last_one_is_final() -> None:
    horizon = backend().contract.revision_epochs
    predictions = stage(new_stager(), epochs(40))
    for index in range(40):
        of_epoch = [p for p in predictions if p.epoch_index == index]
        assert [p.revision for p in of_epoch] == list(range(len(of_epoch)))
        assert of_epoch[0].track is Track.LIVE
        assert [p.final for p in of_epoch[1:]] == [False] * (len(of_epoch) - 2) + [True]
    steps = new_stager().push(epochs(40))
    finals = [
        [p.epoch_index for p in step if p.track is Track.REVISED and p.final] for step in steps
    ]
    assert finals == [[]] * horizon + [[i] for i in range(40 - horizon)]


def test_the_content_of_an_unscored_epoch_is_ignored_but_it_keeps_its_place() -> None:
    """The stages of the other epochs do not depend on what the unscored epoch holds."""
    night = epochs(20, unscored=(7,))
    constant = 1e4 * np.ones_like(night[7].data_uv)
    changed = [replace(e, data_uv=constant) if e.index == 7 else e for e in night]
    predictions = stage(new_stager(), night)
    assert stage(new_stager(), changed) == predictions
    seven = [p for p in predictions if p.epoch_index == 7]
    assert {(p.stage, p.reason, p.probabilities) for p in seven} == {(None, Reason.FLAT, None)}
    assert [p.final for p in seven if p.track is Track.REVISED] == [True]
    # If it lost its place, epochs 6 and 8 would be neighbours.
    shifted = stage(new_stager(), [e for e in night if e.index != 7])
    eight, shifted_eight = (
        [p for p in each if p.epoch_index == 8] for each in (predictions, shifted)
    )
    assert eight != shifted_eight


def test_a_resumed_stager_predicts_as_the_first_would_have() -> None:
    night = epochs(60)
    whole, cut = new_stager(), new_stager()
    for each in night[:45]:
        whole.push([each])
    latest = {}
    for each in night[:45]:
        for prediction in cut.push([each])[0]:
            latest[prediction.epoch_index] = prediction
    resumed = new_stager()
    stored = night[:45][-resumed.context_epochs :]
    resumed.resume([(each, latest[each.index]) for each in stored])
    assert stage(resumed, night[45:]) == stage(whole, night[45:])


@pytest.mark.parametrize("at_once", [2, 7, 32, 150])
def test_epochs_staged_together_equal_those_staged_one_by_one(at_once: int) -> None:
    """Bit for bit, on both tracks, for more epochs than the context holds, some unscored."""
    night = epochs(150, unscored=(0, 3, 4, 60, 149))
    alone, together = new_stager(), new_stager()
    one_by_one = [step for each in night for step in alone.push([each])]
    batches = [night[at : at + at_once] for at in range(0, len(night), at_once)]
    assert [step for batch in batches for step in together.push(batch)] == one_by_one
    assert together.finish() == alone.finish()


def test_a_night_without_epochs_ends_without_predictions() -> None:
    assert new_stager().finish() == []
