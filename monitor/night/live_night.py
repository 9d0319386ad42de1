"""The part of a night store that lets a later run continue a live night."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.types import Montage


@dataclass(frozen=True, slots=True)
class LiveNight:
    """Everything that a run needs to continue a live night after a stop of monitor or machine.

    - ``source_key`` names the user's options. ``device`` is the headband that was found with them
      (`Device.identity`); "" if the source does not identify it.
    - ``timeline_offset_s`` and ``clock_offset_s`` (see `Timeline` and `LiveSource`) are valid
      within the boot of the machine that ``boot_id`` names.
    """

    source_key: str
    montage: Montage
    boot_id: str
    timeline_offset_s: float
    clock_offset_s: float | None
    device: str = ""
