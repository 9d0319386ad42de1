"""The sources of live EEG, as a user configures them: the keys of `[[sleeper]]` and `--source`."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

LONGEST = 4096
"""Letters of a text: as many as Linux allows in the name of a file."""


def _one_line(text: str) -> str:
    if len(text) > LONGEST or any(unicodedata.category(letter) == "Cc" for letter in text):
        raise ValueError(
            f"must be one line of at most {LONGEST} letters, without control characters"
        )
    return text


def _file(path: Path) -> Path:
    if path == Path():
        raise ValueError("must name a file")
    _one_line(str(path))
    try:
        return path.expanduser()
    except RuntimeError as exc:
        raise ValueError(f"must name a file: {exc}") from exc


def _sleeper_name(name: str) -> str:
    # The name becomes part of file names and of keys on the event server.
    if name and not (name[0].isalnum() and all(c.isalnum() or c in " ._-" for c in name)):
        raise ValueError(
            "must be of letters, digits, ' ', '.', '_' and '-', a letter or digit first"
        )
    return name


def _unit(unit: str) -> str:
    known = {known.casefold(): known for known in ("nV", "uV", "mV", "V")}
    if unit.casefold() not in known:
        raise ValueError("must be nV, uV, mV or V")
    return known[unit.casefold()]


def _names(names: object) -> object:
    return (names,) if isinstance(names, str) else names


Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1), AfterValidator(_one_line)
]
File = Annotated[Path, AfterValidator(_file)]


class LslConfig(BaseModel):
    """An LSL stream, found by the properties that are set; with none set, the only EEG stream.

    ``unit`` replaces the unit that the stream declares.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["lsl"] = "lsl"
    name: Text | None = None
    type: Text | None = None
    source_id: Text | None = None
    unit: Annotated[Text, AfterValidator(_unit)] | None = None


class BrainflowConfig(BaseModel):
    """A board that BrainFlow knows, by BrainFlow's name for it, in any case."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["brainflow"] = "brainflow"
    board: Text
    port: Text | None = None
    mac: Text | None = None
    serial: Text | None = None
    file: File | None = None


class _Sleeper(BaseModel):
    """The keys of a `[[sleeper]]` that do not depend on its source."""

    sleeper: Annotated[str, StringConstraints(max_length=40), AfterValidator(_sleeper_name)] = ""
    channel: Annotated[tuple[Text, ...], BeforeValidator(_names)] = ()
    store: File | None = None
    output: File | None = None


class LslSleeper(_Sleeper, LslConfig):
    kind: Literal["lsl"] = Field(alias="source")


class BrainflowSleeper(_Sleeper, BrainflowConfig):
    kind: Literal["brainflow"] = Field(alias="source")


def _parsed(text: object) -> object:
    """Return the table that a text such as 'lsl:source_id=abc,sleeper=anna' stands for."""
    if not isinstance(text, str):
        return text
    kind, _, rest = text.partition(":")
    table: dict[str, Any] = {"source": kind.strip()}
    for item in filter(None, rest.split(",")):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals:
            raise ValueError(f"'{item}' is not KEY=VALUE, as in lsl:source_id=abc,sleeper=anna")
        if key == "channel":
            table.setdefault(key, []).append(value)
        elif key in table:
            raise ValueError(f"gives {key} twice")
        else:
            table[key] = value
    return table


Sleeper = Annotated[
    Annotated[LslSleeper | BrainflowSleeper, Field(discriminator="kind")], BeforeValidator(_parsed)
]


KINDS: Mapping[str, type[BaseModel]] = {"lsl": LslSleeper, "brainflow": BrainflowSleeper}
"""The kinds of sources, by the name that selects them."""
