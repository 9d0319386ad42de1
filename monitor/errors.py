"""Errors that a user can mend. The command line prints their text as one line and exits.

MonitorError                 exit 1: the run failed
└── InputError               exit 2: the input or the command is wrong, nothing was started
"""

from __future__ import annotations

from monitor.text import printed


class MonitorError(Exception):
    """The run failed; the text says what happened and what to do.

    The text is one line that a terminal only shows, also if a file's name in it is not.
    """

    exit_code = 1

    def __init__(self, text: str) -> None:
        super().__init__(printed(text))


class InputError(MonitorError):
    """A file, option or value is wrong; the text names it, the rule it breaks and what to do."""

    exit_code = 2


def one_line(exc: BaseException) -> str:
    """Describe ``exc`` in one line: a `MonitorError` by its text, others by type and text."""
    text = " ".join(printed(str(exc)).split())
    if text and isinstance(exc, MonitorError):
        return text
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__
