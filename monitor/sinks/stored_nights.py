"""`sleep-monitor nights`: lists, shows and deletes the files of stored nights."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from monitor.errors import InputError
from monitor.night.catalogue import (
    Condition,
    ListedNight,
    glance,
    listed_nights,
    named_night,
    nights_of_evening,
)
from monitor.night.file_watch import store_files
from monitor.night.listed import NOON
from monitor.night.lock import delete_night, is_being_written
from monitor.night.page import made_page_of
from monitor.night.record import NightRecord, read_night
from monitor.night.statistics import EPOCH_MIN
from monitor.night.stored import RESUME_WITHIN
from monitor.sinks.dashboard import Look, summary
from monitor.sinks.marks import MAX_TEXT
from monitor.sinks.words import age_text, local_time
from monitor.text import clean
from monitor.types import Mark

WIDE = 240
"""Width of the list. A narrow terminal breaks its lines, and loses nothing of them."""

_ALWAYS = ("night", "began", "hours", "asleep", "scored", "state", "size")


def list_nights(console: Console, folder: Path) -> None:
    """Print every night in ``folder``, the newest last, and the room that they take."""
    nights = listed_nights(folder)
    if not nights:
        console.print(
            Text(
                f"No night is stored in {folder} yet.\n"
                "Begin one: sleep-monitor live lsl, or sleep-monitor live brainflow --board "
                "muse_s\n"
                "Try it without a headband: sleep-monitor demo --keep"
            ),
            soft_wrap=True,
        )
        return
    console = Console(file=console.file, width=WIDE, force_terminal=console.is_terminal)
    live = [night for night in nights if night.is_live]
    replays = [night for night in nights if not night.is_live]
    for title, group in (("Replays", replays), ("Nights", live)):
        if group:
            console.print(Text(title, "bold"))
            console.print(_table(group, nights))
            console.print()
    for night in nights:
        if night.why:
            console.print(Text(night.why), soft_wrap=True)
    size = decimal(sum(night.size_bytes for night in nights))
    console.print(Text(f"{_counts(nights)}, {size} in {folder}"), soft_wrap=True)


def _table(nights: Sequence[ListedNight], every: Sequence[ListedNight]) -> Table:
    """Return the rows of ``nights``. A column that none of them needs is left out."""
    rows = [_row(night, every) for night in nights]
    table = Table(box=None, padding=(0, 2, 0, 0))
    used = [name for name in rows[0] if name in _ALWAYS or any(row[name] for row in rows)]
    for name in used:
        right = name in ("hours", "asleep", "scored", "size")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(clean(row[name])) for name in used))
    return table


def _row(night: ListedNight, every: Sequence[ListedNight]) -> dict[str, str]:
    """Return the cells of a night by the names of their columns."""
    day, start, numbers = night.evening(), night.start_utc, night.statistics
    # A night whose date may also mean another, and a replay, are named by their file.
    is_named = day is not None and night.is_live and nights_of_evening(every, day) == [night]
    return {
        "night": "" if day is None else f"{day}",
        "began": "" if start is None else f"{night.local(start):%H:%M}",
        "hours": "" if night.session is None else f"{night.n_epochs * EPOCH_MIN / 60:.1f} h",
        "asleep": "" if numbers is None else _minutes(numbers.tst_min),
        "scored": "" if night.scored is None else f"{night.scored:.0%}",
        "state": f"{night.condition}" + (" (test)" if night.was_a_test else ""),
        "size": decimal(night.size_bytes),
        "sleeper": night.sleeper,
        "source": "" if night.session is None else night.session.source,
        "file": "" if is_named else night.path.stem,
    }


def show_night(console: Console, folder: Path, name: str, now_utc: datetime) -> None:
    """Print the night that a person calls ``name``: its summary, its marks, and what is wrong.

    Raises `InputError` if there is no such night, and `StoreError` if nothing of it can be read.
    """
    path = named_night(name, folder)
    night = read_night(path)
    console.print(Text(_heading(night), "bold"), soft_wrap=True)
    for line in _remarks(night, now_utc):
        console.print(Text(line, "bold"), soft_wrap=True)
    console.print(summary(night.state, Look.of(console)))
    for number, mark in enumerate(night.marks):
        label = "" if number else "marks"
        console.print(Text(f" {label:9} {_mark_text(mark, night)}"), soft_wrap=True)
    console.print(Text(f" file      {night.path}"), soft_wrap=True)
    page = shlex.join(["sleep-monitor", "report", name])
    console.print(Text(f" pictures  {page}"), soft_wrap=True)


def _heading(night: NightRecord) -> str:
    """Return "Night of Thursday 26 November 2026, 23:10 to 07:02, anna"."""
    start = local_time(night.session.start_utc, night.state)
    end = local_time(night.end_utc, night.state)
    who = f", {clean(night.session.sleeper)}" if night.session.sleeper else ""
    title = f"Night of {start - NOON:%A %d %B %Y}"
    if not night.is_live:
        day = f"{start:%A %d %B %Y}" if night.session.has_date else "no date known"
        title = f"Replay of {clean(night.session.source)}: {day}"
    return f"{title}, {start:%H:%M} to {end:%H:%M}{who}"


def _remarks(night: NightRecord, now_utc: datetime) -> list[str]:
    """Return what a reader of the summary must know about the night's file, a sentence each."""
    remarks = []
    end = f"{local_time(night.end_utc, night.state):%H:%M}"
    if is_being_written(night.path):
        remarks.append(f"It goes on now: these are the numbers of its epochs up to {end}.")
    elif night.stored.ended_utc is None and not night.wrong:
        until = ""
        if night.is_live and now_utc < (last_utc := night.end_utc + RESUME_WITHIN):
            until = f" The command that began it continues it until {last_utc.astimezone():%H:%M}."
        elif not night.is_live:
            until = " The command that began it continues it."
        remarks.append(f"It broke off at {end}, and was not ended in order.{until}")
    if night.damaged:
        count = f"{len(night.damaged)} of {night.n_epochs}"
        remarks.append(f"Its file is damaged: {count} epochs are lost, and count as unscored.")
    if night.wrong:
        remarks.append(f"Its file is damaged ({night.wrong}): later epochs may be missing.")
    return remarks


