"""Describes a mistake in the settings: where it is, what is wrong, what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import ErrorDetails

from monitor.config.rules import rule_keys
from monitor.config.settings import Settings
from monitor.config.sources import KINDS
from monitor.config.ways import WAYS
from monitor.config.web import TABLES
from monitor.text import clean

_TABLES = {**TABLES, **WAYS}


def key_name(key: str, inner: Sequence[str | int]) -> str:
    """Return the name of a key in the TOML file, such as 'sleeper[2].board'.

    ``inner`` is pydantic's path inside ``key``. Sleepers count from 1 here, and the kind of source
    that pydantic adds to the path is left out.
    """
    name = key
    for part in inner:
        if isinstance(part, int):
            name += f"[{part + 1}]"
        elif part not in KINDS:
            name += f".{part}"
    return name


def option_name(key: str, inner: Sequence[str | int], value: Any) -> str:
    """Return the option of the command line that gave ``value``, such as '--source lsl: name'.

    ``key`` and ``inner`` are as in `key_name`.
    """
    if key != "sleeper":
        return f"--{key}"
    source = value[inner[0]]
    keys = [str(part) for part in inner[1:] if isinstance(part, str) and part not in KINDS]
    if isinstance(source, str):
        return ": ".join([f"--source {source}", *keys])
    return f"--{keys[0].replace('_', '-')}" if keys else f"live {source['source']}"


def describe(error: ErrorDetails) -> str:
    """Describe a mistake and the allowed values; in pydantic's words where they are clear."""
    loc, kind = error["loc"], error["type"]
    if kind == "extra_forbidden":
        if loc[0] == "rule":
            return unknown_key(str(loc[-1]), rule_keys(loc[1:]))
        known: Mapping[str, Any] = Settings.model_fields
        if len(loc) > 1:
            model = _TABLES[str(loc[0])] if loc[0] in _TABLES else KINDS[str(loc[2])]
            known = model.model_fields
        return unknown_key(str(loc[-1]), ["source" if key == "kind" else key for key in known])
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        actual = (
            "" if kind == "union_tag_not_found" else f", got '{clean(str(error['ctx']['tag']))}'"
        )
        return f"source must be {' or '.join(map(repr, KINDS))}{actual}"
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        return clean(str(error["ctx"]["error"]), 400)
    if loc in (("sleeper",), ("rule",)) and kind != "too_long":
        return f"must be tables: begin each with a line [[{loc[0]}]]"
    if len(loc) == 1 and loc[0] in _TABLES:
        return f"must be a table: begin it with a line [{loc[0]}]"
    text = error["msg"].replace("Input should", "must").replace("String should", "must")
    text = text[0].lower() + text[1:]
    return text if _is_secret(loc) else f"{text}, got {clean(repr(error['input']))}"


def _is_secret(loc: Sequence[str | int]) -> bool:
    """Return True if the value at ``loc`` may hold a password, as a URL does."""
    return loc[-1] in ("redis", "http", "url", "password", "secret")


def unknown_key(key: str, known: Sequence[str]) -> str:
    """Describe the unknown ``key``, with the known key that was probably meant."""
    close = difflib.get_close_matches(clean(key), known, n=1)
    meant = f"; did you mean '{close[0]}'?" if close else ""
    return f"unknown key{meant} (known: {', '.join(known)})"
