"""Stored nights as a person lists, shows and deletes them."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from monitor.errors import InputError
from monitor.night.schema import SCHEMA_VERSION
from monitor.night.store import NightStore
from monitor.sinks.stored_nights import delete_nights, list_nights, show_night
from monitor.types import Mark, MarkKind
from tests.night.stored import store_night

EVENING = datetime(2026, 11, 26, 22, 10, tzinfo=UTC)
NOON = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


pytestmark = pytest.mark.usefixtures("berlin")  # the time of `tests.night.stored.HOME`


def paper() -> Console:
    return Console(file=io.StringIO(), width=120)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def listed(folder: Path) -> str:
    list_nights(console := paper(), folder)
    return text(console)


def shown(folder: Path, name: str = "last", now_utc: datetime = NOON) -> str:
    show_night(console := paper(), folder, name, now_utc)
    return text(console)


def test_the_list_has_a_row_for_each_night_and_the_room_they_take(tmp_path: Path) -> None:
    store_night(tmp_path, "2026-11-26 23:10", n_epochs=120)
    store_night(tmp_path, "2026-11-27 00:40", ended=False)
    store_night(tmp_path, "2026-11-25 22:00", n_epochs=4)
    replayed = store_night(tmp_path, "1999-05-01 23:00", live=False)
    found = listed(tmp_path)
    rows = [" ".join(line.split()) for line in found.splitlines()]
    replays, nights = rows.index("Replays"), rows.index("Nights")
    assert rows[replays + 2].startswith("1999-05-01 23:00 0.3 h 20 min 00 s 100% ended ")
    assert rows[replays + 2].endswith(f"test {replayed.stem}")
    assert rows[nights + 2].startswith("2026-11-25 22:00 0.0 h 2 min 00 s 100% ended (test)")
    assert rows[nights + 3].startswith("2026-11-26 23:10 1.0 h 1 h 00 min 100% ended ")
    assert rows[nights + 4].startswith("2026-11-26 00:40 0.3 h 20 min 00 s 100% broke off ")
    # Two nights have one date: their files name them.
    assert "2026-11-27-004000-muse" in rows[nights + 4]
    assert rows[-1].startswith("3 nights and 1 replay, ")
    assert rows[-1].endswith(f"MB in {tmp_path}")


def test_a_row_says_that_a_night_goes_on_or_cannot_be_read(tmp_path: Path) -> None:
    path = store_night(tmp_path, "2026-11-26 23:10", "anna", ended=False)
    old = store_night(tmp_path, "2026-11-20 23:10", "anna")
    with closing(sqlite3.connect(old)) as other:
        other.execute("PRAGMA user_version = 3")
    with closing(NightStore.open(path)):
        found = listed(tmp_path)
    assert "goes on now" in found and "anna" in found
    assert "cannot be read" in found
    assert f"{old} has night-store format 3, this version reads format {SCHEMA_VERSION}" in found


def test_without_a_night_the_list_says_how_to_begin_one(tmp_path: Path) -> None:
    found = listed(tmp_path / "nights")
    assert f"No night is stored in {tmp_path / 'nights'} yet" in found
    assert "sleep-monitor live lsl" in found and "sleep-monitor demo --keep" in found
    assert not (tmp_path / "nights").exists()


def test_a_night_is_shown_with_its_marks_in_local_time(tmp_path: Path) -> None:
    marks = [
        Mark(MarkKind.LIGHTS_OFF, EVENING + timedelta(minutes=2)),
        Mark(MarkKind.NOTE, EVENING + timedelta(minutes=5), "a cat on the bed"),
    ]
    path = store_night(tmp_path, "2026-11-26 23:10", "anna", marks=marks)
    found = shown(tmp_path)
    assert found.startswith("Night of Thursday 26 November 2026, 23:10 to 23:30, anna\n")
    assert "40 epochs, 23:10:00 to 23:30:00" in found
    assert "lights off to recording end" in found
    assert " marks     23:12:00  lights off\n" in found
    assert '           23:15:00  "a cat on the bed"\n' in found
    assert "events    not sent anywhere" in found
    assert f" file      {path}" in found
    assert "It " not in found


def test_published_events_are_counted(tmp_path: Path) -> None:
    path = store_night(tmp_path, "2026-11-26 23:10")
    with closing(NightStore.open(path)) as store:
        store.mark_published(1, EVENING)
    assert " events    1 published, 1 not published" in shown(tmp_path)


def test_a_replay_shows_the_clock_of_the_recording(tmp_path: Path) -> None:
    store_night(tmp_path, "2026-11-26 23:10", live=False)
    found = shown(tmp_path)
    assert found.startswith("Replay of test: Thursday 26 November 2026, 23:10 to 23:30\n")


def test_an_unfinished_night_says_so(tmp_path: Path) -> None:
    path = store_night(tmp_path, "2026-11-26 23:10", ended=False)
    assert "It broke off at 23:30, and was not ended in order.\n" in shown(tmp_path)
    found = shown(tmp_path, now_utc=EVENING + timedelta(hours=1))
    assert "The command that began it continues it until 03:30." in found
    with closing(NightStore.open(path)):
        assert "It goes on now: these are the numbers of its epochs up to 23:30." in shown(tmp_path)


def test_a_damaged_night_says_what_is_lost(tmp_path: Path) -> None:
    path = store_night(tmp_path, "2026-11-26 23:10")
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE epoch SET reason = 'flat' WHERE epoch_index = 3")
    found = shown(tmp_path)
    assert "Its file is damaged: 1 of 40 epochs are lost, and count as unscored." in found
    assert "unscored  missing 0.5 min" in found


def test_a_name_in_a_file_cannot_change_the_terminal(tmp_path: Path) -> None:
    store_night(tmp_path, "2026-11-26 23:10", "an\x1b[2Jna", name="n.sqlite")
    assert "\x1b" not in listed(tmp_path) + shown(tmp_path)


def test_delete_says_what_goes_and_asks(tmp_path: Path) -> None:
    path = store_night(tmp_path, "2026-11-26 23:10", "anna")
    kept = store_night(tmp_path, "2026-11-27 23:10", "anna")
    for suffix in ("-wal", "-shm", ".lock"):
        path.with_name(path.name + suffix).touch()
    questions: list[str] = []

    def answer(yes: bool, question: str) -> bool:
        questions.append(question)
        return yes

    delete_nights(console := paper(), tmp_path, ["2026-11-26"], lambda q: answer(False, q))
    assert "Night of 2026-11-26, began 23:10, 20 min 00 s, anna, test\n" in text(console)
    assert f"  {path}  " in text(console)
    assert text(console).endswith("Nothing was deleted.\n")
    assert path.exists()
    assert questions[0].startswith("Delete 1 night (") and questions[0].endswith(" kB) for ever?")

    delete_nights(
        console := paper(), tmp_path, ["2026-11-26", path.stem], lambda q: answer(True, q)
    )
    assert "Deleted 1 night" in text(console)
    assert list(tmp_path.iterdir()) == [kept]


def test_delete_refuses_before_anything_is_deleted(tmp_path: Path) -> None:
    old = store_night(tmp_path, "2026-11-25 23:10")
    path = store_night(tmp_path, "2026-11-26 23:10", ended=False)
    (other := tmp_path / "letter.sqlite").write_text("not a night")
    (link := tmp_path / "link.sqlite").symlink_to(old)
    with closing(NightStore.open(path)):
        for name, words in (
            ("2026-11-26", "goes on now: end the monitor that writes it"),
            ("letter.sqlite", "is not the file of a night"),
            ("link", f"is a link to {old}"),
            ("2025-01-01", "there is no night '2025-01-01'"),
            (str(tmp_path / "gone.sqlite"), "there is no file"),
            (str(tmp_path), "is not a file"),
        ):
            with pytest.raises(InputError, match=words):
                delete_nights(paper(), tmp_path, ["2026-11-25", name], lambda question: True)
    assert old.exists() and other.exists() and link.is_symlink() and path.exists()


def test_a_recording_without_a_date_has_none_in_the_list(tmp_path: Path) -> None:
    store_night(tmp_path, "1985-01-01 00:10", live=False)
    assert "1984" not in listed(tmp_path) and "1985" not in listed(tmp_path).partition(" file ")[0]
    assert "no date known, 00:10 to 00:30" in shown(tmp_path)
