"""A contract is unchanged by its card, and refuses values that no stager could keep."""

from __future__ import annotations

import json
from typing import Any

import pytest

from models.contract import Gain, ModelContract, SpectrogramSpec

FIELDS: dict[str, Any] = {
    "name": "test",
    "version": "1",
    "gain": Gain.KNOWN,
    "channel": "EEG Fpz-Cz",
    "context_epochs": 20,
    "revision_epochs": 5,
    "embedding_dim": 64,
    "weights_sha256": "0" * 64,
}


def test_a_contract_is_unchanged_by_json() -> None:
    contract = ModelContract(**FIELDS)
    assert ModelContract.from_json(json.loads(json.dumps(contract.to_json()))) == contract


@pytest.mark.parametrize("key", ["sfreq_hz", "normalisation", "epsilon_uv", "n_fft"])
def test_a_field_that_a_card_lost_is_never_replaced_by_its_default(key: str) -> None:
    fields = ModelContract(**FIELDS).to_json()
    del (fields if key in fields else fields["spectrogram"])[key]
    with pytest.raises(ValueError, match=f"{key} is missing"):
        ModelContract.from_json(fields)


@pytest.mark.parametrize("change", [{"revision_epochs": 20}, {"stages": ("R", "W")}])
def test_a_contract_that_no_stager_could_keep_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        ModelContract(**{**FIELDS, **change})


@pytest.mark.parametrize("key", ["window_s", "hop_s"])
@pytest.mark.parametrize("length_s", [0.001, 31.0, 1e18])
def test_a_spectrogram_of_impossible_lengths_is_refused(key: str, length_s: float) -> None:
    with pytest.raises(ValueError, match="window_s and hop_s must be at most 30 s"):
        SpectrogramSpec(**{key: length_s})
