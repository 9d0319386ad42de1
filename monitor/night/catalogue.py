"""Finds a person's nights: by the names that people give them, and all of them in a list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path

from models.contract import EPOCH_S
from monitor.config import REPLAYS
from monitor.errors import InputError
from monitor.night.listed import Condition, ListedNight, glance, listed
from monitor.text import clean

__all__ = [
    "LAST",
    "Condition",
    "ListedNight",
    "glance",
    "listed_nights",
    "named_night",
    "nights_of_evening",
]

LAST = "last"
"""Name of the newest night."""


def listed_nights(folder: Path) -> list[ListedNight]:
    """Return every night in ``folder`` and in its folder of replays, the newest last."""
    return sorted((listed(path) for path in _files(folder)), key=_order)


def named_night(name: str, folder: Path, timezone: tzinfo | None = None) -> Path:
    """Return the file of the night that a person calls ``name``.

    - ``last``: the newest live night; if there is none, the newest replay.
    - A date, ``2026-11-26``: the night that began between noon of that day and noon of the next.
      If there is none, the night that ended on that day. Live nights come before replays, and
      tests of a few minutes count only if nothing else does.
    - The name of a sleeper: the newest night of this person.
    - A file's path, or the name of a file in ``folder`` or in its folder of replays.

    ``timezone`` None: local time. Raises `InputError` if no night or several nights have this name.
    The file of a path need not be a night: `read_night` says what it is.
    """
    if (file := _named_file(name, folder)) is not None:
        return file
    nights = sorted((glance(path) for path in _files(folder)), key=_order)
    nights = [night for night in nights if night.start_utc is not None]
    if not nights:
        raise InputError(f"there is no night '{clean(name)}': no night is stored in {folder}")
    if name == LAST:
        found = _of_the_same_time(_preferred(nights))
    elif (day := _day(name)) is not None:
        found = nights_of_evening(nights, day, timezone)
        found = found or _preferred([night for night in nights if night.morning(timezone) == day])
    else:
        who = name.casefold()
        found = [each for each in nights if each.sleeper and each.sleeper.casefold() == who][-1:]
    if not found:
        raise InputError(
            f"there is no night '{clean(name)}': name {LAST}, a date such as "
            f"{nights[-1].evening(timezone)}, a sleeper or a file. sleep-monitor nights lists them"
        )
    if len(found) > 1:
        files = ", ".join(_choice(night, timezone) for night in found)
        one = "a sleeper, or the file of one" if name == LAST else "the file of one"
        raise InputError(f"'{clean(name)}' is {len(found)} nights: name {one}: {files}")
    return found[0].path


def nights_of_evening(
    nights: Sequence[ListedNight], day: date, timezone: tzinfo | None = None
) -> list[ListedNight]:
    """Return those of ``nights`` that a person may mean by this date; see `named_night`."""
    return _preferred([night for night in nights if night.evening(timezone) == day])


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files of nights in ``folder``, each once if links lead to it."""
    found = [path for each in (folder, folder / REPLAYS) for path in sorted(each.glob("*.sqlite"))]
    found.sort(key=Path.is_symlink)
    yield from {path.resolve(): path for path in reversed(found)}.values()


def _order(night: ListedNight) -> tuple[datetime, Path]:
    return night.start_utc or datetime.min.replace(tzinfo=UTC), night.path


def _named_file(name: str, folder: Path) -> Path | None:
    if name == LAST or not name:
        return None
    given = Path(name).expanduser()
    if given.name != name:  # it has a folder: a path, whether it exists or not
        return given
    stored = (each / f for each in (folder, folder / REPLAYS) for f in (name, f"{name}.sqlite"))
    places = [given, *stored]
    return next((each for each in places if each.is_file()), None) or (
        given if given.suffix == ".sqlite" else None
    )


def _day(name: str) -> date | None:
    try:
        return date.fromisoformat(name)
    except ValueError:
        return None


def _preferred(nights: Sequence[ListedNight]) -> list[ListedNight]:
    """Return the live nights without the tests; if there are none, the tests; else the replays."""
    live = [night for night in nights if night.is_live]
    whole = [night for night in live if not night.was_a_test]
    return whole or live or list(nights)


def _of_the_same_time(nights: Sequence[ListedNight]) -> list[ListedNight]:
    """Return the newest night, with the last ones of other sleepers that slept meanwhile."""
    newest = nights[-1]
    start = newest.start_utc
    others = {
        night.sleeper: night
        for night in nights
        if night.sleeper != newest.sleeper and night.end_utc and start and night.end_utc > start
    }
    return [*others.values(), newest]


def _choice(night: ListedNight, timezone: tzinfo | None) -> str:
    assert night.start_utc is not None  # a night without a time has no name but its file's
    start = night.local(night.start_utc, timezone)
    who = f", {night.sleeper}" if night.sleeper else ""
    hours = night.n_epochs * EPOCH_S / 3600
    return f"{night.path} ({start:%H:%M}, {hours:.1f} h{who})"
