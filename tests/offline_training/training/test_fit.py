"""Whole runs: folder, weights and card, resumption, and bad input."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.card import read_card
from models.contract import Gain, ModelContract, SpectrogramSpec
from models.mc2sleepnet import MC2SleepNet
from models.weights import load, save
from monitor.errors import InputError
from monitor.types import Track
from offline_training.data.licences import ODC_BY, SHHS, SLEEP_EDF_ATTRIBUTION
from offline_training.data.surrogates import DATASET as SURROGATE
from offline_training.evaluation.streaming import probabilities, stream_all
from offline_training.training import checkpoint
from offline_training.training.distributed import Ranks
from offline_training.training.fit import FitResult, fit
from offline_training.training.folder import RunFolder
from offline_training.training.job import Job, hold_out, initial_network, resolved
from offline_training.training.parts import TRAINED, parts_of
from offline_training.training.reading import encode_nights
from tests.offline_training.training.synthetic import (
    LEARNS,
    RECIPE,
    SyntheticRecording,
    job,
    nights,
)

CPU = Ranks(0, 1, torch.device("cpu"))


def run(recordings: list[SyntheticRecording], one: Job) -> FitResult:
    """Hold out validation recordings and run the job without progress lines."""
    train, validation = hold_out(recordings, one.recipe.validation_share)
    return fit(train, validation, one, CPU, lambda part, done: lambda *_: None)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FitResult]:
    """Train a network until it stages synthetic nights; return its folder and result."""
    out = tmp_path_factory.mktemp("run")
    return out, run(nights(3, n=60), job(out, recipe=LEARNS))


def test_a_run_learns_to_stage_synthetic_nights(learnt: tuple[Path, FitResult]) -> None:
    accuracy = {track: s.agreement.accuracy for track, s in learnt[1].scores.items()}
    assert accuracy.keys() == set(Track) and min(accuracy.values()) > 0.8  # type: ignore[type-var]


def test_the_folder_holds_all_files_and_rows_of_the_run(learnt: tuple[Path, FitResult]) -> None:
    out, fitted = learnt
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert names == {
        "config.json",
        "metrics.csv",
        "throughput.json",
        "curves.png",
        "confusion.png",
        *(f"checkpoints/{part}.safetensors" for part in TRAINED),
        "mc2sleepnet-absolute.safetensors",
        "mc2sleepnet-absolute.json",
    }
    rows = RunFolder(out).rows()
    found = [(row["part"], int(row["step"])) for row in rows]
    expected = [("epoch", 0), ("epoch", 1), ("sequence", 0), ("sequence", 1)]
    assert found == [*expected, ("finetune", 0), ("finetune", 60), ("finetune", 120)]
    assert float(rows[-1]["validation_loss"]) < 0.5 * float(rows[4]["validation_loss"])
    speed = json.loads((out / "throughput.json").read_text())
    assert speed == fitted.throughput and speed["epochs_per_s"].keys() == set(TRAINED)
    assert min(speed["epochs_per_s"].values()) > 0


def test_saved_weights_stage_as_the_trained_network_does(learnt: tuple[Path, FitResult]) -> None:
    _, fitted = learnt
    assert fitted.weights is not None
    network, contract = load(fitted.weights)
    assert not network.config.pretraining and not hasattr(network, "raw_mask_token")
    assert (contract.context_epochs, contract.revision_epochs) == (6, 2)
    assert (contract.gain, contract.channel) == (Gain.KNOWN, "EEG Fpz-Cz")
    assert (network.temperature != 1).any()
    recordings = nights(3, n=60)
    answers = []
    for one in (network, fitted.network):
        streamed = stream_all(one, encode_nights(one, recordings[:1], CPU), 6, 2)
        answers.append(probabilities(one, streamed))
    np.testing.assert_array_equal(answers[0], answers[1])


def test_fine_tuning_does_not_change_the_epoch_encoders(learnt: tuple[Path, FitResult]) -> None:
    out, fitted = learnt
    _, sequence = checkpoint.read(out / "checkpoints" / "sequence.safetensors")
    state = fitted.network.state_dict()
    for name, tensor in sequence["best"].items():
        if "_encoder." in name:
            assert torch.equal(state[name], tensor), name
    assert not torch.equal(state["joint_head.weight"], sequence["best"]["joint_head.weight"])


def test_the_card_holds_data_recipe_figures_and_limits(learnt: tuple[Path, FitResult]) -> None:
    card = read_card(learnt[1].weights)  # type: ignore[arg-type]
    data = card["data"]
    assert data["may_ship"] and data["licences"] == ["ODC-By 1.0"] and data["datasets"] == ["made"]
    assert len(data["train_subjects"]) == 2 and len(data["held_out_subjects"]) == 1
    assert not set(data["train_subjects"]) & set(data["held_out_subjects"])
    assert data["held_out_by"] == "subject" and data["wake_kept"] == "30 min around sleep"
    assert card["recipe"]["finetune"]["steps"] == 120 and card["seed"] == 0
    assert card["figures"]["held_out"]["live"]["accuracy"] > 0.8
    assert card["limits"][0].startswith("Not a medical device")
    assert card["throughput"]["training_s"].keys() == set(TRAINED)


def test_one_licence_without_shipping_forbids_shipping_the_weights(tmp_path: Path) -> None:
    recordings = nights(3)
    recordings[0].licence = SHHS
    fitted = run(recordings, job(tmp_path / "first"))
    assert fitted.weights is not None
    card = read_card(fitted.weights)
    assert not card["data"]["may_ship"] and "Must not be shipped" in card["limits"][-1]
    # A licence behind the weights that a run begins with forbids it too.
    recipe, gain = resolved(RECIPE, None, fitted.weights)
    again = job(
        tmp_path / "second", recipe=recipe, gain=gain, parts=("finetune",), init=fitted.weights
    )
    card = read_card(run(nights(1, each=2), again).weights)  # type: ignore[arg-type]
    assert not card["data"]["may_ship"] and card["data"]["held_out_by"] == "night"
    assert card["init"]["name"] == "mc2sleepnet-absolute"


def test_stages_one_by_one_give_the_weights_of_one_run(tmp_path: Path) -> None:
    at_once = run(nights(3), job(tmp_path / "all"))
    for part in TRAINED:
        fitted = run(nights(3), job(tmp_path / "each", parts=(part,)))
        assert (fitted.weights is None) == (part != "finetune")
    for a, b in zip(
        at_once.network.state_dict().values(), fitted.network.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b)


def test_a_part_needs_the_parts_before_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run --stage epoch"):
        run(nights(3), job(tmp_path, parts=("sequence",)))


def test_a_folder_belongs_to_one_run(tmp_path: Path) -> None:
    run(nights(3), job(tmp_path, parts=("epoch",)))
    with pytest.raises(InputError, match="another seed"):
        run(nights(3), job(tmp_path, parts=("epoch",), seed=1))
    with pytest.raises(InputError, match=r"another (train|validation)_recordings"):
        run(nights(4), job(tmp_path, parts=("epoch",)))
    for change in ("stage", "samples", "usable"):
        recordings = nights(3)
        changed = getattr(recordings[0], change)
        changed[0] = changed[0] == 0
        with pytest.raises(InputError, match=r"another (train|validation)_recordings"):
            run(recordings, job(tmp_path, parts=("epoch",)))
    for field in ("trim", "channel"):
        with pytest.raises(InputError, match=f"another {field}"):
            run(nights(3), job(tmp_path, parts=("epoch",), **{field: "other"}))
    with pytest.raises(InputError, match=r"another (train|validation)_recordings"):
        run(nights(3, dataset="other"), job(tmp_path, parts=("epoch",)))


def test_a_failed_start_leaves_the_folder_free(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run --stage epoch"):
        run(nights(3), job(tmp_path, parts=("sequence",)))
    run(nights(3), job(tmp_path, parts=("epoch",), seed=1))
    assert json.loads((tmp_path / "config.json").read_text())["seed"] == 1


def test_an_incomplete_row_of_a_killed_run_is_dropped(tmp_path: Path) -> None:
    run(nights(3), job(tmp_path, parts=("epoch",)))
    folder = RunFolder(tmp_path)
    whole = folder.metrics.read_bytes()
    rows = folder.rows()
    folder.metrics.write_bytes(whole + whole.splitlines(keepends=True)[-1][:9])
    assert folder.rows() == rows
    run(nights(3), job(tmp_path, parts=("epoch",)))
    assert folder.metrics.read_bytes() == whole


def test_init_weights_decide_shape_context_and_gain(tmp_path: Path) -> None:
    recipe, gain = resolved(RECIPE, Gain.UNKNOWN, None)
    assert recipe.network.gain_free and gain is Gain.UNKNOWN
    fitted = run(nights(3), job(tmp_path, recipe=recipe, gain=gain))
    assert fitted.weights == tmp_path / "mc2sleepnet-gain-free.safetensors"
    recipe, gain = resolved(replace(RECIPE, sequence_length=9), None, fitted.weights)
    assert (recipe.sequence_length, recipe.network.gain_free, gain) == (6, True, Gain.UNKNOWN)
    one = job(tmp_path / "b", recipe=recipe, gain=gain, init=fitted.weights)
    network = initial_network(one, nights(3))
    saved = load(fitted.weights)[0].state_dict()
    for name, tensor in network.state_dict().items():
        if name in saved and name != "temperature":
            assert torch.equal(tensor, saved[name])
    assert network.temperature.tolist() == [1, 1]
    with pytest.raises(InputError, match="--gain known does not fit"):
        resolved(RECIPE, Gain.KNOWN, fitted.weights)


def test_a_network_of_one_stream_trains_all_parts_but_the_contrast(tmp_path: Path) -> None:
    recipe = replace(RECIPE, network=replace(RECIPE.network, raw=False, pretraining=False))
    with pytest.raises(InputError, match="both streams"):
        run(nights(3), job(tmp_path / "all", recipe=recipe))
    parts = parts_of(recipe.network)
    assert parts == ("sequence", "finetune")
    assert run(nights(3), job(tmp_path, recipe=recipe, parts=parts)).weights is not None


def test_a_held_out_subject_has_no_night_in_training() -> None:
    train, validation = hold_out(nights(6, each=2), 3)
    assert len(train) == 8 and len(validation) == 4
    assert not {one.subject for one in train} & {one.subject for one in validation}
    with pytest.raises(InputError, match="at least two recordings"):
        hold_out(nights(1), 3)
    unscored = nights(2)
    for one in unscored:
        one.stage[:] = -1
    with pytest.raises(InputError, match="no usable epoch with a stage"):
        hold_out(unscored, 3)


def begins_with(
    tmp_path: Path, card: dict[str, Any], spec: SpectrogramSpec | None = None
) -> dict[str, Any]:
    """Save weights with the card fields ``card``; return the fields of a job with that --init."""
    network = MC2SleepNet(replace(RECIPE.network, pretraining=False), spec)
    contract = ModelContract(
        name="init",
        version="1",
        gain=Gain.KNOWN,
        channel="EEG Fpz-Cz",
        context_epochs=6,
        revision_epochs=2,
        embedding_dim=network.config.embedding_dim,
        weights_sha256="",
        spectrogram=network.spectrogram,
    )
    init = tmp_path / "init.safetensors"
    save(init, network, contract, card)
    recipe, gain = resolved(RECIPE, None, init)
    return {"recipe": recipe, "gain": gain, "init": init, "parts": ("finetune",)}


def card_of(
    recordings: list[SyntheticRecording], one: Job, known: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Run the job and return the card of its weights. ``known`` subjects are not held out."""
    train, validation = hold_out(recordings, one.recipe.validation_share, known)
    fitted = fit(train, validation, one, CPU, lambda *_: lambda *_: None)
    assert fitted.weights is not None
    return read_card(fitted.weights)


