"""The mean deviation of the newest stamps from a line."""

from __future__ import annotations


class StampWindow:
    """Stamps since a moment, and how far they lie off the line on average.

    ``whole`` is True if the stamps had left the line before the window began. Otherwise they may
    have left it in mid-window, and their mean is then too small.
    """

    __slots__ = ("count", "since_s", "sum_s", "whole")

    def __init__(self, whole: bool = False) -> None:
        self.whole = whole
        self.count = 0
        self.since_s = self.sum_s = 0.0

    @property
    def mean_s(self) -> float:
        """The mean deviation. Needs at least one stamp."""
        return self.sum_s / self.count

    def add(self, stamp_s: float, off_s: float, outlier_s: float) -> float:
        """Add a stamp that lies ``off_s`` off the line.

        Returns its distance from the mean of the stamps before it, at most ``outlier_s``. If the
        distance is larger, the window begins anew with this stamp: the deviation changed here. A
        delivered backlog does not stay off the line, since its stamps fall back towards it.
        """
        apart_s = abs(off_s - self.mean_s) if self.count else 0.0
        if apart_s > outlier_s:
            self.whole, self.count, self.sum_s = True, 0, 0.0
        if not self.count:
            self.since_s = stamp_s
        self.count, self.sum_s = self.count + 1, self.sum_s + off_s
        return min(apart_s, outlier_s)
