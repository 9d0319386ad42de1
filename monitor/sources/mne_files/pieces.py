"""Place the samples of a file that was paused, or from which samples were cut, in time.

MNE counts samples, as if a recording had no pause. BrainVision states the time of each new segment,
and EEGLAB the length of each stretch that was cut out.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from monitor.sources.durations import spoken_duration

LONGEST_PAUSE_S = 24 * 3600.0
"""A longer pause is damage, or a clock that was set."""

_SEGMENT = re.compile(rb"^Mk\d+=New Segment,[^,\r\n]*,(\d{1,12}),[^,]*,[^,\r\n]*(?:,(\d{14,20}))?")


@dataclass(frozen=True, slots=True)
class Piece:
    """Samples without a gap: ``n`` from the sample ``first`` on, the first one at ``start_s``."""

    first: int
    n: int
    start_s: float


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause before the sample ``first``.

    ``begins_s`` is the time of this sample, or ``lasts_s`` the length of the pause; None if the
    file does not state it.
    """

    first: int
    begins_s: float | None = None
    lasts_s: float | None = None


def pieces_of(
    pauses: Sequence[Pause], n: int, sfreq_hz: float
) -> tuple[tuple[Piece, ...], list[str]]:
    """Return the pieces of ``n`` samples with these pauses, and notes for the user.

    After a pause whose length is unknown or impossible, samples follow without a gap.
    """
    pieces, unplaced, paused_s = [Piece(0, n, 0.0)], 0, []
    for pause in sorted(pauses, key=lambda each: each.first):
        last = pieces[-1]
        if not last.first < pause.first < n:
            continue
        end_s = last.start_s + (pause.first - last.first) / sfreq_hz
        lasts_s = pause.lasts_s if pause.begins_s is None else pause.begins_s - end_s
        if lasts_s is None or not -1.0 <= lasts_s <= LONGEST_PAUSE_S:  # NaN, too
            unplaced += 1
            continue
        if lasts_s * sfreq_hz < 1.5:  # the clock and the samples differ by some parts per million
            continue
        paused_s.append(lasts_s)
        pieces[-1] = Piece(last.first, pause.first - last.first, last.start_s)
        pieces.append(Piece(pause.first, n - pause.first, end_s + lasts_s))
    notes = []
    if paused_s:
        times = "once" if len(paused_s) == 1 else f"{len(paused_s)} times"
        notes.append(f"The recording was paused {times}, for {spoken_duration(sum(paused_s))}.")
    if unplaced:
        times = "once" if unplaced == 1 else f"{unplaced} times"
        notes.append(
            f"The recording was paused or cut {times} for an unknown time: the samples after it "
            "follow without a gap, and their clock times are early."
        )
    return tuple(pieces), notes


def placed_s(pieces: Sequence[Piece], sample: float, sfreq_hz: float) -> float:
    """Return the time of ``sample``, which may lie between two samples."""
    piece = pieces[max(bisect_right(pieces, sample, key=lambda each: each.first) - 1, 0)]
    return piece.start_s + (sample - piece.first) / sfreq_hz


def brainvision_pauses(header: Path) -> list[Pause]:
    """Return the pauses that the marker file of a BrainVision ``header`` states.

    The first segment begins the recording; each later one begins after a pause.
    """
    markers = brainvision_file(header, b"MarkerFile")
    if markers is None:
        return []
    try:
        with markers.open("rb") as file:
            matches = [match for line in file if (match := _SEGMENT.match(line))]
    except OSError:
        return []  # MNE names it
    moments = [_moment(match[2]) for match in matches]
    return [
        Pause(
            int(match[1]) - 1,
            (moment - moments[0]).total_seconds() if moment and moments[0] else None,
        )
        for match, moment in list(zip(matches, moments, strict=True))[1:]
    ]


def brainvision_file(header: Path, key: bytes) -> Path | None:
    """Return the file that a BrainVision ``header`` names by ``key``; None if there is none.

    '$b' in it stands for the header's own name.
    """
    try:
        match = re.search(rb"^" + key + rb"=(.+?)\s*$", header.read_bytes(), re.MULTILINE)
    except OSError:
        return None
    if match is None:
        return None
    name = match[1].decode("utf-8", "replace").replace("$b", header.stem).replace("\\", "/")
    try:
        path = header.with_name(Path(name).name)
        return path if path.is_file() else None
    except (OSError, ValueError):  # this is no file name
        return None


def _moment(text: bytes | None) -> datetime | None:
    """Read 'YYYYMMDDhhmmss' and microseconds; zeros mean that the time is unknown."""
    if text is None:
        return None
    try:
        return datetime.strptime(text.decode()[:20].ljust(20, "0"), "%Y%m%d%H%M%S%f")
    except ValueError:
        return None
