"""When the band was on a head: what a recording's bounds are worth."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

BRIDGED_EPOCHS = 4
"""Dropouts up to 2 min do not end the time worn (practice of Muse home recordings)."""

WORN_EPOCHS = 10
"""Alive for less than 5 min, before the band is put on and after it is taken off, is no wearing:
electrodes that are carried about look alive for a while (our choice)."""


def worn_window(alive: Sequence[bool]) -> tuple[int, int] | None:
    """The first epoch the band was worn in and the one after the last, or None.

    ``alive``: for each epoch whether its signal could be scored.
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
