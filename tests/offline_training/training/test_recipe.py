"""A recipe file overrides the fields it names; a bad one gets one clear message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monitor.errors import InputError
from offline_training.training.recipe import PAPER, TrainingRecipe, overridden


def test_fields_are_replaced_at_any_depth(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(
        json.dumps(
            {"sequence_length": 21, "finetune": {"steps": 7}, "network": {"d_model": 64}, "hide": 0}
        )
    )
    found = overridden(TrainingRecipe(), path)
    assert (found.sequence_length, found.finetune.steps, found.network.d_model) == (21, 7, 64)
    assert found.hide == 0 and isinstance(found.hide, float)
    assert found.finetune.batch == TrainingRecipe().finetune.batch
    assert found.epoch == TrainingRecipe().epoch


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ('{"colour": 1}', "no 'colour'"),
        ('{"finetune": {"step": 1}}', "no 'step'"),
        ('{"finetune": 3}', "must be an object"),
        ('{"sequence_length": "20"}', "sequence_length must be int"),
        ('{"sequence_length": true}', "sequence_length must be int"),
        ('{"sequence_length": 5}', "revision_epochs"),
        ('{"epoch": {"micro_batch": 500}}', "multiple"),
        ('{"network": {"n_heads": 7}}', "multiple"),
        ('{"mask_share": 1.5}', "mask_share"),
        ('{"network": {"n_heads": 0}}', "n_heads must be at least 1"),
        ('{"network": {"d_model": 15, "n_heads": 5}}', "d_model must be even"),
        ('{"network": {"dropout": 1.5}}', "dropout"),
        ('{"evaluate_stride": 0}', "evaluate_stride must be at least 1"),
        ('{"validation_batches": 0}', "validation_batches must be at least 1"),
        ('{"hide": 1.5}', "hide"),
        ('{"temperature": NaN}', "temperature"),
        ('{"finetune": {"learning_rate": -0.1}}', "learning_rate must be positive"),
        ('{"network": {"pretraining": true}}', "pretraining is not for a recipe"),
        ('{"network": {"gain_free": true}}', "--gain known or unknown"),
    ],
)
def test_a_bad_recipe_gets_one_line_that_names_file_and_field(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as raised:
        overridden(TrainingRecipe(), path)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)


def test_the_message_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json"):
        overridden(TrainingRecipe(), tmp_path / "none.json")


def test_the_papers_recipe_has_the_papers_inputs() -> None:
    assert not PAPER.network.band_power and PAPER.network.raw and PAPER.network.frames
    assert PAPER.sequence_length == 20 and PAPER.mask_share == 0.25


def test_a_recipe_can_leave_out_a_stream(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text('{"network": {"raw": false}}')
    assert not overridden(TrainingRecipe(), path).network.two_streams
