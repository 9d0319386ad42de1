"""The contract of a view of the night. The dashboard and the plain lines both fulfil it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self

from monitor.night.state import NightState, SleeperState


class NightView(Protocol):
    """A view of one night while it runs; a context manager.

    `update` returns at once and never raises: the night does not wait for a terminal or a person.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...

    def update(self, state: NightState) -> None:
        """Show ``state``, the newest snapshot."""

    def close(self) -> None:
        """Show nothing more; leave the terminal as it was."""


class LiveView(Protocol):
    """A view of all sleepers who are monitored. The rules of `NightView` apply."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...

    def update(self, sleepers: Sequence[SleeperState]) -> None:
        """Show ``sleepers`` as they are now."""

    def close(self) -> None:
        """Show nothing more; leave the terminal as it was."""
