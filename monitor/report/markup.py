"""Builds HTML and SVG from elements. Text is escaped by itself, so that no name becomes markup."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


class Markup(str):
    """Text that is markup already, and is not escaped again."""

    __slots__ = ()


def element(name: str, /, *children: object, **attributes: object) -> Markup:
    """Return the element ``name``, which is well-formed as HTML and as XML.

    - ``children``: text, numbers, `Markup`, or iterables of them; None is left out.
    - ``attributes``: None is left out. In a name, "_" stands for "-"; one at the end is dropped
      (``class_``).
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_escaped(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{given}/>")
    return Markup(f"<{name}{given}>{join(children)}</{name}>")


_VOID = {"meta", "path", "rect", "image"}
"""Elements without content. HTML needs an end tag for all others, even if they are empty."""


def join(children: object) -> Markup:
    """Return ``children`` (see `element`) one after the other."""
    if children is None:
        return Markup("")
    if isinstance(children, Markup):
        return children
    if isinstance(children, str | int | float):
        return Markup(_escaped(_text(children)))
    assert isinstance(children, Iterable), children
    return Markup("".join(map(join, children)))


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return str(value)


def _escaped(text: str) -> str:
    # XML has no control characters, not even escaped ones.
    return escape(
        "".join(c if c.isprintable() or c in "\n\t\N{NO-BREAK SPACE}" else "?" for c in text)
    )
