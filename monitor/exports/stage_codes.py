"""The codes of the stages in other programs. Unscored is the code of None, never a stage's."""

from __future__ import annotations

from models.contract import Stage

Codes = dict[Stage | None, str]


def _codes(w: str, n1: str, n2: str, n3: str, r: str, unscored: str) -> Codes:
    return dict(zip((*Stage, None), (w, n1, n2, n3, r, unscored), strict=True))


YASA = _codes("WAKE", "N1", "N2", "N3", "REM", "UNS")
"""Words of `yasa.Hypnogram`."""

VISBRAIN = _codes("0", "1", "2", "3", "4", "-1")
"""Visbrain has no code for unscored. It takes -1, artefact, as what nothing is known of."""

LUNA = _codes("W", "N1", "N2", "N3", "R", "?")

NSRR = _codes(
    "Wake|0", "Stage 1 sleep|1", "Stage 2 sleep|2", "Stage 3 sleep|3", "REM sleep|5", "Unscored|9"
)

PROFUSION = _codes("0", "1", "2", "3", "5", "9")
"""Rechtschaffen & Kales, as the NSRR's Compumedics files have it."""
