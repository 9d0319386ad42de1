"""The settings that every command shares. They build the options of a run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, FiniteFloat
from pydantic_settings import BaseSettings, SettingsConfigDict

from models.contract import Gain
from monitor.config.folders import default_config
from monitor.config.options import (
    LiveOptions,
    ReplayOptions,
    SleeperOptions,
    Theme,
    parse_grid,
    parse_speed,
)
from monitor.config.rules import Rule, Rules
from monitor.config.sources import (
    BrainflowConfig,
    BrainflowSleeper,
    File,
    LslConfig,
    LslSleeper,
    Sleeper,
)
from monitor.config.ways import HttpConfig, LslOutConfig, MqttConfig, OscConfig, WayOptions
from monitor.config.web import AlertConfig, WebAddress, WebConfig, parse_address, web_address
from monitor.errors import InputError

ENVIRONMENT = "SLEEP_MONITOR_"
"""Prefix of the environment variables that hold settings."""

NO_REDIS = "none"
"""The value of ``redis``, instead of a URL, for a run that publishes no events."""


def _redis_url(url: str) -> str:
    if url != NO_REDIS and not url.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError(
            "is not valid: write redis://[[user]:password@]host[:port][/db], rediss://... for TLS, "
            f"unix:///path/to/socket, or {NO_REDIS} for no events"
        )
    return url


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
    theme: Theme = "auto"
    mqtt: MqttConfig | None = None
    http: HttpConfig | None = None
    osc: OscConfig | None = None
    lsl_out: LslOutConfig | None = None
    sleeper: tuple[Sleeper, ...] = ()
    rule: Rules = ()
    web: WebConfig = WebConfig()
    alert: AlertConfig | None = None

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
        web: str | None = None,
    ) -> LiveOptions:
        """Return the options of a live run; the arguments are those of the command line.

        Raises InputError if there is no sleeper, if two have one name or one file, if an argument
        could be for any of several sleepers, if there can be no page (``web``), or if a rule is for
        none of them.
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
            key = next(iter(given)).removesuffix("s")  # `channels` is the option --channel
            raise InputError(
                f"--{key} could be for any of {len(sleepers)} sleepers: put {key}=... into its "
                f"--source, or {key} = ... into its [[sleeper]] table"
            )
        else:
            sleepers = _with_names(sleepers)
            _check_sources(sleepers)
        _check_files(sleepers)
        return LiveOptions(
            tuple(sleepers),
            wait_s=self.wait,
            new_night=new_night,
            rules=self._rules([each.sleeper for each in sleepers]),
            web=self._web_of_a_night(web),
            web_hosts=self.web.hosts,
            alert=self.alert,
            **self._run_options(),
        )

    def web_address(self, given: str | None) -> WebAddress:
        """Return the address of the page: ``given`` on the command line, or the configured one."""
        return web_address(given) if given else parse_address(self.web.address or "")

    def _web_of_a_night(self, given: str | None) -> WebAddress | None:
        if given is None and self.web.address is None:
            return None
        if self.no_redis:
            raise InputError("the page reads the events: leave out --no-redis, or --web")
        return self.web_address(given)

    def replay(
        self,
        recording: Path,
        *,
        channel: str | None = None,
        hypnogram: Path | None = None,
        grid: str = "auto",
        speed: str = "max",
        store: Path | None = None,
        keep: bool = False,
        output: Path | None = None,
    ) -> ReplayOptions:
        """Return the options of a replay; the arguments are those of the command line.

        Raises InputError for a ``grid`` or a ``speed`` that is not valid, and for ``keep`` with a
        ``store``.
        """
        if keep and store is not None:
            raise InputError("give --keep or --store, not both: each keeps the night in a file")
        return ReplayOptions(
            recording,
            channel=channel,
            hypnogram=hypnogram,
            grid=parse_grid(grid),
            speed=parse_speed(speed),
            store=store,
            keep=keep,
            output=output,
            **self._run_options(),
        )

    def _rules(self, sleepers: Sequence[str]) -> tuple[Rule, ...]:
        """Return the rules. Raises InputError for one of a sleeper who is not monitored."""
        for number, rule in enumerate(self.rule, start=1):
            if rule.sleeper is not None and rule.sleeper not in sleepers:
                raise InputError(
                    f"rule[{number}].sleeper: the rule '{rule.name}' can never fire: no sleeper "
                    f"'{rule.sleeper}' is monitored"
                )
        return self.rule

    def _run_options(self) -> dict[str, Any]:
        return {
            "gain": self.gain,
            "weights": self.weights,
            "backend": self.backend,
            "exported": self.exported,
            "redis": self.redis_url,
            "no_redis": self.no_redis,
            "dashboard": self.dashboard,
            "theme": self.theme,
            "ways": WayOptions(self.mqtt, self.http, self.osc, self.lsl_out),
        }


_SOURCES: dict[type[LslSleeper | BrainflowSleeper], type[LslConfig | BrainflowConfig]] = {
    LslSleeper: LslConfig,
    BrainflowSleeper: BrainflowConfig,
}
"""The configuration of the source that is part of each kind of `[[sleeper]]`."""


def _sleeper(table: LslSleeper | BrainflowSleeper) -> SleeperOptions:
    kind = _SOURCES[type(table)]
    source = kind(**{key: getattr(table, key) for key in kind.model_fields})
    return SleeperOptions(source, table.sleeper, table.channel, table.store, table.output)


def _with_names(sleepers: Sequence[SleeperOptions]) -> list[SleeperOptions]:
    """Name each sleeper without a name by its number in the list, from 1."""
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


def _check_sources(sleepers: Sequence[SleeperOptions]) -> None:
    """Raise InputError if two sleepers have one headband, in whatever spelling."""
    owners: dict[tuple[str, str], str] = {}
    for each in sleepers:
        for key, value in each.source.identities().items():
            owner = owners.setdefault((key, value), each.sleeper)
            if owner != each.sleeper:
                named = getattr(each.source, key)
                raise InputError(
                    f"{owner} and {each.sleeper} have one source, {key} '{named}': one headband "
                    "gives one sleeper's EEG, so give each a source of their own"
                )


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
