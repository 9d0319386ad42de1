"""Waits that grow from attempt to attempt, so that a device or server that is away has rest."""

from __future__ import annotations

import random


class Backoff:
    """Waits that double up to a bound; each is shortened by up to half at random.

    The random part keeps many clients of one server from coming back at the same moment.
    """

    def __init__(self, first_s: float = 0.1, longest_s: float = 5.0) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._next_s = first_s
        self._random = random.Random()

    def next_s(self) -> float:
        """Return the next wait, in seconds, and double the one after it."""
        wait_s = self._next_s * self._random.uniform(0.5, 1.0)
        self._next_s = min(self._longest_s, 2 * self._next_s)
        return wait_s

    def reset(self) -> None:
        """Begin again with the shortest wait: the last attempt succeeded."""
        self._next_s = self._first_s
