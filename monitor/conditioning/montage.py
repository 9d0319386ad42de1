"""Which of several derivations is staged, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.types import Reason

RETURN_EPOCHS = 10
"""A preferred derivation is taken again once it has been fit for so long without a break (5 min):
an electrode that comes and goes does not make the derivation flicker (our choice)."""


class DerivationChooser:
    """Stays with one derivation while it can be scored; else takes the most preferred that can.

    What it chooses depends on the verdicts so far alone, so that a night taken up again goes on
    as it would have.
    """

    def __init__(self, n_derivations: int) -> None:
        self._fit_for = [0] * n_derivations
        self._chosen = 0

    @property
    def chosen(self) -> int:
        """The derivation staged last."""
        return self._chosen

    def choose(self, verdicts: Sequence[Reason | None]) -> int:
        """The derivation to stage in the next epoch; ``verdicts`` holds one for each, the
        preferred first: why it cannot be scored, or None."""
        self._fit_for = [
            run + 1 if verdict is None else 0
            for run, verdict in zip(self._fit_for, verdicts, strict=True)
        ]
        needed = RETURN_EPOCHS if verdicts[self._chosen] is None else 1
        candidates = [n for n, run in enumerate(self._fit_for) if run >= needed]
        if candidates and (needed == 1 or candidates[0] < self._chosen):
            self._chosen = candidates[0]
        return self._chosen
