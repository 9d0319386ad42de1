"""Writes a stored night in other formats, damaged or not."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path

from models.files import whole_file
from monitor.config import private_folder
from monitor.errors import InputError, MonitorError
from monitor.exports.exported import ExportedNight
from monitor.exports.formats import ALL, Content, chosen_formats, files, refusal, shared_files
from monitor.exports.table import raise_damage
from monitor.night.record import read_night
from monitor.text import printed
from monitor.types import Track

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """The options of an export.

    - ``formats``: names of `FORMATS`, or "all": then a format that cannot hold the night is named
      and passed over.
    - ``overwrite``: replace files that exist.
    """

    formats: list[str]
    folder: Path
    track: Track = Track.REVISED
    overwrite: bool = False


def export_night(file: Path, options: ExportOptions, timezone: tzinfo | None = None) -> list[Path]:
    """Write the night ``file`` in other formats, and return the paths of what was written.

    A night that goes on is exported as it is now. Each file is whole or not there, and only the
    user may read it. ``timezone`` of a live night's clock; None: that of this machine.

    Raises `InputError` before anything is written, and `MonitorError` after it if a part of the
    night was damaged and so left out.
    """
    chosen_formats(options.formats)  # a wrong name is told before the night is read
    night = ExportedNight(read_night(file), options.track, timezone)
    if not night.record.n_epochs:
        raise InputError(f"{file} holds no epoch yet: there is nothing to export")
    written = export_record(night, options)
    raise_damage(night.record, options.folder)
    return written


def export_record(night: ExportedNight, options: ExportOptions) -> list[Path]:
    """Write ``night`` in the formats of ``options``, and return the paths of what was written.

    Raises `InputError` before anything is written, and `MonitorError` if that fails.
    """
    try:
        planned = planned_files(night, options)
        _check(planned, options)
    except OSError as exc:
        raise InputError(f"cannot write to --out {options.folder}: {exc.strerror}") from exc
    if any(target.suffix == ".edf" for target in planned) and night.survey.clipped:
        _log.warning("Larger values are clipped in EDF: %s", night.survey.clipped)
    for target, content in planned.items():
        _write(target, content, night)
        _log.info("%s", printed(str(target)))
    return list(planned)


def planned_files(night: ExportedNight, options: ExportOptions) -> dict[Path, Content]:
    """Return the files to write. Raises `InputError` for a format that cannot hold the night."""
    names = chosen_formats(options.formats)
    planned: dict[Path, Content] = {}
    everything = ALL in ",".join(options.formats).lower().split(",")
    for name in names:
        if reason := refusal(name, night):
            if not everything:
                raise InputError(reason)
            _log.info("Left out: %s", reason)
            continue
        shared = shared_files(name)
        for path, content in files(name, night).items():
            target = options.folder / path
            if path not in shared or not target.exists():
                planned[target] = content
    return planned


def _check(planned: dict[Path, Content], options: ExportOptions) -> None:
    """Raise `InputError` for what would fail later, or replace what is there already."""
    folder = options.folder
    for each in (folder, *folder.parents):
        if each.exists() and not each.is_dir():
            raise InputError(f"--out {folder} cannot be used: {each} is not a folder")
    known = [path for path in planned if path.exists() or path.is_symlink()]
    if known and not options.overwrite:
        more = f" and {len(known) - 1} more files" if len(known) > 1 else ""
        raise InputError(
            f"{known[0]}{more} exist already: name another folder with --out, or replace them with "
            "--overwrite"
        )
    if blocked := [path for path in known if path.is_dir()]:
        raise InputError(f"{blocked[0]} is a folder: move it away")


def _write(target: Path, content: Content, night: ExportedNight) -> None:
    try:
        private_folder(target.parent)
        with whole_file(target, mode=0o600) as file:  # a night is private
            for piece in content(night):
                file.write(piece)
    except OSError as exc:
        raise MonitorError(
            f"cannot write {target}: {exc.strerror}; the files named before it are whole: "
            "make room or name another --out"
        ) from exc
