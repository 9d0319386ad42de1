"""The paper's protocol: splits of subjects, pooled folds, and the table of published figures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from monitor.errors import InputError
from offline_training.training.distributed import Ranks
from offline_training.training.paper import run_paper, splits
from offline_training.training.published import FOLDS
from tests.offline_training.training.synthetic import RECIPE, job, nights

CPU = Ranks(0, 1, torch.device("cpu"))


def subjects(recordings: object) -> set[str]:
    return {one.subject for one in recordings}  # type: ignore[attr-defined]


@pytest.mark.parametrize("dataset", ["sleep-edf-cassette", "shhs1"])
def test_no_subject_is_in_two_groups_of_a_split(dataset: str) -> None:
    recordings = nights(40, each=2, n=5, dataset=dataset)
    found = splits(recordings, 10)
    for train, validation, test in found:
        assert len(train) + len(validation) + len(test) == len(recordings)
        assert not subjects(train) & subjects(validation)
        assert not subjects(train) & subjects(test)
        assert not subjects(validation) & subjects(test)
    if dataset == "shhs1":
        ((train, validation, test),) = found
        assert (len(test), len(validation)) == (24, 2)
    else:
        assert len(found) == FOLDS
        tested = [one.name for _, _, test in found for one in test]
        assert sorted(tested) == sorted(one.name for one in recordings)


def test_recordings_of_several_or_unpublished_data_sets_are_refused() -> None:
    with pytest.raises(InputError, match="one data set"):
        splits([*nights(10, dataset="shhs1"), *nights(10)], 10)
    for dataset in ("shhs2", "sleep-edf-telemetry", "sleep-edf-cassette-surrogate", "folder"):
        with pytest.raises(InputError, match=f"sleep-edf-cassette or shhs1, got {dataset}"):
            splits(nights(10, n=5, dataset=dataset), 10)


def test_finished_folds_are_pooled_and_not_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recordings = nights(10, each=2, n=12, dataset="sleep-edf-cassette")
    recipe = replace(
        RECIPE,
        epoch=replace(RECIPE.epoch, steps=0),
        sequence=replace(RECIPE.sequence, steps=0),
        finetune=replace(RECIPE.finetune, steps=1),
    )
    started: list[str] = []

    def start_report(part: str, done: int) -> object:
        started.append(part)
        return lambda *_: None

    one = job(tmp_path, recipe=recipe)
    table = run_paper(recordings, one, 1, CPU, start_report)  # type: ignore[arg-type]
    assert "1 of 10 folds" in table and started[0] == "fold 1/1 epoch"
    started.clear()
    table = run_paper(recordings, one, 2, CPU, start_report)  # type: ignore[arg-type]
    assert "2 of 10 folds" in table and {name[:8] for name in started} == {"fold 2/2"}
    pooled = json.loads((tmp_path / "paper.json").read_text())
    tested = [test for _, _, test in splits(recordings, recipe.validation_share)[:2]]
    usable = sum(int(each.usable.sum()) for test in tested for each in test)
    assert pooled["live"]["interval_method"] == "2 subjects drawn with replacement"
    assert pooled["folds_run"] == 2 and pooled["live"]["compared"] == usable
    published = next(line for line in table.splitlines() if line.startswith("MC2SleepNet"))
    assert published.split()[1:4] == ["84.6", "-", "-"] and "arXiv:2502.17470" in published
    assert next(line for line in table.splitlines() if "SleePyCo" in line).split()[1:4] == [
        "84.6",
        "79.0",
        "0.787",
    ]
    with pytest.raises(InputError, match="another seed"):
        run_paper(recordings, replace(one, seed=1), 1, CPU, start_report)  # type: ignore[arg-type]
    assert "warning" not in capsys.readouterr().err
    run_paper(recordings, replace(one, out=tmp_path / "all", trim="all"), 1, CPU, start_report)  # type: ignore[arg-type]
    assert "not to be compared" in capsys.readouterr().err
    tested[0][0].stage[0] = -1
    with pytest.raises(InputError, match="other recordings"):
        run_paper(recordings, one, 1, CPU, start_report)  # type: ignore[arg-type]
    path = tmp_path / "fold-01" / "predictions.npz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged"):
        run_paper(recordings, one, 1, CPU, start_report)  # type: ignore[arg-type]
