"""The colours of the dashboard: contrast, colour-blind people, and the theme that is chosen."""

from __future__ import annotations

from itertools import combinations

import pytest

from monitor.sinks.dashboard.background import ASK, Background
from monitor.sinks.dashboard.palette import DARK, LIGHT, PALETTES, Palette
from tests.seeing import SIGHTS, contrast, distance

GROUNDS = {"dark": ("#000000", "#1e1e1e", "#300a24"), "light": ("#ffffff", "#fdf6e3")}
"""Backgrounds of terminals: black, that of an editor and of Ubuntu; white, and Solarized's."""

both = pytest.mark.parametrize("theme", PALETTES)


def meanings(palette: Palette) -> dict[str, str]:
    """Return every colour that carries meaning on the terminal's own background."""
    names = ("quiet", "trace", "alarm", "good", "bad", "ink")
    stages = {str(stage): colour for stage, colour in palette.stages.items()}
    return {name: getattr(palette, name) for name in names} | stages


@both
def test_every_colour_with_a_meaning_has_a_contrast_of_4_5(theme: str) -> None:
    palette = PALETTES[theme]
    for ground in (palette.paper, *GROUNDS[theme]):
        for name, colour in meanings(palette).items():
            assert contrast(colour, ground) >= 4.5, (name, ground)
    for ink, paper in (palette.bar, palette.alarm_bar):
        assert contrast(ink, paper) >= 4.5, (ink, paper)


@both
@pytest.mark.parametrize("sight", SIGHTS)
def test_colour_blind_people_can_tell_stages_apart(theme: str, sight: str) -> None:
    for one, other in combinations(PALETTES[theme].stages.values(), 2):
        assert distance(one, other, sight) >= 14.5, (one, other)


@both
def test_deeper_sleep_is_darker(theme: str) -> None:
    _, _, *blues, _ = PALETTES[theme].stages.values()
    light = [contrast(colour, "#000000") for colour in blues]
    assert light == sorted(light, reverse=True)


@pytest.mark.parametrize(
    ("theme", "colorfgbg", "answer", "palette"),
    [
        ("auto", "", b"", DARK),
        ("auto", "0;15", b"", LIGHT),
        ("auto", "15;0", b"", DARK),
        ("auto", "0;default;7", b"", LIGHT),
        ("auto", "nonsense", b"", DARK),
        ("auto", "", b"11;rgb:ffff/ffff/ffff", LIGHT),
        ("auto", "", b"11;rgb:fd/f6/e3", LIGHT),
        ("auto", "", b"11;rgba:1e1e/1e1e/1e1e/ffff", DARK),
        ("auto", "0;15", b"11;rgb:0000/0000/0000", DARK),
        ("auto", "0;15", b"11;rgb:zzzz/0000/0000", LIGHT),
        ("auto", "", b"4;1;rgb:ffff/ffff/ffff", DARK),
        ("dark", "0;15", b"11;rgb:ffff/ffff/ffff", DARK),
        ("light", "", b"11;rgb:0000/0000/0000", LIGHT),
    ],
)
def test_the_theme_is_the_user_s_then_the_terminal_s(
    theme: str, colorfgbg: str, answer: bytes, palette: Palette
) -> None:
    background = Background(theme, {"TERM": "xterm", "COLORFGBG": colorfgbg})
    background.answer(answer)
    assert background.palette is palette


@pytest.mark.parametrize(
    ("theme", "term", "asks"),
    [("auto", "xterm", True), ("auto", "linux", False), ("light", "xterm", False)],
)
def test_a_terminal_is_asked_only_if_its_answer_counts(theme: str, term: str, asks: bool) -> None:
    assert Background(theme, {"TERM": term}).must_ask is asks
    assert ASK.startswith("\x1b]11;?")
