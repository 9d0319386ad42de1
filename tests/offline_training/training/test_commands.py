"""The command `sleep-train fit`: files, messages and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from models.card import read_card
from models.contract import Gain
from models.graphs import graph_files
from models.weights import load
from monitor.staging.onnx_backend import OnnxBackend
from offline_training.data.sources import prepared_source
from offline_training.training.paper import PROTOCOLS
from tests.offline_training.data.measured import write_data, write_timedomain
from tests.offline_training.data.nights import sleep_edf_night, write_checksums
from tests.offline_training.program import Program
from tests.offline_training.training.synthetic import NETWORK

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


def prepare(tmp_path: Path, sleep_train: Program, *options: str) -> Path:
    """Prepare two nights of two people in the format of Sleep-EDF; return the folder."""
    raw, out = tmp_path / "raw", tmp_path / "prepared"
    for subject in range(2):
        sleep_edf_night(raw, psg=f"SC40{subject}1E0", seed=subject)
    checksums = write_checksums(raw, tmp_path / "sums.csv")
    code, _, err = sleep_train(
        *("prepare", "sleep-edf", "--root", str(raw), "--out", str(out)),
        *("--checksums", str(checksums), "--jobs", "1"),
        *options,
    )
    assert code == 0, err
    return out


@pytest.fixture
def prepared(tmp_path: Path, sleep_train: Program) -> Path:
    return prepare(tmp_path, sleep_train)


def test_gain_known_is_refused_for_recordings_of_unknown_gain(
    tmp_path: Path, sleep_train: Program
) -> None:
    folder = prepare(tmp_path, sleep_train, "--gain", "unknown")
    code, _, err = sleep_train("fit", "--data", str(folder), "--out", str(tmp_path / "run"))
    assert code == 2 and err.count("\n") == 1 and "give --gain unknown" in err


@pytest.mark.timeout(300)  # The export alone takes 20 s of CPU.
def test_fit_trains_weights_that_load_and_that_a_second_run_begins_with(
    tmp_path: Path, prepared: Path, recipe: Path, sleep_train: Program
) -> None:
    common = ("fit", "--data", str(prepared), "--recipe", str(recipe), "--out")
    run = tmp_path / "run"
    code, out, err = sleep_train(*common, str(run), "--gain", "unknown")
    assert code == 0, err
    assert prepared_source(prepared).trim == PROTOCOLS["sleep-edf-cassette"].trim
    assert "epochs/s: epoch" in out and "10 folds" in out and "live" in out and "min left" in err
    path = run / "mc2sleepnet-gain-free.safetensors"
    expected = "sleep-train fit --data prepared --recipe recipe.json --out run --gain unknown"
    assert read_card(path)["command"] == expected
    _, contract = load(path)
    assert contract.gain is Gain.UNKNOWN and contract.channel == "EEG Fpz-Cz"
    assert OnnxBackend(path).contract == contract  # Its export is beside it.
    mine = (str(tmp_path / "mine"), "--init", str(path), "--no-export")
    code, out, err = sleep_train(*common, *mine)
    assert code == 0, err
    assert not any(each.exists() for each in graph_files(tmp_path / "mine" / path.name))
    assert load(tmp_path / "mine" / path.name)[1].context_epochs == 6
    code, _, err = sleep_train(*common, str(run), "--gain", "unknown", "--seed", "1")
    assert code == 2 and err.count("\n") == 1 and "another seed" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data", "nowhere"), "sleep-train prepare"),
        (("--data", ".", "--folds-run", "1"), "--protocol paper"),
        (("--data", ".", "--protocol", "paper", "--stage", "epoch"), "no --init, no --stage"),
        (("--data", ".", "--protocol", "paper", "--surrogates"), "no --surrogates"),
        (("--data", ".", "--recipe", "none.json"), "none.json"),
        (("--data", ".", "--init", "none.safetensors"), "no card"),
    ],
)
def test_bad_input_prints_one_line_and_exits_with_2(
    options: tuple[str, ...], message: str, tmp_path: Path, sleep_train: Program
) -> None:
    code, _, err = sleep_train("fit", "--out", str(tmp_path / "run"), *options)
    assert code == 2 and err.count("\n") == 1 and message in err
    assert not (tmp_path / "run").exists()


def test_add_gives_a_band_power_network_the_other_inputs(
    tmp_path: Path, sleep_train: Program
) -> None:
    write_data(tmp_path, subjects=3)
    write_timedomain(tmp_path, 6 * 60)
    data = ("--data", str(tmp_path))
    small = ("--out", str(tmp_path), "--steps", "1", "--no-export")
    assert sleep_train("fit-bandpower", *data, *small)[0] == 0
    recipe = tmp_path / "recipe.json"
    short = {"steps": 1, "batch": 2, "micro_batch": 2, "evaluate_every": 1}
    sizes = {"network": RECIPE["network"], "validation_batches": 1, "evaluate_stride": 20}
    recipe.write_text(json.dumps(sizes | dict.fromkeys(("epoch", "sequence", "finetune"), short)))
    grow = ("fit", *data, "--no-export", "--surrogates", "--recipe", str(recipe))
    init = ("--init", str(tmp_path / "absolute.safetensors"))
    out = tmp_path / "grown"
    add = ("--add", "raw", "--add", "frames", "--subjects", "2", "--out", str(out))
    code, _, err = sleep_train(*grow, *init, *add, "--stage", "finetune")
    assert code == 2 and "run --stage sequence first" in err and not out.exists()
    code, _, err = sleep_train(*grow, *init, *add)
    assert code == 0, err
    weights = out / "mc2sleepnet-absolute.safetensors"
    network, contract = load(weights)
    assert network.config.raw and network.config.frames and contract.context_epochs == 120
    constants = network.spectral_encoder.standardise.mean
    assert constants.abs().min() > 0.1  # dB of the surrogates, not left at 0
    initial = load(tmp_path / "absolute.safetensors")[0].spectral_encoder.token
    token = network.spectral_encoder.token
    assert initial is not None and token is not None
    assert torch.equal(token.standardise.mean, initial.standardise.mean)
    card = read_card(weights)
    datasets = ["sleep-edf-cassette", "sleep-edf-cassette-surrogate"]
    assert card["data"]["datasets"] == datasets
    assert card["init"]["name"] == "mc2sleepnet-bandpower-absolute"
    assert card["stages_trained"] == ["epoch", "sequence", "finetune"]
    assert any("no real signal" in limit for limit in card["limits"])
    assert card["data"]["may_ship"] and "ODC-By 1.0" in card["data"]["attribution"]
    assert len(card["data"]["train_subjects"]) == len(card["data"]["held_out_subjects"]) == 1
    again = ("--init", str(weights), "--add", "raw", "--out", str(tmp_path / "again"))
    code, _, err = sleep_train(*grow, *again)
    assert code == 2 and "leave out --add raw" in err
    code, _, err = sleep_train(*grow, "--add", "raw", "--out", str(tmp_path / "again"))
    assert code == 2 and "--add goes with --init" in err


def test_subjects_behind_init_are_held_out_only_if_there_are_no_others(
    tmp_path: Path, sleep_train: Program
) -> None:
    write_data(tmp_path, subjects=2)
    write_timedomain(tmp_path, 4 * 60)
    data = ("--data", str(tmp_path))
    small = ("--out", str(tmp_path), "--steps", "1", "--no-export")
    assert sleep_train("fit-bandpower", *data, *small)[0] == 0
    path, recipe = tmp_path / "absolute.json", tmp_path / "recipe.json"
    card = json.loads(path.read_text())
    names = [f"sleep-edf-cassette-0{subject}" for subject in range(2)]
    short = {"steps": 1, "batch": 2, "micro_batch": 2, "evaluate_every": 1}
    recipe.write_text(json.dumps({"finetune": short, "evaluate_stride": 20}))
    for known in ([names[0]], [names[1]], names):
        card["data"]["train_subjects"] = known
        path.write_text(json.dumps(card))
        run = tmp_path / f"run-{'-'.join(known)}"
        code, _, err = sleep_train(
            *(
                "fit",
                *data,
                "--no-export",
                "--surrogates",
                "--recipe",
                str(recipe),
                "--out",
                str(run),
            ),
            *("--init", str(path.with_suffix(".safetensors"))),
        )
        assert code == 0, err
        found = read_card(run / "mc2sleepnet-absolute.safetensors")
        leaked = set(found["data"]["held_out_subjects"]) & set(known)
        assert bool(leaked) == ("no subject is left" in err) == (known == names)
