"""Recordings that could not be used, and notes on those that could, for the user."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from monitor.errors import MonitorError, one_line


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A recording that could not be used, and the reason."""

    name: str
    reason: str

    @classmethod
    def because_of(cls, error: Exception, name: str, path: Path) -> LeftOut:
        """Leave out the recording ``name`` in ``path``, because reading it raised ``error``.

        The project's own errors name the file themselves. An odd file can raise any other error,
        whose text need not name the file.
        """
        match error:
            case MonitorError():
                reason = one_line(error)
            case OSError():
                reason = f"{error.filename or path} cannot be read: {error.strerror or error}"
            case _:
                reason = f"{path}: {one_line(error)}"
        return cls(name, reason)


MOST_NOTES = 20
"""Different notes that are listed; a data set may have thousands of recordings."""


def note_lines(notes: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
    """List the notes of recordings, given by name, for the user: each note once, with its names."""
    names: dict[str, list[str]] = {}
    for name, sentences in notes:
        for sentence in sentences:
            names.setdefault(sentence, []).append(name)
    lines = [f"note on {_some(names[sentence])}: {sentence}" for sentence in names]
    more = len(lines) - MOST_NOTES
    return lines if more <= 0 else [*lines[:MOST_NOTES], f"and {more} more notes"]


def _some(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def left_out_lines(left_out: Sequence[LeftOut]) -> list[str]:
    """List ``left_out`` for the user: a heading and one line each; no line if it is empty."""
    if not left_out:
        return []
    width = max(len(each.name) for each in left_out)
    by_name = sorted(left_out, key=lambda each: each.name)
    return [
        f"left out {len(left_out)}:",
        *(f"  {each.name:{width}}  {each.reason}" for each in by_name),
    ]
