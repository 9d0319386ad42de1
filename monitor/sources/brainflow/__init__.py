"""Headbands and amplifiers through BrainFlow.

`source` is the `LiveSource`. It runs a process for each board (`process`), in which `worker` talks
to the board. `boards` holds what is known of a board before it is switched on, `failures` explains
BrainFlow's errors, and `package_counter` counts lost samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitor.sources.brainflow.source import BrainflowSource

__all__ = ["BrainflowSource"]


def __getattr__(name: str) -> Any:
    # Each worker process imports this package too. Without the source it needs half the memory.
    if name == "BrainflowSource":
        from monitor.sources.brainflow.source import BrainflowSource

        return BrainflowSource
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
