"""The time in which the band was on a head."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

BRIDGED_EPOCHS = 4
"""A dropout of up to 2 min does not end the worn window (practice of Muse home recordings)."""

WORN_EPOCHS = 10
"""A signal that can be scored for less than 5 min does not count as worn: electrodes look alive for
a while when somebody carries the band (our choice)."""


def worn_window(alive: Sequence[bool]) -> tuple[int, int] | None:
    """Return the first epoch in which the band was worn and the one after the last, or None.

    ``alive``: True for each epoch that could be scored.
    """
    runs: list[list[int]] = []
    position = 0
    for is_alive, group in groupby(alive):
        length = len(list(group))
        if is_alive:
            if runs and position - runs[-1][1] <= BRIDGED_EPOCHS:
                runs[-1][1] = position + length
            else:
                runs.append([position, position + length])
        position += length
    worn = [run for run in runs if run[1] - run[0] >= WORN_EPOCHS]
    return (worn[0][0], worn[-1][1]) if worn else None
