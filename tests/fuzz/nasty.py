"""Texts and numbers that programs stumble over, and blind changes of bytes."""

from __future__ import annotations

from random import Random

NUMBERS = (
    *("", " ", "nan", "inf", "-inf", "-0", "0", "-1", "+1", "1.", ".5", "--1", "1_0", "0x10"),
    *("1e308", "-1e308", "1e309", "5e-324", "1e-400", "1,5", "1e5", "1e11", "-1e11", "1 2"),
    *("2147483648", "-2147483649", "9223372036854775808", "253402300800", "99999999"),
    *(
        "\uff11\uff12",
        "\u0663",
        "½",
        "9" * 400,
        "9" * 5000,
        "0." + "3" * 5000,
        "****",
        "null",
        "true",
    ),
)
"""Texts in the place of a number."""

VALUES: tuple[float | int | str | bool | None, ...] = (
    *(0, -1, 1, -0.0, 5e-324, 1e308, 1e11, -1e11, 2**31, 2**63, 2**64, 10**400, 0.1),
    *(float("nan"), float("inf"), float("-inf"), True, False, None, "", "nan", "1"),
)
"""Numbers, and what is found in their place, for JSON and TOML."""

TEXTS = (
    *("", " ", "\0", "a\0b", "\n", "a\r\nforged: line", "\t", "\x1b[31mred", "\x9b2J", "\x7f"),
    *("\u202eevil", "\u2028", "\ufeff", "\ufffd", "\ud800", "é", "e\u0301", "😀", "中文", "µV"),
    *("x" * 300, "x" * 10_000, "'", '"', "<b>", "&amp;", "%s%n", "{}", "{0.__class__}", "\\"),
    *("../../etc/passwd", "-", "--", ".", "None", "null", "nan", "[bold]x[/bold]", "[/]"),
)
"""Texts in the place of a name or a note."""


def number(random: Random) -> str:
    """Return a text in the place of a number."""
    return random.choice(NUMBERS)


def text(random: Random) -> str:
    """Return a text in the place of a name."""
    return random.choice(TEXTS)


def field(random: Random, width: int) -> bytes:
    """Return the ``width`` bytes of a header's field, with a nasty number or text in it."""
    value = random.choice((number, text))(random)
    return value.encode("utf-8", "surrogatepass")[:width].ljust(width)


def changed(random: Random, data: bytes) -> tuple[bytes, str]:
    """Return ``data`` with one blind change, and a description of the change."""
    if not data:
        return b"\0", "a byte instead of nothing"
    at = random.randrange(len(data))
    length = min(random.choice((1, 2, 4, 16, 256)), len(data) - at)
    end = at + length
    match random.randrange(8):
        case 0:
            bit = 1 << random.randrange(8)
            return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :], f"bit {bit} of byte {at}"
        case 1:
            value = random.choice((0, 0x14, 0x15, 0x20, 0x2D, 0x39, 0x7F, 0x80, 0xFF))
            return data[:at] + bytes([value]) + data[at + 1 :], f"byte {at} is {value}"
        case 2:
            return data[:at] + data[end:], f"{length} bytes are missing from byte {at} on"
        case 3:
            return data[:end] + data[at:], f"{length} bytes from byte {at} on are repeated"
        case 4:
            return data[:at], f"it ends at byte {at}"
        case 5:
            return data[:at] + bytes(length) + data[end:], f"{length} zeros from byte {at} on"
        case 6:
            junk = random.randbytes(length)
            return data[:at] + junk + data[end:], f"{length} other bytes from byte {at} on"
        case _:
            return data + random.randbytes(length), f"{length} bytes follow the end"
