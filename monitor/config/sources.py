"""The sources of live EEG, as a user configures them: the keys of `[[sleeper]]` and `--source`."""

from __future__ import annotations

import re
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

from monitor.text import LONGEST, clean
from monitor.units import uv_per_unit

LONGEST_PATH = 4096
"""Letters of a file's path: as many as Linux allows."""


def _file(path: Path) -> Path:
    if path == Path():
        raise ValueError("must name a file")
    if len(str(path)) > LONGEST_PATH or any(unicodedata.category(c) == "Cc" for c in str(path)):
        raise ValueError(
            f"must be one line of at most {LONGEST_PATH} letters, without control characters"
        )
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
    if uv_per_unit(unit) is None:
        raise ValueError("must be nV, uV, mV or V")
    return unit


def _names(names: object) -> object:
    return (names,) if isinstance(names, str) else names


def _cleaned(text: str) -> str:
    if not (cleaned := clean(text)):
        raise ValueError("must not be blank")
    return cleaned


def _plain(text: str) -> str:
    if clean(text) != text:
        raise ValueError(f"must be one line of at most {LONGEST} letters that print")
    return text


def _spelling(text: str) -> str:
    """Return a key that is equal for all spellings of an address, a port or a serial number."""
    return re.sub(r"[\s:_-]", "", text.casefold())


Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1), AfterValidator(_plain)
]
StreamText = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1), AfterValidator(_cleaned)
]
"""A property of a stream, as `sleep-monitor streams` prints it or as its sender wrote it."""
File = Annotated[Path, AfterValidator(_file)]


class LslConfig(BaseModel):
    """An LSL stream, found by the properties that are set; with none set, the only EEG stream.

    ``unit`` replaces the unit that the stream declares.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["lsl"] = "lsl"
    name: StreamText | None = None
    type: StreamText | None = None
    source_id: StreamText | None = None
    unit: Annotated[Text, AfterValidator(_unit)] | None = None

    def identities(self) -> dict[str, str]:
        """Return the keys that name one stream alone, each in one spelling."""
        if self.source_id is not None:
            return {"source_id": self.source_id.casefold()}
        return {} if self.name is None else {"name": self.name.casefold()}


class BrainflowConfig(BaseModel):
    """A board that BrainFlow knows, by BrainFlow's name for it, in any case."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["brainflow"] = "brainflow"
    board: Text
    port: Text | None = None
    mac: Text | None = None
    serial: Text | None = None
    file: File | None = None

    def identities(self) -> dict[str, str]:
        """Return the keys that name one board alone, each in one spelling."""
        given = {"mac": self.mac, "serial": self.serial, "port": self.port}
        return {key: _spelling(value) for key, value in given.items() if value is not None}


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
