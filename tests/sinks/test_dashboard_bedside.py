"""The plain view, the legend and the marks; lines about health that never contradict each other."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest
from rich.cells import cell_len

from models.contract import Stage
from monitor.night.state import NightState, SleeperState
from monitor.sinks.dashboard import Look, render
from monitor.sinks.dashboard.bedside import electrode_words
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.health import alarm, electrodes, signal_word, worn_text
from monitor.sinks.dashboard.legend import ABBREVIATIONS, draw_legend
from monitor.sinks.dashboard.marks import draw_marks
from monitor.sinks.dashboard.overview import Row
from monitor.sinks.dashboard.screen import Moment
from monitor.sinks.dashboard.sleepers import SleepersPage, seen_sleepers
from monitor.types import ChannelState, Contact, Mark, MarkKind, Reason, SignalState
from tests.sinks.frames import ASCII, PLAIN, SIZES, lines_on
from tests.sinks.night_example import (
    MUSE,
    START,
    channel,
    good_channels,
    good_quality,
    live_state,
    muse_channels,
    night_state,
    prediction,
    silent_state,
)

BEDSIDE = replace(PLAIN, plain=True)
OFF = tuple(channel(name, Contact.OFF, Reason.FLAT) for name in MUSE)
POOR = tuple(channel(name, Contact.POOR, Reason.AMPLITUDE) for name in MUSE)
ELECTRODES = {
    "unknown": (),
    "good": good_channels(),
    "one off": muse_channels(),
    "poor": POOR,
    "off": OFF,
}
MARKS = (
    Mark(MarkKind.NOTE, START + timedelta(hours=3), "phone rang"),
    Mark(MarkKind.LIGHTS_OFF, START + timedelta(minutes=8)),
    Mark(MarkKind.LIGHTS_ON, START + timedelta(hours=6, minutes=50)),
)


def text_of(state: NightState, width: int = 80, height: int = 24, look: Look = BEDSIDE) -> str:
    return "\n".join(lines_on(render(state, width, height, look)))


def ending_with(stage: Stage | None, reason: Reason | None = None) -> NightState:
    """Return a live night whose newest epoch has this stage."""
    state = live_state(830)
    newest = replace(prediction(829, stage), reason=reason)
    stages = (*state.live[:-1], newest)
    return replace(state, live=stages, revised=stages)


@pytest.mark.parametrize(("width", "height"), [*SIZES, (0, 0), (1, 1), (20, 5), (40, 12), (79, 23)])
@pytest.mark.parametrize("look", [BEDSIDE, replace(ASCII, plain=True), Look(plain=True)])
def test_the_plain_view_has_exactly_the_requested_size(width: int, height: int, look: Look) -> None:
    for state in (live_state(0), live_state(830, marks=MARKS), silent_state(30), night_state(830)):
        lines = lines_on(render(state, width, height, look, notice="something"))
        assert len(lines) == height
        assert all(cell_len(line) == width for line in lines)
        assert look.unicode or "".join(lines).isascii()


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        (Stage.W, "Awake"),
        (Stage.R, "Dreaming (REM)"),
        (Stage.N1, "Light sleep"),
        (Stage.N2, "Light sleep"),
        (Stage.N3, "Deep sleep"),
    ],
)
def test_stages_have_the_words_of_a_sleeper(stage: Stage, words: str) -> None:
    text = text_of(ending_with(stage))
    assert words in text
    for name in ("N1", "N2", "N3", "TST", "SE ", "WASO", "uV", "epoch"):
        assert name not in text


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (Reason.FLAT, "No reading: electrode off"),
        (Reason.RAILED, "No reading: electrode off or loose"),
        (Reason.MAINS, "No reading: electrode off, mains hum"),
        (Reason.AMPLITUDE, "No reading: too much movement"),
        (Reason.NOISE, "No reading: poor contact"),
        (Reason.MISSING, "No reading: the signal was lost"),
    ],
)
def test_an_epoch_without_a_stage_has_its_reason_in_words(reason: Reason, words: str) -> None:
    assert words in text_of(replace(ending_with(None, reason), channels=POOR))


def test_the_plain_view_shows_the_night_at_a_glance() -> None:
    text = text_of(live_state(830, marks=MARKS[:2], lights_off_utc=MARKS[1].time_utc))
    for words in (
        "05:26",
        "Dreaming (REM) for 19 min",
        "Asleep for 6 h 23 min",
        "in bed 6 h 47 min, since lights off",
        "● Electrodes good",
        "Last: 04:41 fell asleep again",
        "▼lights off",
        "◆phone rang",
        "Ctrl-C ends the night",
        "sleep-monitor mark lights-off",
    ):
        assert words in text, words
    keys = text_of(live_state(830), look=replace(BEDSIDE, keys=True))
    assert "q end the night  ? legend  v expert's view" in keys
    assert "v expert" not in text


@pytest.mark.parametrize(
    ("channels", "words"),
    [
        (good_channels(), "● Electrodes good"),
        (muse_channels(), "○ Electrode TP9 is off: press it on"),
        (OFF, "○ No electrode touches the head: put the band on"),
        (POOR, "◐ Electrodes TP9, AF7, AF8 and 1 more are poor: press them on"),
    ],
)
def test_electrodes_are_described_with_what_to_do(
    channels: tuple[ChannelState, ...], words: str
) -> None:
    assert words in text_of(live_state(830, channels=channels))


def test_what_happened_last_is_a_mark_or_a_change() -> None:
    note = Mark(MarkKind.NOTE, START + timedelta(hours=6, minutes=50), "toilet")
    assert 'Last: 05:21 note "toilet"' in text_of(live_state(830, marks=(note,)))
    assert "Last: 05:32 awake for 18 min" in text_of(live_state(878))
    assert "Last: 01:09 no reading for 5 min: electrode off, mains hum" in text_of(live_state(327))
    assert "Last:" not in text_of(live_state(4))


def test_marks_are_drawn_in_both_views_at_their_time() -> None:
    state = live_state(830, marks=MARKS)
    for width, height in [(60, 20), (80, 24), (120, 40)]:
        for look in (PLAIN, BEDSIDE, ASCII):
            text = text_of(state, width, height, look)
            for symbol in "▼▲◆" if look.unicode else "v^*":
                assert symbol in text, (width, height, look)
    canvas = Canvas(60, 1)
    draw_marks(canvas, 0, 0, 60, 10, live_state(300, marks=MARKS), PLAIN)
    # Five minutes a column; a mark after the epochs so far stands at their end.
    assert lines_on(canvas)[0].rstrip() == " ▼lights off                 ▲lights on"


def test_the_legend_explains_keys_colours_symbols_and_abbreviations() -> None:
    look = replace(PLAIN, keys=True)
    for width, height in [(80, 24), (120, 40)]:
        text = "\n".join(lines_on(draw_legend(width, height, look, "night")))
        for words in (
            "asks, then ends the night",
            "the plain view",
            "Ctrl-C",
            "dreaming (REM sleep)",
            "unscored: no reading",
            "▼",
            "lights off",
            "● ",
            "electrode off the head",
            *ABBREVIATIONS,
        ):
            assert words in text, words
        assert "…" not in text
    for width, height in [(0, 0), (1, 1), (20, 4), (200, 50)]:
        lines = lines_on(draw_legend(width, height, look, "night"))
        assert [len(line) for line in lines] == [width] * height


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 50)])
@pytest.mark.parametrize("look", [PLAIN, BEDSIDE], ids=["expert", "plain"])
def test_two_sleepers_fill_the_screen_and_each_has_a_hypnogram(
    width: int, height: int, look: Look
) -> None:
    night = live_state(830, marks=MARKS)
    two = [SleeperState(name, "streaming", night) for name in ("anna", "ben")]
    page = SleepersPage(seen_sleepers(two, (), 0.0))
    lines = lines_on(page.draw(width, height, look, Moment(0.0, night.clock_utc), None))
    deepest = " Deep " if look.plain else " N3 "
    assert sum(line.startswith(deepest) and "━" in line for line in lines) == 2
    ben = next(y for y, line in enumerate(lines) if line.startswith(" ben"))
    assert abs(ben - height // 2) <= 1
    longest_gap = max(
        len(gap) for gap in "".join("x" if line.strip() else " " for line in lines).split("x")
    )
    assert longest_gap <= height // 8


WORN = [(8, None), (830, None), (830, (10, 830)), (830, (10, 700))]
"""Number of epochs, and the window in which the band was worn."""

CONDITIONS = list(product(SignalState, ELECTRODES, WORN, (None, Reason.FLAT), (False, True)))


def test_lines_about_health_never_contradict_each_other() -> None:
    for case in CONDITIONS:
        signal, name, (n, worn), reason, ended = case
        state = live_state(n, signal=signal, channels=ELECTRODES[name], ended=ended, worn=worn)
        if reason is not None:
            newest = replace(state.live[-1], stage=None, reason=reason, confidence=None)
            quality = replace(good_quality(), reason=reason)
            state = replace(state, live=(*state.live[:-1], newest), quality=quality)
        shown = electrodes(state)
        touches = any(c.contact is not Contact.OFF for c in shown)
        all_off = bool(shown) and not touches
        worn_line = worn_text(state, PLAIN) or ""
        word, well = signal_word(state)
        plain_line, _ = electrode_words(state, state.clock_utc, PLAIN)
        wrong = alarm(state, state.clock_utc) or ""
        troubles = Row(SleeperState("anna", "streaming", state), state.clock_utc, 0.0).troubles

        if ended:
            assert not wrong and not plain_line and "since" not in worn_line, case
            continue
        screen = text_of(state)
        if touches:
            assert "not worn" not in worn_line, case
            assert " to " not in worn_line or "scored to" in worn_line, case
            assert "no samples" not in wrong, case
            assert "No signal" not in screen and "No electrode" not in screen, case
        if all_off:
            assert "since" not in worn_line and not worn_line.startswith("on"), case
            assert not well and word != "GOOD", case
            assert "good" not in plain_line, case
            assert troubles, case
        if "good" in plain_line:
            assert "No reading: electrode" not in screen, case
            assert word not in ("OFF", "LOST"), case
            assert not any("off" in trouble for trouble in troubles), case
        if "no samples" in wrong:
            assert word == "LOST" and (all_off or not shown), case
            assert "No signal" in plain_line and "NO READING" not in worn_line, case
