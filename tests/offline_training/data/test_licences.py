"""Conditions on weights: shipping and attribution."""

from __future__ import annotations

from offline_training.data.licences import ODC_BY, PRIVATE, SLEEP_EDF_ATTRIBUTION, terms


def test_one_forbidding_licence_forbids_shipping() -> None:
    assert terms(["a"], [ODC_BY])["may_ship"]
    assert not terms(["a", "b"], [ODC_BY, PRIVATE])["may_ship"]
    assert not terms(["a"], ["a licence nobody knows"])["may_ship"]
    assert not terms([], [])["may_ship"]


def test_weights_trained_on_sleep_edf_name_its_authors() -> None:
    assert "ODC-By 1.0" in SLEEP_EDF_ATTRIBUTION and "Kemp" in SLEEP_EDF_ATTRIBUTION
    for dataset in ("sleep-edf-cassette", "sleep-edf-cassette-surrogate"):
        assert terms([dataset, "folder"], [ODC_BY])["attribution"] == SLEEP_EDF_ATTRIBUTION
    assert "attribution" not in terms(["folder"], [ODC_BY])
