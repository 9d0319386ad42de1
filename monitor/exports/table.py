"""Writes the stages of a stored night to a CSV file, damaged or not."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from monitor.errors import MonitorError
from monitor.night.file_watch import store_files
from monitor.night.record import NightRecord, read_night
from monitor.sinks.epochs_csv import check_writable, write_epochs

_log = logging.getLogger(__name__)


def export_epochs(file: Path, output: Path) -> None:
    """Write what is sound of the night ``file`` to the table ``output``; see `write_epochs`.

    Raises `InputError` before anything is written, and `MonitorError` after it if epochs were
    damaged and so left out.
    """
    check_writable(output, store_files(file))
    night = read_night(file)
    damaged = set(night.damaged)
    live, revised = (
        [each for each in track if each.epoch_index not in damaged]
        for track in (night.live, night.revised)
    )
    write_epochs(output, night.session, live, revised, is_live=night.is_live)
    _log.info("%d epochs written to %s", len(live), output)
    raise_damage(night, output)


def raise_damage(night: NightRecord, output: Path) -> None:
    """Raise `MonitorError` if a part of ``night`` is damaged and so missing in ``output``."""
    if night.damaged:
        raise MonitorError(
            f"{night.path} is damaged: {len(night.damaged)} epochs were left out: "
            f"{_ranges(night.damaged)}"
        )
    if night.wrong:
        raise MonitorError(
            f"{night.path} is damaged ({night.wrong}): later epochs may be missing in {output}"
        )


def _ranges(numbers: Sequence[int], most: int = 20) -> str:
    """Return ascending ``numbers`` as text: 3, 7-9. Only the first ``most`` ranges are named."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][-1] == number - 1:
            ranges[-1] = [ranges[-1][0], number]
        else:
            ranges.append([number])
    text = ", ".join("-".join(map(str, each)) for each in ranges[:most])
    return f"{text} and more" if len(ranges) > most else text
