"""Choose the derivation to stage, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.types import Reason

RETURN_EPOCHS = 10
"""A better derivation is staged again after it could be scored in this many epochs in a row (5
min), so that an electrode that comes and goes does not switch the derivation to and fro (our
choice)."""


class DerivationChooser:
    """Keeps one derivation while it can be scored; if not, switches to the best that can.

    The choice depends only on the verdicts so far, so that a night that is continued makes the same
    choices as one that was never interrupted.
    """

    def __init__(self, n_derivations: int) -> None:
        self._fit_for = [0] * n_derivations  # epochs in a row in which each could be scored
        self._chosen = 0

    @property
    def chosen(self) -> int:
        """The index of the derivation that was staged last."""
        return self._chosen

    def choose(self, verdicts: Sequence[Reason | None]) -> int:
        """Return the index of the derivation to stage in the next epoch.

        ``verdicts`` holds one entry for each derivation, the best derivation first: the reason why
        it cannot be scored in this epoch, or None.
        """
        self._fit_for = [
            run + 1 if verdict is None else 0
            for run, verdict in zip(self._fit_for, verdicts, strict=True)
        ]
        # While the chosen one can be scored, only a better one replaces it, after a good run.
        needed = RETURN_EPOCHS if verdicts[self._chosen] is None else 1
        candidates = [n for n, run in enumerate(self._fit_for) if run >= needed]
        if candidates and (needed == 1 or candidates[0] < self._chosen):
            self._chosen = candidates[0]
        return self._chosen
