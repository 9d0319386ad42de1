"""What the store keeps of a live night so that a later run can continue it."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.types import Montage


@dataclass(frozen=True, slots=True)
class LiveNight:
    """What a run needs to continue a live night after the monitor or the machine stopped.

    ``source_key`` names the headband. ``timeline_offset_s`` and ``clock_offset_s`` (see `Timeline`
    and `LiveSource`) are valid within the boot of the machine that ``boot_id`` names.
    """

    source_key: str
    montage: Montage
    boot_id: str
    timeline_offset_s: float
    clock_offset_s: float | None