def test_stages_one_by_one_after_init_give_the_weights_of_one_run(tmp_path: Path) -> None:
    fields = begins_with(tmp_path, {})
    both = ("sequence", "finetune")
    at_once = run(nights(3), job(tmp_path / "all", **{**fields, "parts": both}))
    for part in both:
        fitted = run(nights(3), job(tmp_path / "each", **{**fields, "parts": (part,)}))
    assert fitted.weights is not None
    card = read_card(fitted.weights)
    assert card["stages_loaded"] == ["sequence"] and card["stages_trained"] == ["finetune"]
    for a, b in zip(
        at_once.network.state_dict().values(), fitted.network.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b)


def test_a_stage_cannot_be_trained_after_a_later_one(tmp_path: Path) -> None:
    fields = begins_with(tmp_path, {})
    run(nights(3), job(tmp_path / "run", **fields))
    with pytest.raises(InputError, match="trained without stage sequence"):
        run(nights(3), job(tmp_path / "run", **{**fields, "parts": ("sequence",)}))


def test_the_spectrogram_of_the_init_weights_is_kept(tmp_path: Path) -> None:
    spec = SpectrogramSpec(epsilon_uv=0.5)
    fitted = run(nights(3), job(tmp_path / "run", **begins_with(tmp_path, {}, spec)))
    assert fitted.network.spectrogram == spec
    assert load(fitted.weights)[1].spectrogram == spec  # type: ignore[arg-type]


