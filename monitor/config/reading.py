"""Reads the settings of a run from the command line, the environment and one TOML file."""

from __future__ import annotations

import logging
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource

from models.reading import UnreadableError, check_value, decoded, read_bytes
from monitor.config.folders import default_config
from monitor.config.mistakes import describe, key_name, option_name, unknown_key
from monitor.config.settings import ENVIRONMENT, Settings
from monitor.config.ways import SECRETS, WAYS
from monitor.config.web import TABLES
from monitor.errors import InputError
from monitor.text import clean

LARGEST_TOML = 64 * 2**10
"""Bytes of a configuration: that of sixty sleepers has less than 20 kB."""

LONGEST_LINE = 5000
"""Letters of a line: room for the longest name of a file. Python's TOML reader takes a time that
grows with the square of a key's dots, 16 s for 64 kB of them."""

_IN_THE_FILE = {"sleeper", "rule", *TABLES, *WAYS}
"""Tables. No variable of the environment sets them."""

_log = logging.getLogger(__name__)


def config_file(config: Path | None = None) -> Path | None:
    """Return the TOML file of a run: ``config``, SLEEP_MONITOR_CONFIG, or the user's, if any."""
    named = config or Path(os.environ.get(f"{ENVIRONMENT}CONFIG", ""))
    if named != Path():
        return named
    return default_config() if default_config().is_file() else None


def _has_password(values: Mapping[str, Any]) -> bool:
    return re.search("@|password=", str(values.get("redis", ""))) is not None


def _secrets(table: Mapping[str, Any]) -> list[str]:
    """Return the keys of ``table`` that hold a secret, for people."""
    found = ["the password of redis"] if _has_password(table) else []
    for way, key in [*SECRETS.values(), ("http", "url")]:
        if isinstance(table.get(way), dict) and key in table[way]:
            found.append(f"{key} of [{way}]")
    return found


def read_settings(config: Path | None = None, **command_line: Any) -> Settings:
    """Read the settings of a run.

    ``command_line`` holds the options of the command line by key; None: not given. Its ``sleeper``
    is a list of `--source` texts, or one table for `live lsl` and `live brainflow`. Raises
    InputError for the first mistake, in one line.
    """
    given = {key: value for key, value in command_line.items() if value is not None}
    path = config_file(config)
    table = {} if path is None else _read_toml(path)
    if (variable := next(_unknown_variables(), None)) is not None:
        key = variable.upper().removeprefix(ENVIRONMENT).lower()
        known = [f for f in Settings.model_fields if f not in _IN_THE_FILE]
        known += ["config", *(each.lower() for each in SECRETS)]
        raise InputError(f"environment variable {variable}: {unknown_key(key, known)}")
    environment = EnvSettingsSource(Settings)()
    # Windows has other permissions, which the mode does not show.
    private = os.name != "posix" or path is None or not path.stat().st_mode & 0o077
    if (secrets := _secrets(table)) and not private:
        _log.warning(
            "Other users of this machine may read %s in %s: chmod 600 it",
            " and ".join(secrets),
            path,
        )
    for variable, (way, key) in SECRETS.items():
        value = os.environ.get(ENVIRONMENT + variable)
        if value and isinstance(table.get(way), dict):
            table[way][key] = value
    if _has_password(given):
        _log.warning(
            "Every user of this machine can see the password in --redis (ps): set %sREDIS instead, "
            'or redis = "..." in a configuration file that only you can read',
            ENVIRONMENT,
        )
    try:
        # For a key in several tables, the table further right wins.
        return Settings(**table | environment | given)
    except ValidationError as exc:
        # If a required key is missing and a similar one is present, the message names the misspelt
        # key: that is the one to correct.
        error = min(exc.errors(), key=lambda each: each["type"] != "extra_forbidden")
        key, inner = str(error["loc"][0]), error["loc"][1:]
        if key in given:
            place = option_name(key, inner, given[key])
        elif key in environment:
            place = f"environment variable {ENVIRONMENT}{key.upper()}"
        else:
            place = f"{path}: {clean(key_name(key, inner))}"
        raise InputError(f"{place}: {describe(error)}") from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        text = decoded(read_bytes(path, LARGEST_TOML))
        if any(len(line) > LONGEST_LINE for line in text.splitlines()):
            raise UnreadableError(f"has a line of more than {LONGEST_LINE} letters")
        table = tomllib.loads(text)
        check_value(table)
    except FileNotFoundError as exc:
        raise InputError(
            f"cannot read the configuration {path}: {exc.strerror}; --config or "
            f"{ENVIRONMENT}CONFIG must name a TOML file"
        ) from exc
    except UnreadableError as exc:
        raise InputError(
            f"the configuration {path} {exc}; --config or {ENVIRONMENT}CONFIG must name a TOML file"
        ) from exc
    except RecursionError as exc:
        raise InputError(f"the configuration {path} is nested too deep") from exc
    except ValueError as exc:  # Not TOML, or an integer of thousands of digits.
        raise InputError(f"the configuration {path} is not TOML: {clean(str(exc))}") from exc
    lists = [table.get(key) for key in ("sleeper", "rule")]
    tables = [table.get(name) for name in TABLES]
    listed = [each for found in lists if isinstance(found, list) for each in found]
    for each in (table, *tables, *listed):
        if isinstance(each, dict):
            _anchor(each, path.absolute().parent)
    return table


def _anchor(table: dict[str, Any], folder: Path) -> None:
    """Make the file names in ``table`` relative to the folder of the configuration file.

    So the file means the same from every working folder.
    """
    for key in ("weights", "exported", "store", "output", "file", "sound"):
        value = table.get(key)
        if isinstance(value, str) and value and not value.startswith("~"):
            table[key] = str(folder / value)


def _unknown_variables() -> Iterator[str]:
    keys = set(Settings.model_fields) - _IN_THE_FILE
    known = {f"{ENVIRONMENT}{key}".upper() for key in [*keys, "config", *SECRETS]}
    for variable in sorted(os.environ):
        if variable.upper().startswith(ENVIRONMENT) and variable.upper() not in known:
            yield variable
