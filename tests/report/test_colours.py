"""Contrast (WCAG 2.2), and colours that colour-blind people can tell apart."""

from __future__ import annotations

from itertools import combinations

import pytest

from monitor.report.colours import DARK, LIGHT
from tests.seeing import SIGHTS, contrast, distance

both = pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])


@both
def test_what_is_drawn_and_written_stands_out(colours: dict[str, str]) -> None:
    for name in ("w", "r", "n1", "n2", "n3", "good", "poor", "off"):
        assert contrast(colours[name], colours["ground"]) >= 3.0, name
    for ground in ("ground", "panel", "notice"):
        for name in ("text", "quiet", "link"):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)


@both
@pytest.mark.parametrize("sight", SIGHTS)
def test_colour_blind_people_can_tell_stages_apart(colours: dict[str, str], sight: str) -> None:
    for one, other in combinations(("w", "r", "n1", "n2", "n3"), 2):
        assert distance(colours[one], colours[other], sight) >= 15.0, (one, other)
