"""The options of `sleep-monitor score`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from monitor.config import ReplayOptions

DEFAULT_FORMATS = ("csv",)
"""The table of epochs: every spreadsheet and statistics program reads it."""


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """The options of a run over files and folders.

    - ``each``: the options of each recording; its ``recording`` is a placeholder.
    - ``formats``: names of `monitor.exports.formats.FORMATS`, or "all".
    - ``out``: the folder of what is written; None: beside each recording.
    - ``jobs``: the number of processes; None: one for each core.
    """

    paths: tuple[Path, ...]
    each: ReplayOptions
    recursive: bool = False
    jobs: int | None = None
    formats: tuple[str, ...] = DEFAULT_FORMATS
    out: Path | None = None

    def of(self, recording: Path) -> ReplayOptions:
        """Return the options of one recording."""
        return replace(self.each, recording=recording)
