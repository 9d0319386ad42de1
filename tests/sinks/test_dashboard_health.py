"""The dashboard of a live night: electrodes, silence, a full disk, derivations, time worn."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta

import pytest
from rich.cells import cell_len

from monitor.night.state import NightState
from monitor.sinks.dashboard import Look, render, summary
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.health import alarm, draw_contacts
from monitor.types import ChannelState, Contact, Reason, SignalState
from tests.sinks.frames import ASCII, PLAIN, SIZES, lines_on, printed
from tests.sinks.night_example import (
    MUSE,
    channel,
    live_state,
    muse_channels,
    night_state,
    silent_state,
)


def lines_of(state: NightState, width: int = 80, height: int = 24, **options: object) -> list[str]:
    look = options.pop("look", PLAIN)
    return lines_on(render(state, width, height, look, **options))


def contacts(channels: tuple[ChannelState, ...], width: int, look: Look = PLAIN) -> str:
    canvas = Canvas(width, 1, look.unicode)
    draw_contacts(canvas, 0, 0, width, channels, look)
    (line,) = lines_on(canvas)
    return line.rstrip()


@pytest.mark.parametrize(("width", "height"), [*SIZES, (1, 1), (20, 5), (40, 12), (79, 23)])
@pytest.mark.parametrize("look", [Look(), PLAIN, ASCII])
def test_a_live_frame_has_exactly_the_requested_size(width: int, height: int, look: Look) -> None:
    for state in (live_state(0), live_state(830, channels=muse_channels()), silent_state(30)):
        lines = lines_of(state, width, height, look=look, status="trying again in 4 s: no adapter")
        assert len(lines) == height
        assert all(cell_len(line) == width for line in lines)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_contact_of_every_electrode_is_on_every_frame(width: int, height: int) -> None:
    text = "\n".join(lines_of(live_state(830, channels=muse_channels()), width, height))
    for words in ("○ TP9 off railed", "● AF7 good", "◐ AF8 poor amplitude", "● TP10 good"):
        assert words in text


def test_contacts_are_described_in_as_many_words_as_fit() -> None:
    channels = muse_channels()
    assert contacts(channels, 90) == (
        "○ TP9 off railed 640 uV  ● AF7 good 31 uV  ◐ AF8 poor amplitude 212 uV  ● TP10 good 28 uV"
    )
    assert contacts(channels, 70) == (
        "○ TP9 off railed  ● AF7 good  ◐ AF8 poor amplitude  ● TP10 good"
    )
    assert contacts(channels, 60) == "○ TP9 off railed  ● AF7  ◐ AF8 poor amplitude  ● TP10"
    assert contacts(channels, 44) == "○ TP9 off  ● AF7  ◐ AF8 poor  ● TP10"
    assert contacts(channels, 30) == "○ TP9  ● AF7  ◐ AF8  ● TP10"
    assert contacts(channels, 18) == "○ TP9  ◐ AF8  +2"
    assert contacts(channels, 2) == "+4"
    assert contacts(channels, 40, ASCII) == "x TP9 off  + AF7  ~ AF8 poor  + TP10"


def test_the_worst_eight_of_many_electrodes_are_shown_in_their_order() -> None:
    channels = [channel(f"E{i}") for i in range(1, 17)]
    channels[11] = channel("E12", Contact.OFF, Reason.FLAT, 0.1)
    line = contacts(tuple(channels), 80)
    assert line == "● E1  ● E2  ● E3  ● E4  ● E5  ● E6  ● E7  ○ E12 off flat  +8"


def test_silence_is_an_alarm_that_counts_the_seconds() -> None:
    state = silent_state()
    assert "no samples for 42 s: check the headband" in lines_of(state)[0]
    later = state.clock_utc + timedelta(seconds=160)
    assert "no samples for 3 min 22 s: check the headband" in lines_of(state, now=later)[0]
    small = lines_of(state, 40, 10)
    assert small[1].startswith("no samples for 42 s: check the headband")
    assert "no samples" not in lines_of(replace(state, ended=True))[0]


def test_the_top_bar_changes_its_colour_for_an_alarm() -> None:
    state = silent_state()
    assert next(render(state, 80, 24, Look()).rows())[0][1].bgcolor != (
        next(render(live_state(830), 80, 24, Look()).rows())[0][1].bgcolor
    )


def test_the_top_bar_shows_that_samples_are_back() -> None:
    lines = lines_of(live_state(830, signal=SignalState.RESTORED))
    assert "samples are back" in lines[0]
    assert any("RESTORED" in line for line in lines)


def test_a_gap_in_a_recording_is_no_alarm() -> None:
    assert alarm(night_state(830, signal=SignalState.LOST), night_state(830).clock_utc) is None


def test_a_full_disk_is_an_alarm() -> None:
    assert "DISK FULL? 3 epochs wait to be stored" in lines_of(live_state(830, unstored=3))[0]
    assert "DISK FULL? 1 epoch waits to be stored" in lines_of(live_state(830, unstored=1))[0]
    both = silent_state(unstored=300)
    assert "no samples for 42 s  DISK FULL? 300 epochs wait  " in lines_of(both)[0]
    assert (
        "check the headband  DISK FULL? 300 epochs wait to be stored"
        in (lines_of(both, 120, 36)[0])
    )


def test_a_derivation_that_is_not_the_preferred_one_is_marked() -> None:
    second = live_state(830, derivations=("AF7-TP10",) * 830)
    text = "\n".join(lines_of(second))
    assert "AF7-TP10, not AF7-TP9" in text
    assert "AF7-TP10, not the preferred AF7-TP9" in "\n".join(lines_of(second, 120, 36))
    assert "not AF7" not in "\n".join(lines_of(live_state(830)))


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 36)])
def test_the_header_shows_when_the_band_was_worn(width: int, height: int) -> None:
    def header(state: NightState) -> str:
        return lines_of(state, width, height)[0]

    assert "worn since 22:36" in header(live_state(830))
    off = tuple(channel(name, Contact.OFF, Reason.FLAT) for name in MUSE)
    assert "worn from 22:36, scored to 05:21" in header(live_state(830, worn=(10, 820)))
    assert "worn 22:36 to 05:21" in header(live_state(830, worn=(10, 820), channels=off))
    assert "on, not yet 5 min scored" in header(live_state(8))
    assert "not worn so far" in header(live_state(8, channels=off))
    assert "worn" not in header(night_state(830))


def test_the_status_of_the_source_is_shown_unless_it_streams() -> None:
    state = live_state(830)
    assert lines_of(state, status="trying again in 4 s: no adapter")[-1].startswith(
        " trying again in 4 s: no adapter"
    )
    assert lines_of(state, status="streaming")[-1].startswith(" Events")
    assert lines_of(state, 120, 36, status="streaming")[0].endswith(" streaming ")


def test_a_replay_has_no_parts_of_a_live_night() -> None:
    text = "\n".join(lines_of(night_state(830)))
    for words in ("contact", "worn", "not the preferred"):
        assert words not in text


def test_the_summary_has_the_time_worn_and_the_derivations_that_were_staged() -> None:
    used = ("AF7-TP9",) * 800 + ("AF7-TP10",) * 78
    state = live_state(ended=True, derivations=used, worn=(10, 870))
    text = printed(summary(state, Look(timezone=UTC)), 80, color_system=None)
    assert "worn      22:36 to 05:46, 860 of 878 epochs" in text
    assert "staged    AF7-TP9 in 786 epochs, AF7-TP10 in 78 epochs" in text
    assert "while the band was worn" in text
    never = printed(summary(live_state(8, ended=True), Look(timezone=UTC)), 80)
    assert "worn      less than 5 min at any time" in never
    whole = printed(summary(night_state(ended=True), Look(timezone=UTC)), 80)
    assert "worn" not in whole
