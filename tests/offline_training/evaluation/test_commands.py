"""sleep-train evaluate as a user meets it."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from models.contract import Gain
from models.weights import default_weights
from offline_training.evaluation.networks import Cost, peak_memory_mb
from tests.offline_training.evaluation.nights import write_night
from tests.offline_training.program import Program

NIGHT = ["W", "N1", *["N2"] * 7, "N3", "R", "?"]
PNG = b"\x89PNG"


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_recording_in_numbers_tables_and_pictures(tmp_path: Path, sleep_train: Program) -> None:
    path, out = write_night(tmp_path / "night.edf", NIGHT, flat=(3,)), tmp_path / "out"
    (tmp_path / "peer.txt").write_text("\n".join(NIGHT))
    code, printed, err = sleep_train(
        *("evaluate", str(path), "--peer", f"other={tmp_path / 'peer.txt'}", "--out", str(out)),
        *("--gains", "--baseline", str(default_weights(Gain.UNKNOWN))),
    )
    assert code == 0 and "min left" in err
    for said in ("unscored by the monitor", "blocks of 10", "not stated", "other", "flipped"):
        assert said in printed
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


def test_folder_is_pooled_and_seeded(tmp_path: Path, sleep_train: Program) -> None:
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


def test_bad_input_is_one_line_and_exit_2(tmp_path: Path, sleep_train: Program) -> None:
    night = str(write_night(tmp_path / "night.edf", ["W", "N2"]))
    unscored = str(write_night(tmp_path / "other" / "night.edf", ["?"]))
    broken = tmp_path / "broken.edf"
    broken.write_bytes(b"no recording")
    weights = str(default_weights(Gain.KNOWN))
    for arguments, said in (
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
    ):
        code, out, err = sleep_train("evaluate", *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert said in err


def test_help_shows_an_example(sleep_train: Program) -> None:
    code, out, _ = sleep_train("evaluate", "--help")
    assert code == 0
    assert "Example: sleep-train evaluate" in re.sub(r"\x1b\[[0-9;]*m", "", out)


@pytest.mark.parametrize("gain", Gain)
def test_costs_are_counted_from_the_real_modules(gain: Gain) -> None:
    cost = Cost.of(default_weights(gain))
    assert cost.parameters > 0 and cost.encode_macs > 0 and cost.sequence_macs > 0
    peak_mb = peak_memory_mb()
    assert peak_mb is None or 10 < peak_mb < 100_000
