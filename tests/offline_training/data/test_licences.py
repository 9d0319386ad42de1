"""What may be shipped, and whom it must name."""

from __future__ import annotations

from offline_training.data.licences import ODC_BY, PRIVATE, SLEEP_EDF_ATTRIBUTION, terms


def test_one_licence_that_forbids_shipping_forbids_it() -> None:
    assert terms(["a"], [ODC_BY])["may_ship"]
    assert not terms(["a", "b"], [ODC_BY, PRIVATE])["may_ship"]
    assert not terms(["a"], ["a licence nobody knows"])["may_ship"]
    assert not terms([], [])["may_ship"]


def test_whoever_learnt_from_sleep_edf_names_its_authors() -> None:
    assert "ODC-By 1.0" in SLEEP_EDF_ATTRIBUTION and "Kemp" in SLEEP_EDF_ATTRIBUTION
    for dataset in ("sleep-edf-cassette", "sleep-edf-cassette-surrogate"):
        assert terms([dataset, "folder"], [ODC_BY])["attribution"] == SLEEP_EDF_ATTRIBUTION
    assert "attribution" not in terms(["folder"], [ODC_BY])
