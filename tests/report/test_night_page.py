"""The page of a night: its words, its numbers, and that everybody can read it."""

from __future__ import annotations

import io
import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from models.card import default_weights, read_contract
from models.contract import Gain
from monitor.errors import InputError
from monitor.night.store import NightStore
from monitor.report import make_in_time, make_report
from monitor.sinks.stored_nights import delete_nights
from monitor.types import Mark, MarkKind
from tests.report.stored_night import (
    MADE,
    SVG,
    XHTML,
    elements,
    report_of,
    rows,
    store_stages,
    words,
)

START = datetime(2026, 11, 26, 22, 0, tzinfo=UTC)
NIGHT = "WWWW" + "1" * 2 + "2" * 40 + "3" * 20 + "WW" + "2" * 20 + "R" * 12 + "WW"


@pytest.fixture
def night(tmp_path: Path) -> Path:
    return store_stages(tmp_path / "night.sqlite", NIGHT)


def test_the_page_begins_in_plain_words(night: Path) -> None:
    page = report_of(night)
    (lead,) = [each for _, each in elements(page) if each.get("class") == "lead"]
    assert words(lead).startswith(
        "You slept 47 min, and fell asleep within 2 min after the recording began. Of the sleep, "
        "10 min were deep sleep, 6 min were dream sleep and 31 min were light sleep. You woke up "
        "1 time in between, and lay awake for 1 min."
    )


def test_every_statistic_has_its_name_value_and_meaning(night: Path) -> None:
    page = report_of(night)
    statistics = rows(page, "Sleep statistics")
    assert statistics["TST"] == ["47.0 min", "total sleep time: N1, N2, N3 and R"]
    assert statistics["TRT"][1] == "total recording time: the whole recording"
    assert statistics["WASO (AASM)"][0] == "2.0 min"
    assert statistics["WASO (last sleep)"][0] == "1.0 min"
    assert statistics["SME"][0] == "97.9 %"
    assert rows(page, "Stages")["R (dream sleep)"] == ["6.0 min", "12.8 %"]
    assert rows(page, "Sleep cycles") == {"1": ["22:02", "48 min", "6 min"]}
    assert rows(page, "The next stage")["N3"] == ["5 %", "0 %", "0 %", "95 %", "0 %", "20"]


def test_undefined_numbers_are_called_so(tmp_path: Path) -> None:
    page = report_of(store_stages(tmp_path / "awake.sqlite", "W" * 30))
    assert "No sleep was found in this night." in words(page)
    assert rows(page, "Sleep statistics")["SOL"][0] == "not defined"


@pytest.mark.parametrize("stages", ["?", "2", "?" * 30, "W?"])
def test_the_shortest_nights_have_a_page(tmp_path: Path, stages: str) -> None:
    page = report_of(store_stages(tmp_path / "short.sqlite", stages))
    assert "not a medical device" in words(page)


def test_everything_is_in_the_file(night: Path) -> None:
    for name, element in elements(report_of(night)):
        assert name not in ("script", "link", "iframe", "object")
        for key in ("src", "href"):
            assert element.get(key, "data:").startswith(("data:", "#")), name
    text = night.with_suffix(".html").read_text(encoding="utf-8")
    assert "url(http" not in text
    assert "@import" not in text


