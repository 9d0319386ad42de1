"""The pictures of the dashboard can be drawn, and the README's picture is up to date."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import monitor
from tests import draw_dashboard

README_PICTURE = Path(monitor.__file__).parent / "dashboard.svg"


def words_in(picture: Path) -> list[str]:
    """Return the words of an SVG picture, with every digit as 0."""
    words = re.findall(r">([^<]+)</text>", picture.read_text(encoding="utf-8"))
    return [re.sub(r"\d", "0", word) for word in words]


def test_the_picture_in_the_readme_is_up_to_date(tmp_path: Path) -> None:
    picture = tmp_path / "dashboard.svg"
    draw_dashboard.main([str(picture)])
    # Another processor may round a probability differently: numbers are not compared.
    assert words_in(picture) == words_in(README_PICTURE)
    size = re.compile(r'viewBox="[^"]+"')
    assert size.findall(picture.read_text()) == size.findall(README_PICTURE.read_text())


@pytest.mark.parametrize(("option", "word"), [("--live", "contact"), ("--several", "sleepers")])
def test_invented_live_nights_can_be_drawn(option: str, word: str, tmp_path: Path) -> None:
    picture = tmp_path / "live.svg"
    draw_dashboard.main([option, str(picture), "100", "40"])
    assert word in words_in(picture)
