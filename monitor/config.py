"""The options of a run, and the settings that they come from.

The command line comes before the environment, the environment before one TOML file, the file before
the defaults. Everything is validated here, once. A mistake raises one `InputError` that names the
key and the place where it was set.
"""

from __future__ import annotations

import difflib
import math
import os
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_config_path, user_data_path
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    StringConstraints,
    ValidationError,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from models.contract import Gain
from monitor.errors import InputError

ENVIRONMENT = "SLEEP_MONITOR_"
NO_REDIS = "none"
"""Stands in place of the event server's URL: publish no events."""


Grid = Literal["auto", "start"] | float
"""Where a replay's epochs start: on the expert's grid if there is one, with the first sample, or
on the 30-s grid that passes through this time of the recording, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The options that a replay and a live run share.

    - ``weights`` None: the default weights for ``gain``. ``exported`` None: the user's folder.
    - ``redis`` None: the event server inside the monitor, unless ``no_redis``.
    """

    gain: Gain = Gain.KNOWN
    weights: Path | None = None
    backend: str = "auto"
    exported: Path | None = None
    redis: str | None = None
    no_redis: bool = False
    dashboard: bool = True


@dataclass(frozen=True, slots=True)
class ReplayOptions(RunOptions):
    """The options of `sleep-monitor replay`.

    - ``channel``, ``hypnogram`` None: the recording decides. ``store`` None: the user's folder.
    - ``speed``: recorded seconds per second; None: as fast as possible.
    """

    recording: Path
    channel: str | None = None
    hypnogram: Path | None = None
    grid: Grid = "auto"
    speed: float | None = None
    store: Path | None = None
    output: Path | None = None

    @property
    def inputs(self) -> list[Path]:
        """The files that the replay reads. The card lies beside the weights."""
        card = None if self.weights is None else self.weights.with_suffix(".json")
        paths = (self.recording, self.hypnogram, self.weights, card)
        return [path for path in paths if path is not None]


def parse_speed(text: str) -> float | None:
    """Return ``--speed`` as a number above 0, or None for 'max'. Raises InputError."""
    if text == "max":
        return None
    speed = _number(text)
    if not (math.isfinite(speed) and speed > 0):
        raise InputError(f"--speed must be a number above 0, such as 1 or 60, or max, got '{text}'")
    return speed


def parse_grid(text: str) -> Grid:
    """Return ``--grid`` as 'auto', 'start' or seconds of 0 or more. Raises InputError."""
    if text == "auto":
        return "auto"
    if text == "start":
        return "start"
    seconds = _number(text)
    if not (math.isfinite(seconds) and seconds >= 0):
        raise InputError(f"--grid must be auto, start or seconds of 0 or more, got '{text}'")
    return seconds


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _file(path: Path) -> Path:
    if path == Path():
        raise ValueError("must name a file")
    try:
        return path.expanduser()
    except RuntimeError as exc:
        raise ValueError(f"must name a file: {exc}") from exc


def _redis_url(url: str) -> str:
    if url != NO_REDIS and not url.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError(
            "is not valid: write redis://[[user]:password@]host[:port][/db], rediss://... for TLS, "
            f"unix:///path/to/socket, or {NO_REDIS} for no events"
        )
    return url


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


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
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


@dataclass(frozen=True, slots=True)
class SleeperOptions:
    """A sleeper's source and files.

    - ``sleeper``: the person's name; "" if there is only one.
    - ``channels``: channels or derivations to stage, the best first; empty: by the device.
    - ``store``, ``output`` None: a file in the user's folder; no CSV file.
    """

    source: LslConfig | BrainflowConfig
    sleeper: str = ""
    channels: tuple[str, ...] = ()
    store: Path | None = None
    output: Path | None = None


@dataclass(frozen=True, slots=True)
class LiveOptions(RunOptions):
    """The options of `sleep-monitor live`.

    - ``sleepers``: one or more, with distinct names, stores and outputs.
    - ``wait_s``: how long a source may take to appear; None: for ever.
    - ``new_night``: begin a night even if one could be continued.
    """

    sleepers: tuple[SleeperOptions, ...]
    wait_s: float | None = None
    new_night: bool = False


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


