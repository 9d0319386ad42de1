"""The page of one night."""

from __future__ import annotations

from models.contract import Stage
from monitor.report.colours import stage_colour
from monitor.report.markup import Markup, element
from monitor.report.network import KnownNetwork
from monitor.report.picture import NARROW, WIDE, night_picture
from monitor.report.reported import ReportedNight
from monitor.report.research import expert_section, statistics_section
from monitor.report.sections import (
    certainty_section,
    happenings_section,
    hours_table,
    origin_section,
    unscored_section,
)
from monitor.report.style import both_widths, fact, page
from monitor.report.summary import notices, sentences, title
from monitor.report.words import minutes_text, number_text

NO_DEVICE = (
    "This is not a medical device. The stages are made by a program from a few electrodes; do not "
    "use them to diagnose or treat anything."
)


def night_page(night: ReportedNight, network: KnownNetwork | None) -> str:
    """Return the report of ``night`` as a whole HTML page."""
    heading = title(night)
    details = element(
        "details",
        element("summary", "The picture as a table"),
        hours_table(night),
    )
    return page(
        heading,
        element("header", element("h1", heading), element("p", _when(night), class_="quiet")),
        [element("p", text, class_="notice") for text in notices(night)],
        element("p", " ".join(sentences(night)), class_="lead"),
        _facts(night),
        both_widths(
            night_picture(night, WIDE, "wide"), night_picture(night, NARROW, "narrow"), _caption()
        ),
        details,
        happenings_section(night),
        unscored_section(night),
        statistics_section(night),
        certainty_section(night, network),
        expert_section(night),
        origin_section(night),
        element("footer", element("p", NO_DEVICE)),
    )


def _when(night: ReportedNight) -> str:
    zone = (
        f"Times are local ({night.start.tzname()})."
        if night.record.is_live
        else "Times are those of the recording's own clock."
    )
    if night.record.is_live and night.start.utcoffset() != night.end.utcoffset():
        zone = (
            f"Times are local, {night.start.tzname()} and then {night.end.tzname()}: the clocks "
            "changed in this night."
        )
    return f"{night.start:%H:%M} to {night.end:%H:%M}, {night.record.session.source}. {zone}"


def _facts(night: ReportedNight) -> Markup:
    s = night.statistics
    none = not s.tst_min
    return element(
        "dl",
        fact("Asleep", minutes_text(None if none else s.tst_min)),
        fact("Falling asleep", "at once" if s.sol_min == 0 else minutes_text(s.sol_min)),
        fact("Deep sleep", minutes_text(s.n3_min), stage_colour(Stage.N3)),
        fact("Dream sleep", minutes_text(s.r_min), stage_colour(Stage.R)),
        fact("Lay awake", minutes_text(s.waso_last_sleep_min), stage_colour(Stage.W)),
        fact("Share asleep", number_text(s.se_percent, " %", 0)),
        class_="facts",
    )


def _caption() -> str:
    return (
        "From the top: the stages, awake at the top and deep sleep at the bottom; how probable "
        "each stage was, stacked in the same order; the power of the brain waves, brighter is "
        "stronger; the electrodes, a high bar is good contact, a low one is no contact. Hatched: "
        "not scored, or no signal. Dashed lines with numbers: marks and events, listed below."
    )