def test_the_card_includes_data_sets_licences_and_subjects_behind_init(tmp_path: Path) -> None:
    data = {
        "datasets": ["sleep-edf-cassette"],
        "licences": [ODC_BY],
        "train_subjects": ["made-0", "made-2"],
    }
    fields = begins_with(tmp_path, {"data": data, "init": {"train_subjects": ["made-3"]}})
    one = job(tmp_path / "run", **fields)
    card = card_of(nights(4), one, known=frozenset({"made-0", "made-2", "made-3"}))
    assert card["data"]["held_out_subjects"] == ["made-1"]
    assert card["data"]["datasets"] == ["made", "sleep-edf-cassette"] and card["data"]["may_ship"]
    assert card["data"]["attribution"] == SLEEP_EDF_ATTRIBUTION
    assert card["init"]["train_subjects"] == ["made-0", "made-2", "made-3"]
    assert "nothing of others" not in card["figures"]["held_out"]["note"]
    again = job(tmp_path / "again", **fields)
    card = card_of(nights(1, each=2), again)
    assert "nothing of others" in card["figures"]["held_out"]["note"]


def test_weights_of_unknown_licence_must_not_be_shipped(tmp_path: Path) -> None:
    card = card_of(nights(3), job(tmp_path / "run", **begins_with(tmp_path, {"data": {}})))
    assert not card["data"]["may_ship"] and "unknown" in card["data"]["licences"][-1]


def test_the_card_states_that_training_saw_only_surrogates(tmp_path: Path) -> None:
    fields = begins_with(tmp_path, {"data": {"licences": [ODC_BY]}})
    for dataset in (SURROGATE, "made"):
        card = card_of(nights(3, dataset=dataset), job(tmp_path / dataset, **fields))
        surrogate = dataset == SURROGATE
        assert any("surrogate EEG" in limit for limit in card["limits"]) == surrogate
        assert ("surrogate EEG" in card["figures"]["held_out"]["note"]) == surrogate