def test_everybody_can_read_the_page(night: Path) -> None:
    page = report_of(night)
    assert page.get("lang") == "en"
    levels = [int(name[1]) for name, _ in elements(page) if name in ("h1", "h2", "h3")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = [each.get("id") for _, each in elements(page) if each.get("id")]
    assert len(ids) == len(set(ids))
    pictures = list(page.iter(f"{SVG}svg"))
    assert len(pictures) == 2  # for a desktop and for a phone
    for picture in pictures:
        assert picture.get("role") == "img"
        names = (picture.get("aria-labelledby") or "").split()
        named = [each for each in picture if each.get("id") in names]
        assert [each.tag for each in named] == [f"{SVG}title", f"{SVG}desc"]
        assert all(words(each) for each in named)
    for table in page.iter(f"{XHTML}table"):
        assert table.find(f"{XHTML}caption") is not None
        assert all(head.get("scope") in ("col", "row") for head in table.iter(f"{XHTML}th"))
    assert rows(page, "The picture in numbers")["22:00"][0] == "2"  # minutes awake


def test_names_from_outside_are_no_markup(tmp_path: Path) -> None:
    evil = '</svg><script>alert("1")</script>&'
    path = store_stages(
        tmp_path / "evil.sqlite",
        NIGHT,
        marks=[Mark(MarkKind.NOTE, START + timedelta(minutes=9), f"note {evil}\x07")],
        sleeper=f"sleeper {evil}",
        source=f"source {evil}",
        channels=(f"channel {evil}",),
    )
    page = report_of(path)
    assert not list(page.iter(f"{XHTML}script"))
    for name in ("sleeper", "source", "channel"):
        assert f"{name} {evil}" in words(page)
    assert f"note {evil}?" in words(page)


def test_marks_and_events_are_numbered_and_listed(tmp_path: Path) -> None:
    marks = [
        Mark(MarkKind.LIGHTS_OFF, START + timedelta(seconds=60)),
        Mark(MarkKind.NOTE, START + timedelta(minutes=20), "thunder"),
    ]
    page = report_of(store_stages(tmp_path / "marks.sqlite", NIGHT, marks=marks))
    assert rows(page, "Numbered") == {
        "1": ["22:01:00", "Lights off"],
        "2": ["22:20:00", "Note: thunder"],
    }
    assert "lights off to recording end" in rows(page, "Sleep statistics")["TRT"][1]
    assert "within 1 min after the lights went off" in words(page)


def test_what_was_not_scored_has_its_reason(tmp_path: Path) -> None:
    page = report_of(store_stages(tmp_path / "flat.sqlite", "2" * 30 + "?" * 10))
    found = rows(page, "Time without a stage")
    assert list(found.values()) == [["5 min", "25.0 %"]]
    assert next(iter(found)).startswith("the signal was flat")
    assert rows(page, "Contact")["EEG"] == ["75 %", "0 %", "25 %"]


def test_a_night_that_was_not_ended_is_called_so(tmp_path: Path) -> None:
    page = report_of(store_stages(tmp_path / "broken.sqlite", NIGHT, ended=False))
    assert "not ended in order: it broke off at 22:51" in words(page)


def test_a_night_that_goes_on_has_a_report(tmp_path: Path) -> None:
    path = store_stages(tmp_path / "now.sqlite", NIGHT, ended=False)
    with closing(NightStore.open(path)):
        page = report_of(path)
    assert "This night goes on. The report was made at 08:00" in words(page)


def test_a_damaged_night_is_called_so(night: Path) -> None:
    with closing(sqlite3.connect(night)) as other, other:
        other.execute("UPDATE epoch SET signal_uv = zeroblob(12000) WHERE epoch_index IN (7, 8)")
        other.execute("UPDATE session SET gain = 'other'")
    page = report_of(night)
    assert "2 epochs (1 min) could not be read" in words(page)
    assert "(its session was changed)" in words(page)
    assert rows(page, "Time without")["the night's file is damaged"] == ["1 min", "2.0 %"]


def test_hours_are_those_of_the_wall_clock(tmp_path: Path) -> None:
    """The clocks of Berlin went back at 03:00 of that night: 02:30 comes twice."""
    start = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    path = store_stages(tmp_path / "autumn.sqlite", "2" * 120, start=start)
    page = report_of(path, timezone=ZoneInfo("Europe/Berlin"))
    assert "02:30 to 02:30" in words(page)  # an hour later
    assert "CEST and then CET" in words(page)
    assert "clocks back 1 h" in words(page)


def test_a_replay_has_the_clock_of_its_recording(tmp_path: Path) -> None:
    path = store_stages(tmp_path / "replay.sqlite", NIGHT, is_live=False)
    page = report_of(path, timezone=None)
    assert "22:00 to 22:51" in words(page)
    assert "recording's own clock" in words(page)
    assert "The sleeper slept" in words(page)


def test_the_network_is_named_with_what_is_known_of_it(tmp_path: Path) -> None:
    contract = read_contract(default_weights(Gain.KNOWN))
    model, sha256 = contract.full_name, contract.weights_sha256
    page = report_of(
        store_stages(tmp_path / "known.sqlite", NIGHT, model=model, weights_sha256=sha256)
    )
    origin = rows(page, "Where these numbers")
    assert origin["Its weights"] == [f"SHA-256 {sha256}"]
    assert (origin["Network"], origin["Gain"]) == ([model], ["known"])
    assert "81 of 100 epochs had the stage that an expert gave" in words(page)
    assert "On other signals, a headband's among them, it does worse" in words(page)


def test_other_weights_have_no_figures(night: Path) -> None:
    assert "How good this network is, is not known here" in words(report_of(night))


def test_only_the_user_can_read_a_report(night: Path, tmp_path: Path) -> None:
    picture = tmp_path / "night.svg"
    make_report([str(night)], tmp_path, MADE, picture=picture)
    for path in (night.with_suffix(".html"), picture):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ElementTree.parse(picture).getroot().tag == f"{SVG}svg"


def test_a_report_replaces_reports_only(night: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.html"
    other.write_bytes(night.read_bytes())
    for out, wrong in (
        (other, "is a file of another kind"),
        (night, "name a file that ends in .html"),
        (tmp_path / "no" / "page.html", "there is no folder"),
    ):
        before = night.read_bytes()
        with pytest.raises(InputError, match=wrong):
            make_report([str(night)], tmp_path, MADE, out=out)
        assert night.read_bytes() == before
    (page,) = make_report([str(night)], tmp_path, MADE, out=tmp_path)
    assert make_report([str(night)], tmp_path, MADE) == [page] == [night.with_suffix(".html")]


def test_a_night_without_an_epoch_has_nothing_to_report(tmp_path: Path) -> None:
    path = store_stages(tmp_path / "empty.sqlite", "")
    with pytest.raises(InputError, match="has no epoch yet"):
        make_report([str(path)], tmp_path, MADE)


def test_the_end_of_a_night_never_fails_for_its_report(
    night: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = tmp_path / "other.sqlite"
    other.write_text("no night")
    made = make_in_time([other, night], MADE, limit_s=30.0)
    assert made == {night: night.with_suffix(".html")}
    assert f"The report of {other} was not made" in caplog.text
    assert make_in_time([night], MADE, limit_s=0.0) == {}


def test_waking_up_beside_a_gap_counts(tmp_path: Path) -> None:
    page = report_of(store_stages(tmp_path / "gap.sqlite", "2" * 9 + "??WW?" + "2" * 9 + "W"))
    assert "You woke up 1 time in between, and lay awake for 1 min." in words(page)


def test_a_night_is_deleted_with_its_page(night: Path) -> None:
    (page,) = make_report([str(night)], night.parent, MADE)
    other = night.with_name("other.html")
    other.write_text("<!DOCTYPE html> of somebody else")
    store_stages(night.with_name("other.sqlite"), "W2")
    out = Console(file=io.StringIO(), width=200)
    names = [str(night), str(night.with_name("other.sqlite"))]
    delete_nights(out, night.parent, names, lambda question: True)
    assert (page.exists(), other.exists()) == (False, True)
