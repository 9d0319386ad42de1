"""Read the text fields of an EDF or BDF header, one after the other."""

from __future__ import annotations

import math
from pathlib import Path
from typing import BinaryIO

from monitor.errors import InputError


class HeaderFields:
    """The fields of a header in the order of the file; each call reads the next one.

    ``path`` is for the messages. Every method raises `InputError` if the file ends inside the field
    or if the field does not hold what the method returns. ``name`` is the field's name in messages.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file

    def text(self, n_bytes: int, name: str) -> str:
        """Read ``n_bytes`` as text without spaces around it; unprintable characters become '?'."""
        raw = self._file.read(n_bytes)
        if len(raw) < n_bytes:
            raise InputError(
                f"{self._path} is damaged: it ends inside its header, at the {name}. "
                "Copy or export it again"
            )
        # Latin-1 decodes any byte. The one common exception is the micro sign in Shift-JIS.
        text = raw.decode("latin-1").split("\0")[0].strip().replace("\x83\xca", "\xb5")
        return "".join(c if c.isprintable() else "?" for c in text)

    def number(self, n_bytes: int, name: str) -> float:
        """Read a finite number; some recorders write a decimal comma."""
        text = self.text(n_bytes, name)
        try:
            value = float(text.replace(",", "."))
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise InputError(
                f"{self._path} is damaged: its header gives the {name} as '{text}', "
                "not as a number. Copy or export it again"
            )
        return value

    def count(self, n_bytes: int, name: str) -> int:
        """Read a whole number."""
        value = self.number(n_bytes, name)
        if value != int(value):
            raise InputError(
                f"{self._path} is damaged: its header gives the {name} as {value}, "
                "not as a whole number. Copy or export it again"
            )
        return int(value)

    def positive(self, n_bytes: int, name: str) -> int:
        """Read a whole number of 1 or more."""
        value = self.count(n_bytes, name)
        if value < 1:
            raise InputError(
                f"{self._path} is damaged: its header gives the {name} as {value}. "
                "Copy or export it again"
            )
        return value
