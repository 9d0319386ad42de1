"""A line through the stamps of samples, fitted sample by sample."""

from __future__ import annotations

MEMORY_S = 30.0
"""Time constant of the fit: older stamps lose their weight. White jitter of 10 ms at 256 Hz leaves
0.13 ms; the line follows a crystal that warms up (10 ppm an hour) to some microseconds."""

RATE_DOUBT = 0.005
"""Standard deviation of a true rate from its nominal one: a "256 Hz" Muse was seen at 255."""

RATE_RANGE = 0.02
"""The fitted rate stays this close to the nominal one. A larger deviation means that samples are
missing."""

EXPECTED_JITTER_S = 0.01
"""Mean jitter that is expected before any was seen: stamps taken on arrival over Bluetooth."""


class FittedLine:
    """The line ``time = phase + number * period`` through the stamps of samples.

    - ``time_s``: the line at the newest sample.
    - ``period_s``: the fitted period, within `RATE_RANGE` of the nominal one.

    A recursive least-squares fit with exponential forgetting (Ljung 1999, System Identification,
    11.2). Each call moves the line on by ``step`` samples, lost ones included.
    """

    __slots__ = (
        "_cov",
        "_forget",
        "_nominal_s",
        "_rate_doubt",
        "_var_period",
        "_var_phase",
        "period_s",
        "time_s",
    )

    def __init__(self, sfreq_hz: float) -> None:
        self.time_s = 0.0
        self._nominal_s = self.period_s = 1.0 / sfreq_hz
        self._forget = 1.0 / (MEMORY_S * sfreq_hz)
        # Covariance of phase and period, in units of a stamp's variance.
        self._var_phase, self._cov = 1.0, 0.0
        self._rate_doubt = (RATE_DOUBT * self.period_s / EXPECTED_JITTER_S) ** 2
        self._var_period = self._rate_doubt

    def start(self, time_s: float) -> None:
        """Begin the line at ``time_s``; keep the period and forget the phase."""
        self.time_s = time_s
        self._var_phase, self._cov = 1.0, 0.0

    def forget_rate(self) -> None:
        """Return to the nominal period."""
        self.period_s, self._var_period = self._nominal_s, self._rate_doubt

    def advance(self, step: int) -> None:
        """Move on without a stamp."""
        self.time_s += step * self.period_s

    def steer(self, off_s: float, step: int) -> None:
        """Move on, and correct the line by a stamp that lies ``off_s`` off it there."""
        grow = 1.0 + step * self._forget
        a = (self._var_phase + step * (2.0 * self._cov + step * self._var_period)) * grow
        b = (self._cov + step * self._var_period) * grow
        c = self._var_period * grow
        self._var_phase, self._cov, self._var_period = a / (a + 1), b / (a + 1), c - b * b / (a + 1)
        self.time_s += step * self.period_s + self._var_phase * off_s
        period_s = self.period_s + self._cov * off_s
        range_s = RATE_RANGE * self._nominal_s
        self.period_s = min(max(period_s, self._nominal_s - range_s), self._nominal_s + range_s)

    def shift(self, by_s: float, n_stamps: int) -> None:
        """Move the line by the mean deviation ``by_s`` of ``n_stamps`` stamps; keep the period."""
        # The phase is as certain as this mean; the mean contains no information on the rate.
        self._var_phase, self._cov = max(self._var_phase, 1.0 / n_stamps), 0.0
        self.time_s += by_s
