"""`sleep-train evaluate` as a user runs it."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from models.card import default_weights
from models.contract import Gain
from offline_training.evaluation.networks import Cost, peak_memory_mb
from tests.edf_files import Signal, make_discontinuous, write_edf
from tests.offline_training.evaluation.nights import write_night
from tests.offline_training.program import Program

NIGHT = ["W", "N1", *["N2"] * 7, "N3", "R", "?"]
PNG = b"\x89PNG"


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_a_recording_gives_numbers_tables_and_pictures(
    tmp_path: Path, sleep_train: Program
) -> None:
    path, out = write_night(tmp_path / "night.edf", NIGHT, flat=(3,)), tmp_path / "out"
    (tmp_path / "peer.txt").write_text("\n".join(NIGHT))
    code, printed, err = sleep_train(
        *("evaluate", str(path), "--peer", f"other={tmp_path / 'peer.txt'}", "--out", str(out)),
        *("--gains", "--baseline", str(default_weights(Gain.UNKNOWN))),
    )
    assert code == 0 and "min left" in err
    for text in ("unscored by the monitor", "blocks of 10", "training time", "other", "flipped"):
        assert text in printed
    found = json.loads((out / "results.json").read_text())
    assert found["command"].startswith("sleep-train evaluate") and found["seed"] == 0
    first, second = found["networks"]
    assert found["networks"][first]["gain"] == "known"
    assert found["networks"][second]["parameters"] > 0
    live = found["pooled"][first]["live"]
    assert (live["epochs"], live["compared"]) == (12, 10)
    assert (live["unscored_by_monitor"], live["unscored_by_expert"]) == (1, 1)
    assert found["recordings"][0]["networks"][first]["unscored_reasons"] == {"flat": 1}
    common = found["common_epochs"]
    assert common["epochs"] == 10 and common["stagers"]["other"]["accuracy"] == 1
    assert len(common["stagers"]) == 5
    rows = table(out / "epochs" / "night.csv")
    assert [row["expert"] for row in rows] == NIGHT
    assert rows[3][f"{first} live stage"] == "?" and rows[3][f"{first} reason"] == "flat"
    gains = table(out / "gains.csv")
    assert len(gains) == 6 * 2 * 2 and {row["kind"] for row in gains} == {"gain"}
    for name in ("confusion", "reliability", "risk_coverage"):
        assert (out / f"{name}.png").read_bytes().startswith(PNG)


def test_noise_curves(tmp_path: Path, sleep_train: Program) -> None:
    path, out = write_night(tmp_path / "night.edf", ["N2", "R"]), tmp_path / "out"
    code, printed, err = sleep_train("evaluate", str(path), "--noise", "--out", str(out))
    assert code == 0 and "electrode pops" in printed and "noise 31/31" in err
    rows = table(out / "noise.csv")
    assert len(rows) == (1 + 5 * 6) * 2 and {row["track"] for row in rows} == {"live", "revised"}
    assert (out / "noise.png").read_bytes().startswith(PNG)


def test_a_folder_is_pooled_and_reproducible(tmp_path: Path, sleep_train: Program) -> None:
    for name, seed in (("a", 1), ("sub/b", 2)):
        write_night(tmp_path / "nights" / f"{name}.edf", ["W", "N2", "N2", "R"], seed=seed)
    pooled = []
    for out in (tmp_path / "one", tmp_path / "two"):
        code, printed, _ = sleep_train(
            "evaluate", str(tmp_path / "nights"), "--gain", "unknown", "--out", str(out)
        )
        assert code == 0 and "2 recordings drawn" in printed and "sub/b" in printed
        found = json.loads((out / "results.json").read_text())
        pooled.append(found["pooled"])
        assert [each["name"] for each in found["recordings"]] == ["a", "sub/b"]
    assert pooled[0] == pooled[1]
    assert (tmp_path / "one" / "epochs" / "sub" / "b.csv").exists()


def test_bad_recordings_of_a_folder_are_listed_and_left_out(
    tmp_path: Path, sleep_train: Program
) -> None:
    nights, out = tmp_path / "nights", tmp_path / "out"
    write_night(nights / "good.edf", ["W", "N2", "N2", "R"])
    write_night(nights / "awake.edf", ["W", "W"])
    (nights / "broken.edf").write_bytes(b"no recording")
    code, printed, _ = sleep_train(
        "evaluate", str(nights), "--wake-min", "30", "--out", str(out), "--noise"
    )
    assert code == 0 and "left out 2:\n  awake   " in printed
    assert "awake.edf: it has no epoch scored as sleep" in printed
    found = json.loads((out / "results.json").read_text())
    assert [each["name"] for each in found["left_out"]] == ["awake", "broken"]
    assert [each["name"] for each in found["recordings"]] == ["good"]
    (nights / "good.edf").unlink()
    code, printed, err = sleep_train("evaluate", str(nights), "--wake-min", "30")
    assert code == 1 and "left out 2:" in printed
    assert err == "error: no recording was evaluated: see above for what is wrong\n"


def test_a_recording_that_fails_during_staging_is_left_out(
    tmp_path: Path, sleep_train: Program
) -> None:
    """The conditioner refuses it because its clock jumps by more than a day."""
    write_night(tmp_path / "b.edf", ["W", "N2"])
    signal = Signal("EEG Fpz-Cz", np.arange(6000) % 100, 100.0)
    stages = [(0.0, 60.0, "Sleep stage N2")]
    jump = write_edf(tmp_path / "a.edf", [signal], annotations=stages, record_s=30.0)
    make_discontinuous(jump, [0.0, 100_000.0])
    code, printed, _ = sleep_train("evaluate", str(tmp_path))
    assert code == 0 and "left out 1:\n  a  " in printed and "\nb, nothing cut off" in printed


def test_wake_far_from_sleep_can_be_excluded(tmp_path: Path, sleep_train: Program) -> None:
    texts = [*["W"] * 4, "N2", "?", "R", *["W"] * 3]
    path = write_night(tmp_path / "night.edf", texts)
    (tmp_path / "peer.txt").write_text("\n".join(texts))
    found = {}
    for wake in ("all", "1"):
        out = tmp_path / wake
        code, printed, _ = sleep_train(
            *("evaluate", str(path), "--peer", f"other={tmp_path / 'peer.txt'}"),
            *("--wake-min", wake, "--gains", "--out", str(out)),
        )
        assert code == 0
        trim = "nothing cut off" if wake == "all" else "1 min of wake kept around sleep"
        assert f"night, {trim}" in printed
        found[wake] = json.loads((out / "results.json").read_text())
    assert (found["all"]["wake_min"], found["1"]["wake_min"]) == (None, 1.0)
    (label,) = found["1"]["networks"]
    live = {wake: each["pooled"][label]["live"] for wake, each in found.items()}
    assert (live["all"]["epochs"], live["all"]["compared"]) == (10, 9)
    assert (live["1"]["epochs"], live["1"]["compared"]) == (7, 6)
    assert (live["1"]["positives"]["W"], live["1"]["positives"]["N2"]) == (4, 1)
    assert found["1"]["common_epochs"]["epochs"] == 6
    assert found["1"]["common_epochs"]["stagers"]["other"]["accuracy"] == 1
    assert {each["expert_epochs"] for each in found["1"]["gains"]} == {6}
    whole, part = (table(tmp_path / wake / "epochs" / "night.csv") for wake in ("all", "1"))
    assert part == whole[2:9] and part[0]["epoch"] == "2"


def test_recordings_of_people_in_the_training_set_are_reported(
    tmp_path: Path, sleep_train: Program
) -> None:
    weights = tmp_path / "own.safetensors"
    weights.write_bytes(default_weights(Gain.UNKNOWN).read_bytes())
    card = json.loads(default_weights(Gain.UNKNOWN).with_suffix(".json").read_text())
    card["data"] = {
        "train_subjects": ["sleep-edf-cassette-00", "shhs-200001"],
        "held_out_subjects": ["sleep-edf-telemetry-01"],
    }
    weights.with_suffix(".json").write_text(json.dumps(card))
    names = ("SC4001E0-PSG", "SC4011E0-PSG", "ST7011J0-PSG", "ST7001J0-PSG", "shhs1-200001")
    for seed, name in enumerate(names):
        write_night(tmp_path / "nights" / f"{name}.edf", ["W", "N2"], seed=seed)
    arguments = ("evaluate", str(tmp_path / "nights"), "--weights", str(weights))
    code, printed, err = sleep_train(*arguments, "--out", str(tmp_path / "out"))
    message = "was trained on people of 3 of these 5 recordings (SC4001E0, ST7011J0, shhs1-200001)"
    assert code == 0 and err.startswith("warning: ") and message in err
    assert message in " ".join(printed.split())
    (network,) = json.loads((tmp_path / "out" / "results.json").read_text())["networks"].values()
    assert network["trained_on"] == ["SC4001E0", "ST7011J0", "shhs1-200001"]
    card["data"] = {"train_subjects": ["sleep-edf-cassette-02"]}
    weights.with_suffix(".json").write_text(json.dumps(card))
    assert "warning" not in "".join(map(str, sleep_train(*arguments)))


def test_bad_input_is_one_line_and_exit_2(tmp_path: Path, sleep_train: Program) -> None:
    night = str(write_night(tmp_path / "night.edf", ["W", "N2"]))
    unscored = str(write_night(tmp_path / "other" / "night.edf", ["?"]))
    broken = tmp_path / "broken.edf"
    broken.write_bytes(b"no recording")
    weights = str(default_weights(Gain.KNOWN))
    for arguments, message in (
        ([str(tmp_path / "missing.edf")], "missing.edf"),
        ([str(broken)], "broken.edf"),
        ([night, "--channel", "EEG Cz"], "EEG Cz"),
        ([night, "--weights", weights, "--gain", "known"], "--gain"),
        ([night, "--weights", night], "weights"),
        ([night, unscored], "both called night"),
        ([night, unscored, "--hypnogram", night], "--hypnogram"),
        ([night, "--peer", "nothing"], "NAME=FILE"),
        ([night, "--hypnogram", str(broken)], "broken.edf"),
        ([night, "--out", str(broken)], "--out"),
        ([night, "--wake-min", "some"], "--wake-min must be minutes"),
    ):
        code, out, err = sleep_train("evaluate", *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert message in err


def test_help_shows_an_example(sleep_train: Program) -> None:
    code, out, _ = sleep_train("evaluate", "--help")
    assert code == 0
    assert "Example: sleep-train evaluate" in re.sub(r"\x1b\[[0-9;]*m", "", out)


@pytest.mark.parametrize("gain", Gain)
def test_costs_are_counted_in_the_real_network(gain: Gain) -> None:
    cost = Cost.of(default_weights(gain))
    assert cost.parameters > 0 and cost.encode_macs > 0 and cost.sequence_macs > 0
    peak_mb = peak_memory_mb()
    assert peak_mb is None or 10 < peak_mb < 100_000