def _mark_text(mark: Mark, night: NightRecord) -> str:
    words = f'"{clean(mark.text, MAX_TEXT)}"' if mark.text else mark.kind.value.replace("_", " ")
    return f"{local_time(mark.time_utc, night.state):%H:%M:%S}  {words}"


def delete_nights(
    console: Console, folder: Path, names: Sequence[str], confirmed: Callable[[str], bool]
) -> None:
    """Print which files the nights ``names`` have, and delete them if the user ``confirmed`` it.

    ``confirmed`` asks the question that it receives. Raises `InputError` before anything is deleted
    if a name is no night, or a night goes on now; `MonitorError` if a file cannot be deleted.
    """
    nights = [_to_delete(named_night(name, folder)) for name in names]
    nights = list({night.path: night for night in nights}.values())
    for night in nights:
        console.print(Text(_night_line(night), "bold"), soft_wrap=True)
        page = made_page_of(night.path)
        for each in (*store_files(night.path), *([page] if page else [])):
            if each.is_file():
                line = f"  {each}  {decimal(each.stat().st_size)}"
                console.print(Text(line), soft_wrap=True)
    size = decimal(sum(night.size_bytes for night in nights))
    count = _counts(nights)
    if not confirmed(f"Delete {count} ({size}) for ever?"):
        console.print("Nothing was deleted.")
        return
    for night in nights:
        delete_night(night.path)
        if (page := made_page_of(night.path)) is not None:
            page.unlink(missing_ok=True)
    console.print(f"Deleted {count}, {size}.")


def _to_delete(path: Path) -> ListedNight:
    """Return the night in ``path``, which may be damaged; refuse any other file, and a link."""
    if path.is_symlink():
        raise InputError(
            f"{path} is a link to {path.resolve()}: name that file to delete the night"
        )
    night = glance(path.absolute())
    if not night.is_night:
        raise InputError(night.why)
    if night.condition is Condition.GOES_ON:
        raise InputError(
            f"{path} goes on now: end the monitor that writes it, then delete the night"
        )
    return night


def _night_line(night: ListedNight) -> str:
    if night.session is None or night.start_utc is None:
        return "A night that cannot be read"
    kind = "Night" if night.is_live else "Replay"
    day = night.evening()
    parts = [
        kind if day is None else f"{kind} of {day}",
        f"began {night.local(night.start_utc):%H:%M}",
        _minutes(night.n_epochs * EPOCH_MIN),
        clean(night.sleeper),
        clean(night.session.source),
    ]
    return ", ".join(filter(None, parts))


def _minutes(duration_min: float) -> str:
    return age_text(timedelta(minutes=duration_min))


def _counts(nights: Sequence[ListedNight]) -> str:
    """Return ``3 nights and 1 replay``."""
    live = sum(night.is_live for night in nights)
    counts = {"night": live, "replay": len(nights) - live}
    return " and ".join(f"{n} {word}{'s' * (n != 1)}" for word, n in counts.items() if n)
