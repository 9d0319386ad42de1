"""Read the text fields of an EDF or BDF header, one after the other."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import BinaryIO

from monitor.errors import InputError
from monitor.text import clean

# Some recorders write a decimal comma. Python's float() reads more: 'nan', '1_000', other digits.
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


class HeaderFields:
    """The fields of a header in the order of the file; each call reads the next one.

    ``path`` is for the messages. Every method raises `InputError` if the file ends inside the field
    or if the field does not hold what the method returns. ``name`` is the field's name in messages.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file

    def text(self, n_bytes: int, name: str) -> str:
        """Read ``n_bytes`` as a clean text, without blanks around it."""
        raw = self._file.read(n_bytes)
        if len(raw) < n_bytes:
            raise InputError(
                f"{self._path} is damaged: it ends inside its header, at the {name}. "
                "Copy or export it again"
            )
        return clean(_decoded(raw.split(b"\0")[0]))

    def number(self, n_bytes: int, name: str) -> float:
        """Read a finite number."""
        text = self.text(n_bytes, name)
        value = parse_number(text)
        if value is None:
            raise self.damaged(name, f"'{text}'", "a number")
        return value

    def count(self, n_bytes: int, name: str) -> int:
        """Read a whole number of as many digits as fit the field."""
        value = self.number(n_bytes, name)
        if not value.is_integer() or abs(value) >= 10**n_bytes:  # 1e300 fits the field
            raise self.damaged(name, f"{value}", "a whole number")
        return int(value)

    def damaged(self, name: str, value: str, wanted: str) -> InputError:
        """Return the error for a field that holds ``value`` and not what is ``wanted``."""
        return InputError(
            f"{self._path} is damaged: its header gives the {name} as {value}, not as {wanted}. "
            "Copy or export it again"
        )


def parse_number(text: str) -> float | None:
    """Return the finite number that ``text`` is, with a decimal point or comma, or None."""
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text.replace(",", "."))
    return value if math.isfinite(value) else None


def _decoded(raw: bytes) -> str:
    """Decode a text. EDF allows ASCII alone; recorders write UTF-8, Latin-1 or Shift-JIS."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        # Latin-1 decodes any byte. The micro sign is what headers hold in Shift-JIS.
        return raw.replace(b"\x83\xca", b"\xb5").decode("latin-1")
