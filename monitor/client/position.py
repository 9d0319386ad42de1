"""The place that a follower has reached, in a file: a restart misses and doubles nothing."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path

from models.files import whole_file
from models.reading import UnreadableError, read_json
from monitor.errors import InputError, one_line

Place = tuple[int, str]
"""Sequence and id of the last event of a session that was read; (0, "") if none was."""

_VERSION = 1

_log = logging.getLogger(__name__)


class Position:
    """The entry of the stream that was read last, and the place in each session.

    ``path`` None keeps it in memory alone. Raises `InputError` if the file cannot be written.
    A file that is damaged is named in the log and not used.
    """

    def __init__(self, path: Path | None) -> None:
        self.entry = ""
        """Id of the stream's entry; "" if none was read yet."""
        self.places: dict[str, Place] = {}
        self._path = path
        self._has_failed = False
        if path is not None:
            self._read(path)
            try:
                self._write(path)
            except (OSError, ValueError) as exc:  # ValueError: a NUL in the path
                reason = getattr(exc, "strerror", None) or one_line(exc)
                raise InputError(
                    f"the position cannot be kept in {path}: {reason}; name a file in a folder "
                    "that exists and may be written"
                ) from exc

    def save(self, places: Mapping[str, Place]) -> None:
        """Write ``entry`` and the place in each session; a disk that refuses is logged once."""
        self.places = dict(places)
        if self._path is None:
            return
        try:
            self._write(self._path)
            self._has_failed = False
        except OSError as exc:
            if not self._has_failed:
                _log.warning(
                    "the position cannot be kept in %s (%s): after a restart epochs may come again",
                    self._path,
                    one_line(exc),
                )
            self._has_failed = True

    def _write(self, path: Path) -> None:
        content = {"version": _VERSION, "entry": self.entry, "sessions": self.places}
        with whole_file(path) as file:
            file.write(json.dumps(content).encode())

    def _read(self, path: Path) -> None:
        try:
            self.entry, self.places = _checked(read_json(path))
        except FileNotFoundError:
            return
        except UnreadableError as exc:
            if not path.is_file() and path.exists():
                raise InputError(f"the position cannot be kept in {path}: it {exc}") from exc
            _log.warning("%s is not used: it %s", path, exc)


def _checked(content: object) -> tuple[str, dict[str, Place]]:
    """Return entry and places. Raises `UnreadableError` for what `Position` does not write."""
    match content:
        case {"version": 1, "entry": str(entry), "sessions": dict(sessions)} if re.fullmatch(
            "([0-9]{1,20}-[0-9]{1,20})?", entry
        ):
            places = {name: _place(value) for name, value in sessions.items()}
            return entry, places
    raise UnreadableError("holds no position")


def _place(value: object) -> Place:
    match value:
        case [int(sequence), str(event_id)]:
            return sequence, event_id
    raise UnreadableError("holds no position")
