"""Text from outside is one line that prints."""

from __future__ import annotations

import pytest

from monitor.errors import InputError, one_line
from monitor.text import clean


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("EEG Fpz-Cz", "EEG Fpz-Cz"),
        ("  C3\t- M2\r\n", "C3 - M2"),
        ("left\nWARNING forged line", "left WARNING forged line"),
        ("\x1b[2Jcleared\x9b31mred", "?[2Jcleared?31mred"),
        ("\u202egnp.exe", "?gnp.exe"),
        ("lone \ud800 surrogate", "lone ? surrogate"),
        ("Zoë 睡眠", "Zoë 睡眠"),
        ("", ""),
    ],
)
def test_what_does_not_print_is_replaced(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned
    assert clean(cleaned) == cleaned


def test_every_error_is_one_line_whatever_its_file_is_called() -> None:
    error = InputError("a  b\x1b[31m\nc\u202e.edf does not exist")
    assert str(error) == "a  b?[31m c?.edf does not exist"
    assert one_line(ValueError("\x1b]0;title\x07\n")) == "ValueError: ?]0;title?"


def test_a_long_text_is_cut() -> None:
    assert clean("x" * 10_000_000, longest=10) == "xxxxxxxxx…"
    assert clean("x" * 10, longest=10) == "x" * 10
    assert clean("x " * 10_000_000, longest=10) == "x x x x x…"