class Settings(BaseSettings):
    """The settings that every command shares: the keys of the TOML file. See `read_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT, env_ignore_empty=True, extra="forbid", frozen=True
    )

    redis: Annotated[str, AfterValidator(_redis_url)] | None = None
    gain: Gain = Gain.KNOWN
    weights: File | None = None
    backend: Literal["auto", "tensorrt", "cuda", "onnx", "torch"] = "auto"
    exported: File | None = None
    wait: Annotated[FiniteFloat, Field(ge=0)] | None = None
    dashboard: bool = True
    sleeper: tuple[Sleeper, ...] = ()

    @property
    def no_redis(self) -> bool:
        """True if the run publishes no events."""
        return self.redis == NO_REDIS

    @property
    def redis_url(self) -> str | None:
        """The user's event server; None for the server inside the monitor, or for none."""
        return None if self.no_redis else self.redis

    def live(
        self,
        channel: Sequence[str] = (),
        store: Path | None = None,
        output: Path | None = None,
        new_night: bool = False,
    ) -> LiveOptions:
        """Return the options of a live run; the arguments are those of the command line.

        Raises InputError if there is no sleeper, if two have one name or one file, or if an
        argument could be for any of several sleepers.
        """
        if not self.sleeper:
            raise InputError(
                "no source is given: name it (sleep-monitor live lsl, or live brainflow --board "
                "muse_s), give one --source for each sleeper (--source "
                "lsl:source_id=abc,sleeper=anna), or put [[sleeper]] tables in a file "
                f"({default_config()}, or --config FILE)"
            )
        given: dict[str, Any] = {"channels": tuple(channel), "store": store, "output": output}
        given = {field: value for field, value in given.items() if value}
        sleepers = [_sleeper(each) for each in self.sleeper]
        if len(sleepers) == 1:
            sleepers = [replace(sleepers[0], **given)]
        elif given:
            key = next(iter(given)).removesuffix("s")
            raise InputError(
                f"--{key} could be for any of {len(sleepers)} sleepers: put {key}=... into its "
                f"--source, or {key} = ... into its [[sleeper]] table"
            )
        else:
            sleepers = _with_names(sleepers)
        _check_files(sleepers)
        return LiveOptions(
            tuple(sleepers), wait_s=self.wait, new_night=new_night, **self._run_options()
        )

    def replay(
        self,
        recording: Path,
        *,
        channel: str | None = None,
        hypnogram: Path | None = None,
        grid: str = "auto",
        speed: str = "max",
        store: Path | None = None,
        output: Path | None = None,
    ) -> ReplayOptions:
        """Return the options of a replay; the arguments are those of the command line.

        Raises InputError for a ``grid`` or a ``speed`` that is not valid.
        """
        return ReplayOptions(
            recording,
            channel=channel,
            hypnogram=hypnogram,
            grid=parse_grid(grid),
            speed=parse_speed(speed),
            store=store,
            output=output,
            **self._run_options(),
        )

    def _run_options(self) -> dict[str, Any]:
        return {
            "gain": self.gain,
            "weights": self.weights,
            "backend": self.backend,
            "exported": self.exported,
            "redis": self.redis_url,
            "no_redis": self.no_redis,
            "dashboard": self.dashboard,
        }


def default_config() -> Path:
    """Return the file that is read if it exists and no other is named."""
    return user_config_path("sleep-monitor", appauthor=False) / "sleep-monitor.toml"


def default_nights_folder() -> Path:
    """Return the folder for nights without a ``store``. It need not exist."""
    return user_data_path("sleep-monitor", appauthor=False) / "nights"


def default_exported_folder() -> Path:
    """Return the folder for exports and engines that `sleep-deploy` makes on this machine."""
    return user_data_path("sleep-monitor", appauthor=False) / "exported"


def config_file(config: Path | None = None) -> Path | None:
    """Return the TOML file of a run: ``config``, SLEEP_MONITOR_CONFIG, or the user's, if any."""
    named = config or Path(os.environ.get(f"{ENVIRONMENT}CONFIG", ""))
    if named != Path():
        return named
    return default_config() if default_config().is_file() else None


def read_settings(config: Path | None = None, **command_line: Any) -> Settings:
    """Read the settings of a run.

    ``command_line`` holds the options of the command line by key; None: not given. Its ``sleeper``
    is a list of `--source` texts, or one table for `live lsl` and `live brainflow`. Raises
    InputError for the first mistake, in one line.
    """
    given = {key: value for key, value in command_line.items() if value is not None}
    path = config_file(config)
    table = {} if path is None else _read_toml(path)
    for variable in _unknown_variables():
        key = variable.upper().removeprefix(ENVIRONMENT).lower()
        known = [f for f in Settings.model_fields if f != "sleeper"]
        raise InputError(f"environment variable {variable}: {_unknown(key, [*known, 'config'])}")
    environment = EnvSettingsSource(Settings)()
    try:
        return Settings(**table | environment | given)
    except ValidationError as exc:
        # If a required key is missing and a similar one is present, the message names the misspelt
        # key: that is the one to correct.
        error = min(exc.errors(), key=lambda each: each["type"] != "extra_forbidden")
        key, inner = str(error["loc"][0]), error["loc"][1:]
        if key in given:
            place = _option(key, inner, given[key])
        elif key in environment:
            place = f"environment variable {ENVIRONMENT}{key.upper()}"
        else:
            place = f"{path}: {_key(key, inner)}"
        raise InputError(f"{place}: {_description(error)}") from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as exc:
        raise InputError(
            f"cannot read the configuration {path}: {exc.strerror}; --config or "
            f"{ENVIRONMENT}CONFIG must name a TOML file"
        ) from exc
    except UnicodeDecodeError as exc:
        raise InputError(f"the configuration {path} is not UTF-8 text: {exc}") from exc
    except tomllib.TOMLDecodeError as exc:
        raise InputError(f"the configuration {path} is not TOML: {exc}") from exc
    sleepers = table.get("sleeper")
    for each in (table, *(sleepers if isinstance(sleepers, list) else [])):
        if isinstance(each, dict):
            _anchor(each, path.absolute().parent)
    return table


