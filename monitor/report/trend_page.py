"""The page of several nights."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from monitor.report.markup import Markup, element
from monitor.report.night_page import NO_DEVICE
from monitor.report.picture import NARROW, WIDE
from monitor.report.style import both_widths, page, section, table
from monitor.report.summary import bounds_text
from monitor.report.trend import TrendNight, regularity, trend_sentences
from monitor.report.trend_pictures import legend, stages_picture, times_picture
from monitor.report.words import count_text, dates_text, minutes_text, number_text


def trend_page(nights: Sequence[TrendNight], left_out: Sequence[str], made: datetime) -> str:
    """Return the report of ``nights``, oldest first, as a whole HTML page.

    ``left_out``: why each of the nights that could not be read is not on it.
    """
    sleepers = sorted({night.sleeper for night in nights if night.sleeper})
    of_whom = f" of {sleepers[0]}" if len(sleepers) == 1 else ""
    heading = f"{count_text(len(nights), 'night')}{of_whom}, {_dates(nights)}"
    notices = [f"A night was left out: {reason}." for reason in left_out]
    if len(sleepers) > 1:
        notices.append(
            f"These are the nights of {count_text(len(sleepers), 'person', 'people')} "
            f"({', '.join(sleepers)}): averages and regularity mean little. Name the nights of one."
        )
    return page(
        heading,
        element("header", element("h1", heading)),
        [element("p", text, class_="notice") for text in notices],
        element("p", " ".join(trend_sentences(nights)), class_="lead"),
        section("When you slept", _figure(times_picture, nights, "times"), legend()),
        section("How long you slept", _figure(stages_picture, nights, "stages")),
        section("Every night in numbers", _numbers(nights)),
        _regularity(nights),
        element(
            "footer",
            element(
                "p", f"Made on {made:%Y-%m-%d} at {made:%H:%M} by sleep-monitor.", " ", NO_DEVICE
            ),
        ),
    )


def _dates(nights: Sequence[TrendNight]) -> str:
    first, last = (
        datetime.combine(n.evening, datetime.min.time()) for n in (nights[0], nights[-1])
    )
    return dates_text(first, last)


def _figure(draw: object, nights: Sequence[TrendNight], name: str) -> Markup:
    assert callable(draw)
    desk, phone = draw(nights, WIDE, f"{name}-wide"), draw(nights, NARROW, f"{name}-narrow")
    caption = {
        "times": "A row for each night, named by its evening. Low and grey: awake, or not scored.",
        "stages": "A bar for each night: deep, light, lightest and dream sleep.",
    }[name]
    return both_widths(desk, phone, caption)


def _numbers(nights: Sequence[TrendNight]) -> Markup:
    rows: list[list[object]] = []
    for night in nights:
        s = night.statistics
        day = night.evening
        who = f", {night.sleeper}" if night.sleeper else ""
        rows.append(
            [
                f"{day:%a} {day.day} {day:%b}{who}",
                f"{night.bed:%H:%M}",
                f"{night.up:%H:%M}",
                minutes_text(s.tst_min) if s.tst_min else "none",
                minutes_text(s.sol_min),
                minutes_text(s.n3_min),
                minutes_text(s.r_min),
                minutes_text(s.waso_last_sleep_min),
                number_text(s.se_percent, " %", 0),
                minutes_text(s.unscored_min),
                "; ".join(filter(None, (bounds_text(s.bounds), night.remark))),
            ]
        )
    columns = ["Evening", "From", "To", "Asleep", "Falling asleep", "Deep", "Dream", "Lay awake"]
    columns += ["Share asleep", "Not scored", "Bounds, remarks"]
    return table("A row for each night", columns, rows, wide=True)


def _regularity(nights: Sequence[TrendNight]) -> Markup:
    found = regularity(nights)
    rows: list[list[object]] = [
        [
            "Sleep Regularity Index",
            number_text(found.index, digits=0),
            "100: asleep and awake at the same times every day; 0: at random times (Phillips et "
            f"al. 2017). Over {count_text(found.n_pairs, 'pair')} of nights that follow one "
            "another. Time outside of the recordings counts as awake; unscored time is left out",
        ],
        [
            "Middle of sleep",
            minutes_text(found.middle_sd_min),
            "standard deviation of the middle between falling asleep and waking up",
        ],
        ["Start", minutes_text(found.bed_sd_min), "standard deviation of the times in From"],
        ["End", minutes_text(found.up_sd_min), "standard deviation of the times in To"],
    ]
    return section(
        "How regular you slept",
        table("Regularity", ["Name", "Value", "Meaning"], rows, numbers=False),
    )
