"""Clean a text that comes from outside, once, where it enters: `clean`."""

from __future__ import annotations

LONGEST = 200
"""Letters that a name or a note from outside may have. What is longer is cut."""


def clean(text: str, longest: int = LONGEST) -> str:
    """Return ``text`` as one line that is safe to print, log and send.

    Names come from files, devices and other programs. A newline in one forges a log line, and a
    control character or a bidirectional override changes what a terminal shows. White space becomes
    one blank, any other letter that does not print becomes "?", and the end of a text of more than
    ``longest`` letters becomes an ellipsis.
    """
    # A text may be millions of letters long: what is cut off need not be looked at.
    head = text.strip()[: longest + 1]
    line = " ".join(printed(head).split())
    if len(line) > longest or len(head) > longest:
        return line[: longest - 1].rstrip() + "…"
    return line


def printed(text: str) -> str:
    """Return ``text``, which may name a file, with each letter that does not print replaced."""
    if text.isprintable():
        return text
    return "".join(" " if each.isspace() else each if each.isprintable() else "?" for each in text)
