"""Rules tried on recorded nights: the table, the page, and the command."""

from __future__ import annotations

import io
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from monitor.night.events import rule_event
from monitor.night.store import NightStore
from monitor.rules.try_page import try_page
from monitor.rules.try_words import print_tried, sentence
from monitor.rules.trying import TriedNight, try_rules
from tests.commands import run
from tests.nights import EXCERPT
from tests.report.stored_night import read_page, store_stages, words
from tests.rules.scripted import BERLIN, rule

ELEVEN = datetime(2026, 11, 26, 22, 0, tzinfo=UTC)
"""23:00 in Berlin."""

NIGHT = "W" * 20 + "2" * 60 + "3" * 60 + "?" * 20 + "R" * 40 + "3" * 760 + "2" * 60

RULES = """
[[rule]]
name = "wake"
stage = ["light", "rem"]
between = ["06:30", "07:00"]
latest = "07:00"
command = ["true"]

[[rule]]
name = "cue"
stage = "N3"
every = "5 min"
cap = 10
sham = 0.5
seed = 7
command = ["true"]
"""


@pytest.fixture
def night(tmp_path: Path) -> Path:
    return store_stages(tmp_path / "night.sqlite", NIGHT, start=ELEVEN)


def tried(night: Path) -> TriedNight:
    wake = rule(name="wake", stage="light", between=["06:30", "07:00"], latest="07:00")
    cue = rule(name="cue", stage="N3", every="5 min", cap=10, sham=0.5, seed=7)
    return try_rules([wake, cue, rule(name="never", stage="N1")], night, BERLIN)


def test_when_each_rule_would_have_fired(night: Path) -> None:
    made = tried(night)
    wake, cue, never = made.rules
    (rung,) = made.occasions(wake)
    assert f"{made.when(rung.time_utc):%H:%M}" == "07:00"
    assert len(made.occasions(cue)) == 10
    assert sentence(made, never) == "never: does not fire: its conditions never hold"
    assert sentence(made, cue).startswith("cue: fires 10 times, ")
    assert sentence(made, cue).endswith(" of them sham; held back: cap (1)")


def test_a_night_that_ends_before_the_alarm_says_so(tmp_path: Path) -> None:
    night = store_stages(tmp_path / "night.sqlite", "3" * 100, start=ELEVEN)
    made = tried(night)
    assert sentence(made, made.rules[0]) == (
        "wake: does not fire: the night ends before its latest time, 07:00"
    )


def test_the_table_names_time_rule_and_epoch(night: Path) -> None:
    out = io.StringIO()
    print_tried(Console(file=out, width=100), tried(night))
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert "2026-11-26, 23:00 to 07:30, night.sqlite" in out.getvalue()
    assert ["07:00:00", "wake", "fires", "its", "latest", "time", "958"] in lines


def test_the_page_has_a_picture_with_a_lane_for_each_rule(night: Path, tmp_path: Path) -> None:
    path = tmp_path / "rules.html"
    path.write_text(try_page([tried(night)]), encoding="utf-8")
    page = read_page(path)
    svg = "{http://www.w3.org/2000/svg}"
    pictures = list(page.iter(f"{svg}svg"))
    assert len(pictures) == 2
    for picture in pictures:
        texts = [words(each) for each in picture.iter(f"{svg}text")]
        assert {"wake", "cue", "never"} <= set(texts)
        styles = [each.get("style", "") for each in picture.iter(f"{svg}path")]
        triangles = [style for style in styles if "stroke-width:1.2" in style]
        assert len(triangles) == 11
    assert "cue: fires 10 times" in words(page)


def test_the_rules_that_ran_in_the_night_do_not_count_again(night: Path) -> None:
    made = tried(night)
    events = [rule_event(made.record.session, 0, each) for each in made.decisions]
    with closing(NightStore.open(night, durable=False)) as store:
        last = store.last_sequence()
        store.write([replace(e, sequence=last + 1 + n) for n, e in enumerate(events)])
    assert tried(night).decisions == made.decisions


def test_a_rule_of_another_sleeper_is_left_out(tmp_path: Path) -> None:
    night = store_stages(tmp_path / "night.sqlite", "22", start=ELEVEN, sleeper="anna")
    made = try_rules([rule(sleeper="ben", stage="N2"), rule(name="b", stage="N2")], night)
    assert [each.name for each in made.rules] == ["b"]


@pytest.fixture
def folder(night: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder, with a night and a file of rules."""
    monkeypatch.chdir(night.parent)
    for kind in ("CONFIG", "DATA"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(night.parent))
    (night.parent / "rules.toml").write_text(RULES, encoding="utf-8")
    (night.parent / "empty.toml").write_text("", encoding="utf-8")
    return night.parent


def test_the_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("rules.toml", "night.sqlite", EXCERPT)
    assert run("rules", "try", *arguments, monkeypatch=monkeypatch) == 0
    output = capsys.readouterr().out
    assert output.splitlines()[-1] == "rules.html"
    assert "00:00 to 01:23, excerpt" in output
    assert "cue: fires 10 times" in words(read_page(folder / "rules.html"))
    assert (folder / "rules.html").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rules.toml", "nothing.sqlite"], "nothing.sqlite"),
        (["rules.toml", "last"], "there is no night 'last'"),
        (["rules.toml", "night.sqlite", "--out", "page.txt"], "name a file that ends in .html"),
        (["rules.toml", "night.sqlite", "--out", "no/page.html"], "there is no folder no"),
        (["empty.toml"], "empty.toml has no rule: begin one with a line [[rule]]"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    arguments: list[str],
    message: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("rules", "try", *arguments, monkeypatch=monkeypatch) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not list(folder.glob("*.html"))


def test_eight_hours_are_tried_in_a_second_or_two(tmp_path: Path) -> None:
    night = store_stages(tmp_path / "night.sqlite", "23" * 480, start=ELEVEN)
    began_s = time.perf_counter()
    made = try_rules(
        [rule(name=str(n), stage="N2", between=["01:00", "02:00"]) for n in range(10)]
        + [rule(name="t", electrode_off="5 min")],
        night,
        UTC,
    )
    assert time.perf_counter() - began_s < 5.0
    assert made.record.end_utc - ELEVEN == timedelta(hours=8)
