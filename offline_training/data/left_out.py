"""Recordings that could not be used, and why: the others go on without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from monitor.errors import MonitorError


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A recording that could not be used, and why."""

    name: str
    reason: str

    @classmethod
    def because_of(cls, error: Exception, name: str, path: Path) -> LeftOut:
        """``path``, called ``name``, ended in ``error``; of ours or, in an odd file, any other."""
        match error:
            case MonitorError():
                reason = str(error)
            case OSError():
                reason = f"{error.filename or path} cannot be read: {error.strerror or error}"
            case _:
                reason = f"{path}: {type(error).__name__}: {error}"
        return cls(name, reason)


def listed(left_out: Sequence[LeftOut]) -> list[str]:
    """Lines that tell, none where nothing was left out."""
    if not left_out:
        return []
    width = max(len(each.name) for each in left_out)
    by_name = sorted(left_out, key=lambda each: each.name)
    return [
        f"left out {len(left_out)}:",
        *(f"  {each.name:{width}}  {each.reason}" for each in by_name),
    ]
