"""What may be done with weights, by the recordings they were trained on."""

from __future__ import annotations

ODC_BY = "ODC-By 1.0"
"""Sleep-EDF Expanded: weights may be shipped, with attribution."""

SHHS = "SHHS data use agreement (NSRR): weights trained on it must not be shipped or shared"
PRIVATE = "private recordings: keep the weights private"


def may_ship(licence: str) -> bool:
    """Whether weights trained on recordings of this `Recording.licence` may be shipped.

    Weights trained on several may be where this holds for every one of them.
    """
    return licence == ODC_BY
