"""Headbands and amplifiers through BrainFlow.

`source` is the `LiveSource`. For each board it runs a process, `worker`, which talks to it.
`boards` is what is known of a board before it is switched on, `failures` what its errors mean,
`package_counter` counts the samples that were lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitor.sources.brainflow.source import BrainflowSource

__all__ = ["BrainflowSource"]


def __getattr__(name: str) -> Any:
    # The worker passes here too: each of these processes is half as large without the source.
    if name == "BrainflowSource":
        from monitor.sources.brainflow.source import BrainflowSource

        return BrainflowSource
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
