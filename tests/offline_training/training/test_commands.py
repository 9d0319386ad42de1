"""sleep-train fit as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.contract import Gain
from models.weights import load, read_card
from tests.offline_training.data.nights import sleep_edf_night, write_checksums
from tests.offline_training.program import Program
from tests.offline_training.training.made import NETWORK

RECIPE = {
    "network": {
        name: getattr(NETWORK, name)
        for name in ("raw_channels", "d_model", "n_heads", "d_ff", "frame_layers")
    }
    | {"sequence_layers": 1},
    "sequence_length": 6,
    "revision_epochs": 2,
    "validation_batches": 1,
    **{
        part: {"steps": 1, "batch": 4, "micro_batch": 4, "evaluate_every": 1}
        for part in ("epoch", "sequence", "finetune")
    },
}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(RECIPE))
    return path


@pytest.fixture
def prepared(tmp_path: Path, sleep_train: Program) -> Path:
    raw, out = tmp_path / "raw", tmp_path / "prepared"
    for subject in range(2):
        sleep_edf_night(raw, psg=f"SC40{subject}1E0", seed=subject)
    checksums = write_checksums(raw, tmp_path / "sums.csv")
    code, _, err = sleep_train(
        *("prepare", "sleep-edf", "--root", str(raw), "--out", str(out)),
        *("--checksums", str(checksums), "--jobs", "1"),
    )
    assert code == 0, err
    return out


def test_prepared_nights_become_weights_for_the_monitor(
    tmp_path: Path, prepared: Path, recipe: Path, sleep_train: Program
) -> None:
    common = ("fit", "--data", str(prepared), "--recipe", str(recipe), "--out")
    run = tmp_path / "run"
    code, out, err = sleep_train(*common, str(run), "--gain", "unknown")
    assert code == 0, err
    assert "epochs/s: epoch" in out and "10 folds" in out and "live" in out and "min left" in err
    path = run / "mc2sleepnet-gain-free.safetensors"
    expected = "sleep-train fit --data prepared --recipe recipe.json --out run --gain unknown"
    assert read_card(path)["command"] == expected
    _, contract = load(path)
    assert contract.gain is Gain.UNKNOWN and contract.channel == "EEG Fpz-Cz"
    code, out, err = sleep_train(*common, str(tmp_path / "mine"), "--init", str(path))
    assert code == 0, err
    assert load(tmp_path / "mine" / path.name)[1].context_epochs == 6
    code, _, err = sleep_train(*common, str(run), "--gain", "unknown", "--seed", "1")
    assert code == 2 and err.count("\n") == 1 and "another seed" in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--data", "nowhere"), "sleep-train prepare"),
        (("--data", ".", "--folds-run", "1"), "--protocol paper"),
        (("--data", ".", "--protocol", "paper", "--stage", "epoch"), "no --init, no --stage"),
        (("--data", ".", "--recipe", "none.json"), "none.json"),
        (("--data", ".", "--init", "none.safetensors"), "no card"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    options: tuple[str, ...], said: str, tmp_path: Path, sleep_train: Program
) -> None:
    code, _, err = sleep_train("fit", "--out", str(tmp_path / "run"), *options)
    assert code == 2 and err.count("\n") == 1 and said in err
    assert not (tmp_path / "run").exists()
