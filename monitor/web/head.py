"""Positions of electrodes on a drawing of the head, seen from above, the nose up.

The names are those of the 10-20 system and of the 10-10 system that refines it (Jurcak, Tsuzuki &
Dan 2007, NeuroImage 34:1600): rows from the forehead to the back of the head, odd numbers left,
even numbers right, 0 (written z) on the midline.
"""

from __future__ import annotations

import math
import re

from monitor.text import clean

ROWS = {
    "FP": (0.8, 18.0),
    "AF": (0.6, 36.0),
    "F": (0.4, 54.0),
    "FC": (0.2, 72.0),
    "FT": (0.2, 72.0),
    "C": (0.0, 90.0),
    "T": (0.0, 90.0),
    "CP": (-0.2, 108.0),
    "TP": (-0.2, 108.0),
    "P": (-0.4, 126.0),
    "PO": (-0.6, 144.0),
    "O": (-0.8, 162.0),
}
"""Each row: where it crosses the midline, and the angle of its ends from the nose, in degrees.
The circumference of the head is 1; the ring of electrodes around it lies at `RING`."""

RING = 0.8

OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
"""Names of the 10-20 system that the 10-10 system replaced."""

EARS = {"A": 1.0, "M": 0.96}
"""Distance of the ears and of the mastoids, which are behind them, from the centre."""

_ELECTRODE = re.compile(r"(FP|AF|FC|FT|CP|TP|PO|F|C|T|P|O)(Z|10|[1-9])", re.IGNORECASE)
_EAR = re.compile(r"([AM])([12])", re.IGNORECASE)


def electrode_names(channel: str) -> list[str]:
    """Return the electrodes of a channel's name: "EEG Fpz-Cz" has Fpz and Cz."""
    words = re.sub(r"^EEG[\s_]+", "", clean(channel), flags=re.IGNORECASE)
    return [part.strip() for part in words.split("-") if part.strip()] or [words]


def position(name: str) -> tuple[float, float] | None:
    """Return an electrode's place (right, front), each -1 to 1; None if its name has none."""
    name = OLD_NAMES.get(name.upper(), name)
    if ear := _EAR.fullmatch(name):
        side = -1.0 if ear[2] == "1" else 1.0
        kind = ear[1].upper()
        return side * EARS[kind], -0.12 if kind == "A" else -0.28
    found = _ELECTRODE.fullmatch(name)
    if found is None:
        return None
    row, column = found[1].upper(), found[2].upper()
    front, angle = ROWS[row]
    if column == "Z":
        return 0.0, front
    number = int(column)
    side = -1.0 if number % 2 else 1.0
    # The rows at the front and at the back are so short that 1 and 2 are their ends.
    share = 1.0 if row in ("FP", "O") else (number + number % 2) / 8.0
    end = (math.sin(math.radians(angle)) * RING, math.cos(math.radians(angle)) * RING)
    if share > 1.0:  # 9 and 10 lie below the ring, outside it on the drawing
        return side * end[0] * share, end[1] * share
    return side * end[0] * share, front + (end[1] - front) * share
