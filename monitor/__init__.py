"""The sleep monitor. `from monitor import score` stages a recording: see `monitor.scoring`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.scoring import Score, score

__all__ = ["Score", "score"]


def __getattr__(name: str) -> object:
    # Imported when it is asked for: every program and every child process imports this package.
    if name in __all__:
        from monitor import scoring

        return getattr(scoring, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
