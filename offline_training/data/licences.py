"""Licences of recordings, and the conditions they put on weights trained on those recordings."""

from __future__ import annotations

from collections.abc import Iterable

ODC_BY = "ODC-By 1.0"
"""Licence of Sleep-EDF Expanded: weights may be shipped, with attribution."""

SHHS = "SHHS data use agreement (NSRR): weights trained on it must not be shipped or shared"
PRIVATE = "private recordings: keep the weights private"

SLEEP_EDF_ATTRIBUTION = (
    "Contains information from the Sleep-EDF Database Expanded 1.0.0, which is made available "
    "under the Open Data Commons Attribution License v1.0 (ODC-By 1.0): "
    "https://physionet.org/content/sleep-edfx/1.0.0/. "
    "Kemp B, Zwinderman AH, Tuk B, Kamphuisen HAC, Oberye JJL. Analysis of a sleep-dependent "
    "neuronal feedback loop: the slow-wave microcontinuity of the EEG. IEEE-BME 2000; "
    "47(9):1185-1194. Goldberger AL et al. PhysioBank, PhysioToolkit, and PhysioNet. "
    "Circulation 2000; 101(23):e215-e220."
)


def may_ship(licence: str) -> bool:
    """Return True if weights trained under this `LabelledNight.licence` may be shipped.

    Weights trained under several licences may be shipped only if each of them allows it.
    """
    return licence == ODC_BY


def terms(datasets: Iterable[str], licences: Iterable[str]) -> dict[str, object]:
    """Return the conditions that the card of weights trained on ``datasets`` must state.

    Without a licence nothing is allowed: permission that is not known is not assumed.
    """
    datasets, licences = sorted(set(datasets)), sorted(set(licences))
    conditions: dict[str, object] = {
        "datasets": datasets,
        "licences": licences,
        "may_ship": bool(licences) and all(map(may_ship, licences)),
    }
    if any(dataset.startswith("sleep-edf") for dataset in datasets):
        conditions["attribution"] = SLEEP_EDF_ATTRIBUTION
    return conditions
