"""The page of several nights."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from monitor.errors import InputError
from monitor.report import make_report
from tests.report.stored_night import MADE, SVG, read_page, rows, store_stages, words

NIGHT = "WW" + "2" * 20 + "3" * 10 + "R" * 8 + "WW"


def store_nights(folder: Path, n_nights: int) -> None:
    """Store nights that begin at 23:00, each two minutes later than the one before."""
    for number in range(n_nights):
        start = datetime(2026, 11, 13, 23, 2 * number, tzinfo=UTC) + timedelta(days=number)
        store_stages(folder / f"{number:02d}.sqlite", NIGHT, start=start)


def test_fourteen_nights_are_compared(tmp_path: Path) -> None:
    store_nights(tmp_path, 14)
    (path,) = make_report(["all"], tmp_path, MADE, timezone=UTC)
    assert path == tmp_path / "nights-2026-11-13-to-2026-11-26.html"
    page = read_page(path)
    assert "14 nights, 13 to 26 November 2026" in words(page)
    assert "you slept 19 min on average, between 19 min and 19 min" in words(page)
    table = rows(page, "A row for each night")
    assert len(table) == 14
    assert table["Sat 14 Nov"][:5] == ["23:02", "23:23", "19 min", "1 min", "5 min"]
    regularity = rows(page, "Regularity")
    assert regularity["Sleep Regularity Index"][0] == "99"  # 4 of 1440 minutes differ
    assert "13 pairs of nights" in regularity["Sleep Regularity Index"][1]
    assert regularity["Middle of sleep"][0] == "8 min"
    assert len(list(page.iter(f"{SVG}svg"))) == 4  # two pictures, for a desktop and for a phone


def test_nights_since_a_day(tmp_path: Path) -> None:
    store_nights(tmp_path, 4)
    (path,) = make_report(["all"], tmp_path, MADE, timezone=UTC, since=date(2026, 11, 15))
    assert path.name == "nights-2026-11-15-to-2026-11-16.html"
    with pytest.raises(InputError, match=r"no live night is stored in .* since 2027-01-01"):
        make_report(["all"], tmp_path, MADE, since=date(2027, 1, 1))


def test_a_night_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    store_nights(tmp_path, 2)
    wrong = tmp_path / "wrong.sqlite"
    wrong.write_text("no night")
    names = [str(tmp_path / "00.sqlite"), str(wrong), str(tmp_path / "01.sqlite")]
    (path,) = make_report(names, tmp_path, MADE, timezone=UTC, out=tmp_path / "page.html")
    assert f"A night was left out: {wrong}" in words(read_page(path))
    with pytest.raises(InputError, match="none of the 2 nights can be read"):
        make_report([str(wrong), str(tmp_path / "no.sqlite")], tmp_path, MADE)


def test_nights_of_two_people_are_not_averaged_without_a_word(tmp_path: Path) -> None:
    store_nights(tmp_path, 1)
    start = datetime(2026, 11, 14, 23, tzinfo=UTC)
    for name in ("anna", "ben"):
        store_stages(tmp_path / f"{name}.sqlite", NIGHT, start=start, sleeper=name)
    (path,) = make_report(["anna", "ben"], tmp_path, MADE, timezone=UTC)
    assert "the nights of 2 people (anna, ben)" in words(read_page(path))


def test_the_clock_of_each_night_counts(tmp_path: Path) -> None:
    """Between these nights the clocks of Berlin went back: the same UTC is an hour earlier."""
    for day in (24, 25):
        start = datetime(2026, 10, day, 20 + day - 24, 0, tzinfo=UTC)
        store_stages(tmp_path / f"{day}.sqlite", NIGHT, start=start)
    names = [str(tmp_path / "24.sqlite"), str(tmp_path / "25.sqlite")]
    (path,) = make_report(names, tmp_path, MADE, timezone=ZoneInfo("Europe/Berlin"))
    regularity = rows(read_page(path), "Regularity")
    assert regularity["Sleep Regularity Index"][0] == "100"
    assert regularity["Middle of sleep"][0] == "0 min"


def test_an_expert_and_a_picture_belong_to_one_night(tmp_path: Path) -> None:
    store_nights(tmp_path, 2)
    with pytest.raises(InputError, match="belong to one night, and 2 were named"):
        make_report(["all"], tmp_path, MADE, picture=tmp_path / "night.svg")
