"""The nights before, and their reports, as the page shows them: `StoredNights`."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote

from monitor.clock import Clock
from monitor.errors import InputError, MonitorError
from monitor.night.catalogue import Condition, ListedNight
from monitor.night.events import utc_text
from monitor.night.file_watch import store_files
from monitor.night.listed import NOON, glance, listed
from monitor.night.page import made_page_of
from monitor.report import make_report
from monitor.report.words import date_text, minutes_text
from monitor.web.dark import dark_page

SHOWN = 400
"""Nights in the list, the newest first: more than a year."""

_Stamp = tuple[tuple[int, int], ...]


class StoredNights:
    """The live nights in ``folder``. Every method waits for the disk; any thread may call it.

    A night is known by its id, the name of its file without the suffix. An id is only compared with
    those of the files that are there: no path is made of it.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._listed: dict[Path, tuple[_Stamp, ListedNight]] = {}
        self._reports: dict[Path, tuple[_Stamp, bytes]] = {}

    def as_json(self) -> list[dict[str, Any]]:
        """Return the nights, the newest first."""
        with self._lock:
            nights = [self._listed_night(path) for path in self._files()]
        nights = [night for night in nights if night.is_live and night.session is not None]
        nights.sort(key=lambda night: (night.start_utc is not None, night.start_utc, night.path))
        return [_night_json(night) for night in reversed(nights[-SHOWN:])]

    def report(self, night_id: str) -> bytes:
        """Return the page of a night. Raises `InputError` if there is no such night, or no epoch.

        The page beside the night's file is taken if it is newer than the night; else it is made,
        in a few seconds, and kept in memory. One is made at a time.
        """
        path = next((each for each in self._files() if each.stem == night_id), None)
        if path is None:
            raise InputError("there is no such night")
        with self._lock:
            stamp = _stamp(path)
            known = self._reports.get(path)
            if known is None or known[0] != stamp:
                known = (stamp, self._made(path))
                self._reports = {**dict(list(self._reports.items())[-9:]), path: known}
            return known[1]

    def _made(self, path: Path) -> bytes:
        page = made_page_of(path)
        try:
            if page is not None and page.stat().st_mtime_ns >= _written_ns(path):
                return dark_page(page.read_text(encoding="utf-8"))
            with tempfile.TemporaryDirectory(prefix="sleep-monitor-") as folder:
                (made, *_) = make_report([str(path)], self._folder, self._clock, out=Path(folder))
                return dark_page(made.read_text(encoding="utf-8"))
        except OSError as exc:
            raise MonitorError(f"the report cannot be read or made: {exc.strerror}") from exc

    def _files(self) -> list[Path]:
        return sorted(each for each in self._folder.glob("*.sqlite") if each.is_file())

    def _listed_night(self, path: Path) -> ListedNight:
        """Return a night with its numbers; it is read again only after a change."""
        stamp = _stamp(path)
        known = self._listed.get(path)
        if known is None or known[0] != stamp:
            night = glance(path)
            # The page shows a night that goes on already, and its numbers take a while.
            if night.condition is not Condition.GOES_ON:
                night = listed(path)
            known = self._listed[path] = (stamp, night)
        return known[1]


def _night_json(night: ListedNight) -> dict[str, Any]:
    numbers, start = night.statistics, night.start_utc
    assert start is not None
    return {
        "id": night.path.stem,
        "evening": date_text(night.local(start) - NOON),
        "sleeper": night.sleeper,
        "start_utc": utc_text(start),
        "end_utc": None if night.end_utc is None else utc_text(night.end_utc),
        "state": night.condition,
        "is_test": night.was_a_test,
        "asleep": None if numbers is None else minutes_text(numbers.tst_min),
        "asleep_min": None if numbers is None else numbers.tst_min,
        "deep": None if numbers is None else minutes_text(numbers.n3_min),
        "dreaming": None if numbers is None else minutes_text(numbers.r_min),
        "report": f"/nights/{quote(night.path.stem, safe='')}" if night.n_epochs else None,
    }


def _stamp(path: Path) -> _Stamp:
    """Return sizes and times of a night's files: they change with every write."""
    found = []
    for each in store_files(path)[:2]:
        try:
            status = each.stat()
            found.append((status.st_size, status.st_mtime_ns))
        except OSError:
            found.append((0, 0))
    return tuple(found)


def _written_ns(path: Path) -> int:
    return max(time_ns for _, time_ns in _stamp(path))
