"""A case of fuzzing, and the base class of everything that makes and judges cases."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from monitor.closing import Closing


@dataclass(frozen=True, kw_only=True)
class Case:
    """An input.

    - ``story``: what is unusual in it.
    - ``files``: the content of each file that it consists of, by name.
    - ``sound``: True if the monitor must understand it; an error is then wrong.
    """

    story: str
    files: Mapping[str, bytes]
    sound: bool = False

    def write(self, folder: Path) -> None:
        """Write the files into ``folder``."""
        for name, content in self.files.items():
            (folder / name).write_bytes(content)


class Kind(Closing):
    """Base of a kind of input. Use it as a context manager: it may hold a server."""

    name: ClassVar[str]

    @abstractmethod
    def generate(self, random: Random) -> Case:
        """Return a case that depends on ``random`` alone."""

    @abstractmethod
    def check(self, case: Any, folder: Path) -> None:
        """Give the input to the monitor and compare the result with what the input means.

        ``folder`` holds the files of the case. Lets every `MonitorError` through. Raises
        AssertionError for a wrong result.
        """

    def close(self) -> None:
        """Release what the kind holds. Most hold nothing."""