def _anchor(table: dict[str, Any], folder: Path) -> None:
    """Make the file names in ``table`` relative to the folder of the configuration file.

    So the file works from whatever folder the command is given in.
    """
    for key in ("weights", "exported", "store", "output", "file"):
        value = table.get(key)
        if isinstance(value, str) and value and not value.startswith("~"):
            table[key] = str(folder / value)


def _unknown_variables() -> Iterator[str]:
    known = {f"{ENVIRONMENT}{key}".upper() for key in [*Settings.model_fields, "config"]}
    known.discard(f"{ENVIRONMENT}SLEEPER")
    for variable in sorted(os.environ):
        if variable.upper().startswith(ENVIRONMENT) and variable.upper() not in known:
            yield variable


_KINDS: Mapping[str, type[BaseModel]] = {"lsl": LslSleeper, "brainflow": BrainflowSleeper}


def _key(key: str, inner: Sequence[str | int]) -> str:
    """Return a name such as 'sleeper[2].board'.

    It counts from 1, and leaves out the kind of source that pydantic adds to the path.
    """
    name = key
    for part in inner:
        if isinstance(part, int):
            name += f"[{part + 1}]"
        elif part not in _KINDS:
            name += f".{part}"
    return name


def _option(key: str, inner: Sequence[str | int], value: Any) -> str:
    if key != "sleeper":
        return f"--{key}"
    source = value[inner[0]]
    keys = [str(part) for part in inner[1:] if isinstance(part, str) and part not in _KINDS]
    if isinstance(source, str):
        return ": ".join([f"--source {source}", *keys])
    return f"--{keys[0].replace('_', '-')}" if keys else f"live {source['source']}"


def _description(error: ErrorDetails) -> str:
    """Describe a mistake and what is allowed; in pydantic's words where they are clear."""
    loc, kind = error["loc"], error["type"]
    if kind == "extra_forbidden":
        known: Mapping[str, Any] = Settings.model_fields
        if len(loc) > 1:
            known = _KINDS[str(loc[2])].model_fields
        return _unknown(str(loc[-1]), ["source" if key == "kind" else key for key in known])
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        actual = "" if kind == "union_tag_not_found" else f", got '{error['ctx']['tag']}'"
        return f"source must be {' or '.join(map(repr, _KINDS))}{actual}"
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if loc == ("sleeper",):
        return "must be tables: begin each with a line [[sleeper]]"
    text = error["msg"].replace("Input should", "must").replace("String should", "must")
    text = text[0].lower() + text[1:]
    # A URL may hold a password.
    return text if loc == ("redis",) else f"{text}, got {error['input']!r}"


def _unknown(key: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    meant = f"; did you mean '{close[0]}'?" if close else ""
    return f"unknown key{meant} (known: {', '.join(known)})"


def _sleeper(table: LslSleeper | BrainflowSleeper) -> SleeperOptions:
    kind = LslConfig if isinstance(table, LslSleeper) else BrainflowConfig
    source = kind(**{key: getattr(table, key) for key in kind.model_fields})
    return SleeperOptions(source, table.sleeper, table.channel, table.store, table.output)


def _with_names(sleepers: Sequence[SleeperOptions]) -> list[SleeperOptions]:
    """Name each sleeper without a name by the place in the list."""
    named = [
        replace(each, sleeper=each.sleeper or str(number))
        for number, each in enumerate(sleepers, start=1)
    ]
    # Some file systems ignore case, and the names are part of file names.
    names = [each.sleeper.casefold() for each in named]
    for name, count in Counter(names).items():
        if count > 1:
            original = named[names.index(name)].sleeper
            raise InputError(
                f"{count} sleepers are called '{original}': give each a name of its own, "
                "sleeper=... in its --source or sleeper = ... in its [[sleeper]] table"
            )
    return named


def _check_files(sleepers: Sequence[SleeperOptions]) -> None:
    """Raise InputError if two sleepers, or a store and an output, name one file."""
    seen: dict[str, str] = {}
    for each in sleepers:
        suffix = f" of {each.sleeper}" if each.sleeper else ""
        for key, path in (("store", each.store), ("output", each.output)):
            if path is None:
                continue
            owner = seen.setdefault(os.path.realpath(path), key + suffix)
            if owner != key + suffix:
                raise InputError(
                    f"{owner} and {key}{suffix} are one file, {path}: give each its own"
                )
