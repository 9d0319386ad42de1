"""Read a unit of voltage, in any spelling, by one table: `uv_per_unit`."""

from __future__ import annotations

import re
import unicodedata

_UV_PER_PREFIX = {
    "": 1e6,
    "milli": 1e3,
    "m": 1e3,
    "micro": 1.0,
    "mikro": 1.0,
    "mu": 1.0,
    "mc": 1.0,
    "u": 1.0,
    "\N{GREEK SMALL LETTER MU}": 1.0,
    "nano": 1e-3,
    "n": 1e-3,
}
_UV_PER_EXPONENT = {"0": 1e6, "-3": 1e3, "-6": 1.0, "-9": 1e-3}
"""Powers of ten of a volt, which mne-lsl writes instead of a name."""

_VOLTAGE = re.compile(f"({'|'.join(_UV_PER_PREFIX)})(?:v|volts?)")
# Nobody records megavolts, but 'MV' is no proof of millivolts either: it stays unknown.
_MEGA_OR_MILLI = re.compile(r"M(?:v|volts?)", re.IGNORECASE)
# The micro sign of older code pages, read as Latin-1: Shift-JIS, GBK, EUC-KR, DOS.
_FOREIGN_MICRO = re.compile("^(?:\x83\xca|\xa6\xcc|\xa5\xec|\xe6)")


def uv_per_unit(unit: str) -> float | None:
    """Return the microvolts in one ``unit``, or None if it is not a voltage.

    A unit is a symbol (``uV``, ``µV`` in any encoding), a word (``mVolt``, ``microvolts``) or, as
    in mne-lsl, an exponent of ten (``-6``). Case and blanks do not matter, except that ``MV`` is
    unknown.
    """
    text = re.sub(r"[\s_.()\[\]]", "", _without_mojibake(unit))
    if text in _UV_PER_EXPONENT:
        return _UV_PER_EXPONENT[text]
    text = _FOREIGN_MICRO.sub("u", text.replace("-", ""))
    if text.startswith("M") and _MEGA_OR_MILLI.fullmatch(text):
        return None
    # NFKC turns the micro sign into the Greek letter.
    voltage = _VOLTAGE.fullmatch(unicodedata.normalize("NFKC", text).casefold())
    return None if voltage is None else _UV_PER_PREFIX[voltage[1]]


def _without_mojibake(text: str) -> str:
    """Decode UTF-8 that was read as Latin-1, once or twice."""
    for _ in range(2):
        try:
            text = text.encode("latin-1").decode("utf-8")
        except UnicodeError:
            break
    return text
