"""Write the files for a recording that was staged, and replace none that is not ours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from monitor.errors import MonitorError
from monitor.exports.export import ExportOptions, export_record, planned_files
from monitor.exports.exported import ExportedNight
from monitor.exports.formats import FORMATS, chosen_formats, files
from monitor.night.record import NightRecord
from monitor.scoring.finding import is_own
from monitor.sources.formats import may_be_recording
from monitor.sources.listing import visible_files


def need_signals(formats: Sequence[str]) -> bool:
    """Return True if one of ``formats`` holds signals. Raises `InputError` for an unknown one."""
    return any(FORMATS[name].needs_signals for name in chosen_formats(list(formats)))


def own_names(recordings: Iterable[Path]) -> dict[Path, str]:
    """Return for each recording the beginning of the names of its files, of no other beside it.

    It is the stem, or the whole name if a recording with this stem and another suffix is beside it.
    """
    names, beside = {}, dict[Path, dict[str, list[Path]]]()
    for recording in recordings:
        folder, stem = recording.parent, recording.stem.casefold()
        if folder not in beside:
            beside[folder] = _by_stem(folder)
        same = [each for each in beside[folder].get(stem, ()) if each.name != recording.name]
        names[recording] = recording.name if any(map(may_be_recording, same)) else recording.stem
    return names


def _by_stem(folder: Path) -> dict[str, list[Path]]:
    found = defaultdict(list)
    with suppress(OSError):  # a folder that may not be listed: its files can still be named
        for path in visible_files(folder):
            found[path.stem.casefold()].append(path)
    return found


def outputs_exist(output: Path, formats: Sequence[str]) -> bool:
    """Return True if the files whose paths begin with ``output`` are there, one for each format.

    BIDS has names of its own, and with "all" a night may lack a format: they are not looked for.
    """
    endings = [
        ending
        for name in formats
        if name in FORMATS and name != "bids"
        for ending in FORMATS[name].files
    ]
    return all(output.with_name(output.name + ending).is_file() for ending in endings)


def write_outputs(record: NightRecord, formats: Sequence[str], folder: Path) -> None:
    """Write ``record`` in ``formats`` to ``folder``.

    Files that the monitor wrote before are replaced. Raises `MonitorError` if others have their
    names, or if a file cannot be written.
    """
    night = ExportedNight(record)
    options = ExportOptions(list(formats), folder, overwrite=True)
    planned = planned_files(night, options)
    for name in chosen_formats(list(formats)):
        there = [folder / each for each in files(name, night)]
        _check(name, [path for path in there if path in planned and path.exists()], night)
    export_record(night, options)


def _check(name: str, there: list[Path], night: ExportedNight) -> None:
    """Raise `MonitorError` if the files of format ``name`` that exist are not of this recording."""
    try:
        # Some files have no room for a mark, but the one beside them has.
        if there and not any(is_own(path) for path in there):
            raise MonitorError(
                f"{there[0]} is not from sleep-monitor: move it away, or name a folder with --out"
            )
        # The names of BIDS come from the recording's name and start, not from that of the output.
        if name == "bids" and there and not any(_holds(path, night) for path in there):
            raise MonitorError(
                f"{there[0]} is of another recording with this name and start: name another --out"
            )
    except OSError as exc:
        raise MonitorError(f"cannot look at {there[0]}: {exc.strerror}") from exc


def _holds(path: Path, night: ExportedNight) -> bool:
    session = night.record.session.id.encode()
    return path.suffix == ".json" and session in path.read_bytes()
