"""Frames of a night: their size, their numbers, and how they look without colour or Unicode."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len
from rich.color import Color, ColorSystem
from rich.console import Console

from models.contract import STAGES, Stage
from monitor.night.state import NightState
from monitor.sinks.dashboard import Look, render, summary, to_svg
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.eeg import draw_trace, scale_uv, spectrogram_db
from monitor.sinks.dashboard.hypnogram import (
    column_shares,
    column_stages,
    draw_hypnogram,
    epochs_per_column,
)
from monitor.sinks.dashboard.palette import PALETTES, Palette
from monitor.types import Delivery, Reason, SignalState
from tests.sinks.frames import ASCII, PLAIN, SIZES, lines_on, printed, without_codes
from tests.sinks.night_example import (
    START,
    good_quality,
    night_stages,
    night_state,
    prediction,
)


def lines_of(state: NightState, width: int = 80, height: int = 24, look: Look = PLAIN) -> list[str]:
    return lines_on(render(state, width, height, look))


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("n_epochs", [0, 1, 75, 830])
@pytest.mark.parametrize("look", [Look(), PLAIN, ASCII])
def test_a_frame_has_exactly_the_requested_size(
    width: int, height: int, n_epochs: int, look: Look
) -> None:
    frame = without_codes(printed(render(night_state(n_epochs), width, height, look), width))
    lines = frame.rstrip("\n").split("\n")
    assert len(lines) == height
    assert {cell_len(line) for line in lines} == {width}
    assert look.unicode or frame.isascii()


@pytest.mark.parametrize("width", [0, 1, 5, 20, 40, 79])
@pytest.mark.parametrize("height", [0, 1, 2, 7, 12, 23])
@pytest.mark.parametrize("look", [Look(), ASCII])
def test_smaller_frames_leave_parts_out_and_keep_the_stage(
    width: int, height: int, look: Look
) -> None:
    for n_epochs in (0, 30, 830):
        lines = lines_of(night_state(n_epochs), width, height, look)
        assert len(lines) == height
        assert all(cell_len(line) == width for line in lines)
    if width >= 6 and height:
        assert lines[0].startswith("R 69 %"[:width])


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_number_of_the_night_is_on_a_full_frame(width: int, height: int) -> None:
    text = "\n".join(lines_of(night_state(830), width, height))
    for words in (
        "05:26:00",
        "in bed 6 h 55 min (recording)",
        "830 of 878 epochs",
        "replay 60x",
        "94 %",
        "69 % sure",
        "EEG Fpz-Cz",
        "2,490,000",
        "2,489,880",
        "redis://127.0.0.1:6379/0",
        "connected",
        "1,204",
        "GOOD",
        "31.2 uV",
        "WASO (AASM)",
        "WASO (last sleep)",
        "REM latency",
        "383.0",
        "92.3 %",
        "26 % TST",
        "30 dB",
        "+75",
    ):
        assert words in text, words


def test_undefined_statistics_are_dashes_never_zero() -> None:
    text = "\n".join(lines_of(night_state(10)))
    assert "SOL —  LPS —  REM latency —" in text
    assert "— % TST" in text
    assert "SOL -  LPS -" in "\n".join(lines_of(night_state(10), look=ASCII))


def test_the_largest_numbers_are_not_cut_off() -> None:
    state = night_state(830)
    statistics = replace(
        state.statistics,
        trt_min=1440.0,
        tst_min=1000.5,
        sol_min=1000.5,
        lps_min=1000.5,
        rem_latency_min=1000.5,
        waso_aasm_min=100.5,
        waso_last_sleep_min=100.5,
        unscored_min=1000.5,
        se_percent=69.5,
    )
    quality = replace(good_quality(), std_uv=187_500.0, peak_to_peak_uv=375_000.0)
    ledger = replace(
        state.ledger, expected=8_640_000, received=8_000_000, filled=100_000, lost=540_000
    )
    delivery = Delivery("rediss://user:word@a-long-name.example.net:6380/0", True, 12_000, 10_000)
    changed = replace(
        state, statistics=statistics, quality=quality, ledger=ledger, delivery=delivery
    )
    text = "\n".join(lines_of(changed))
    for words in (
        "REM latency 1000.5",
        "SE 69.5 %",
        "unscored 1000.5",
        "187500 uV",
        "375000 uV",
        "+ 540,000 lost",
        "10,000 waiting",
    ):
        assert words in text, words


def test_time_in_bed_counts_from_lights_off_once_marked() -> None:
    state = night_state(
        240, lights_off_utc=START + timedelta(minutes=10), lights_on_utc=START + timedelta(hours=1)
    )
    assert "in bed 50 min (lights off)" in lines_of(state)[0]


def test_an_unscored_epoch_is_a_question_mark_with_its_reason_and_never_w() -> None:
    state = night_state(25)  # the 25th epoch is unscored
    assert state.live[-1].stage is None
    text = "\n".join(lines_of(state))
    assert "unscored: mains" in text
    assert "% sure" not in text
    assert lines_of(state, 40, 10)[0].startswith("? unscored: mains")

    only_unscored = night_state(1, live=(prediction(0, None),), revised=(prediction(0, None),))
    night = lines_of(only_unscored)[7:15]
    assert all(line[6] == "░" for line in night)
    assert "━" not in "".join(night)


def test_a_lost_signal_makes_the_newest_stage_an_old_one() -> None:
    text = "\n".join(lines_of(night_state(830, signal=SignalState.LOST)))
    assert "LOST" in text
    assert "old, from 05:26:00" in text
    assert "% sure" not in text


def test_the_reason_why_a_signal_is_unfit_is_shown() -> None:
    poor = replace(good_quality(), reason=Reason.RAILED)
    state = night_state(830, quality=poor, signal=SignalState.POOR)
    assert any("unfit for scoring  railed" in line for line in lines_of(state, 120, 36))


def test_a_password_is_never_shown() -> None:
    delivery = Delivery("rediss://me:secret@broker.example:6380/0", False, 4, 12)
    state = night_state(830, delivery=delivery)
    for width, height in ((60, 20), (80, 24), (120, 36)):
        text = "\n".join(lines_of(state, width, height))
        assert "secret" not in text
        assert "NOT CONNECTED" in text


def test_a_notice_takes_one_line() -> None:
    notice = "Stream lost;\nwaiting for it \x1b[31m to come back" + 100 * "!"
    lines = lines_on(render(night_state(830), 80, 24, PLAIN, notice=notice))
    assert len(lines) == 24
    assert lines[-1].startswith(" Stream lost;?waiting")
    assert "\x1b" not in lines[-1]


def test_no_colour_means_no_colour_and_stages_still_differ() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True, no_color=True)
    console.print(render(night_state(830), 80, 24, Look.of(console, UTC)))
    codes = set(re.findall(r"\x1b\[([0-9;]*)m", out.getvalue()))
    assert codes <= {"0", "1", "7", "1;7"}
    density = "".join(without_codes(out.getvalue()).split("\n")[12:15])
    assert set("WR123░") <= set(density)


@pytest.mark.parametrize("palette", PALETTES.values(), ids=PALETTES)
def test_stage_colours_stay_apart_on_terminals_of_few_colours(palette: Palette) -> None:
    for system in (ColorSystem.STANDARD, ColorSystem.EIGHT_BIT):
        shown = {Color.parse(c).downgrade(system).number for c in palette.stages.values()}
        assert len(shown) == len(STAGES) + 1


def test_an_ascii_terminal_gets_ascii() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    console = Console(file=out, width=80, force_terminal=True)
    look = Look.of(console)
    assert not look.unicode
    console.print(render(night_state(830), 80, 24, look))
    console.print(summary(night_state(830), look))
    out.flush()
    assert b"[[ R ]]" in raw.getvalue()


def test_columns_hold_the_same_whole_number_of_epochs() -> None:
    assert epochs_per_column(74, 74) == 1
    assert epochs_per_column(75, 74) == 2
    assert epochs_per_column(0, 74) == 1
    w, n1, n2 = Stage.W, Stage.N1, Stage.N2
    assert column_stages([w, n1, n2], 1) == [w, n1, n2]
    assert column_stages([w, n1, n1, w, None, None, n2], 3) == [n1, None, n2]
    # On a tie, the stage that occurs latest.
    assert column_stages([w, n1, n2, n2, w, w], 4) == [n2, w]
    assert column_stages([n1, w], 2) == [w]


def test_a_finished_column_never_changes() -> None:
    night = night_stages()
    whole = column_stages(night, 6)
    for n_epochs in range(6, len(night), 17):
        done = n_epochs // 6
        assert column_stages(night[:n_epochs], 6)[:done] == whole[:done]


def test_column_shares_count_unscored_epochs_as_unscored() -> None:
    shares = column_shares(
        [prediction(0, Stage.N2), prediction(1, None), prediction(2, Stage.R)], 2
    )
    assert shares.shape == (2, 6)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert shares[0, 5] == pytest.approx(0.5)
    assert shares[1, 5] == 0.0


def test_the_hypnogram_is_a_line_in_the_order_of_the_manual() -> None:
    canvas = Canvas(8, 5)
    stages = [Stage.W, Stage.W, Stage.N2, Stage.N3, None, Stage.R, Stage.R, Stage.N1]
    draw_hypnogram(canvas, 0, 0, 1, stages, PLAIN)
    assert lines_on(canvas) == [
        "━━┓ ░   ",
        "  ┃ ░━━┓",
        "  ┃ ░  ┗",
        "  ┗┓░   ",
        "   ┗░   ",
    ]


def test_the_trace_shows_a_gap_as_a_gap() -> None:
    signal = np.zeros(3000, np.float32)
    signal[1500:1800] = np.nan
    canvas = Canvas(30, 1)
    draw_trace(canvas, 0, 0, 30, 1, signal, PLAIN)
    (line,) = lines_on(canvas)
    assert line[15:18] == "░░░"
    assert "░" not in line[:15] + line[18:]
    assert set(line[:15]) == {line[0]}


def test_the_scale_is_round_and_steady_under_a_short_spike() -> None:
    signal = np.full(3000, 40.0, np.float32)
    signal[:10] = 900.0
    assert scale_uv(signal) == 50.0
    assert scale_uv(np.full(3000, np.nan, np.float32)) == 50.0


def test_the_spectrogram_is_power_density_in_its_band() -> None:
    time_s = np.arange(3000) / 100.0
    sine = (20.0 * np.sin(2 * np.pi * 11.0 * time_s)).astype(np.float32)
    sine[:300] = np.nan
    db = spectrogram_db(sine, 30, 15)  # bands of 2 Hz; 200 uV^2 in one of them
    assert np.isnan(db[:, :3]).all()
    assert np.isfinite(db[:, 5:]).all()
    assert (db[:, 5:].argmax(axis=0) == 5).all()
    np.testing.assert_allclose(db[5, 5:], 10 * np.log10(100.0), atol=0.5)


def test_a_strange_night_does_not_break_the_frame() -> None:
    empty = np.zeros(0, np.float32)
    session = replace(night_state(1).session, derivation="眠り\tEEG" * 9, source="x" * 300)
    state = night_state(
        5, recent_uv=empty, quality=None, session=session, delivery=Delivery(None, False, 0, 0)
    )
    for width, height in SIZES:
        lines = lines_of(state, width, height)
        assert {cell_len(line) for line in lines} == {width}


@pytest.mark.parametrize("width", [40, 80, 130])
def test_the_summary_has_the_whole_night_with_definitions(width: int) -> None:
    state = night_state(ended=True)
    text = without_codes(printed(summary(state, Look(timezone=UTC)), width))
    assert all(cell_len(line) <= width for line in text.split("\n"))
    for words in ("878 epochs", "SE", "TST / TRT", "mains 7.0 min", "2,634,000 = "):
        assert words in text
    if width >= 80:
        assert "wake, sleep onset to the last sleep epoch" in text


def test_an_svg_needs_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "dashboard.svg"
    to_svg(night_state(830), path, 80, 24, Look(timezone=UTC))
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<svg")
    assert ">sure<" in text
    assert "http" not in text.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "@font-face" not in text
