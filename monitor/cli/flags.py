"""The options that several commands share, each described once.

A command names the group that it takes, and receives it as one argument:

    @app.command()
    @takes(LiveFlags)
    def lsl(flags: LiveFlags, name: ... = None) -> None: ...
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from models.contract import Gain

Sources = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KIND:KEY=VALUE,...",
        help="A sleeper's source, as lsl:source_id=abc,sleeper=anna. Repeat it for others.",
    ),
]
StreamName = Annotated[str | None, typer.Option(help="The stream's name.")]
StreamType = Annotated[str | None, typer.Option("--type", help="The stream's type, such as EEG.")]
SourceId = Annotated[str | None, typer.Option(help="The stream's id, which outlives a restart.")]
Unit = Annotated[
    str | None,
    typer.Option(help="nV, uV, mV or V, if the stream names no unit or a wrong one."),
]
Board = Annotated[str, typer.Option(help="muse_s, cyton, synthetic, ...: BrainFlow's names.")]
Port = Annotated[str | None, typer.Option(help="Serial port of the dongle.")]
Mac = Annotated[str | None, typer.Option(help="Bluetooth address.")]
Serial = Annotated[str | None, typer.Option(help="Serial number or Bluetooth name.")]
Playback = Annotated[Path | None, typer.Option(help="Recording, for the playback board.")]

Keep = Annotated[
    bool,
    typer.Option(
        "--keep",
        help="Keep the night, in the user's folder of replays. Default: it is gone at the end, "
        "unless --store names a file.",
    ),
]
"""The option of commands that replay a recording."""


GivenGain = Annotated[
    Gain | None,
    typer.Option(help="unknown: stages that do not depend on the amplitude. Default: known."),
]
Weights = Annotated[
    Path | None,
    typer.Option(help="Other weights (.safetensors; card and export beside the file)."),
]
BackendName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="What runs the network: tensorrt, cuda, onnx, torch. Default: auto, the first of "
        "these that works.",
    ),
]
Channels = Annotated[
    list[str] | None,
    typer.Option(
        help="Channel (AF7) or derivation (AF7-TP9) to stage. Repeated: the best first; the "
        "others are used while its electrodes are off. Default: chosen for the device."
    ),
]


@dataclass(frozen=True, kw_only=True)
class ConfigFlags:
    """The option of commands that read the configuration."""

    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML file. Default: the user's, if any.")
    ] = None

    def settings(self) -> dict[str, Any]:
        """Return the given values under the keys of `monitor.config.Settings`; None: not given."""
        return {}


@dataclass(frozen=True, kw_only=True)
class ServerFlags(ConfigFlags):
    """The options of commands that connect to a running monitor's event server."""

    redis: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Event server: redis://... or rediss://... (TLS)."),
    ] = None

    def settings(self) -> dict[str, Any]:
        """See `ConfigFlags.settings`."""
        return {"redis": self.redis}


@dataclass(frozen=True, kw_only=True)
class RunFlags(ServerFlags):
    """The options of commands that stage a night."""

    no_redis: Annotated[bool, typer.Option("--no-redis", help="Publish no events.")] = False
    gain: GivenGain = None
    weights: Weights = None
    backend: BackendName = None
    store: Annotated[
        Path | None,
        typer.Option(
            help="The night's SQLite file. Default: live, one in the user's data folder; a replay, "
            "a temporary one."
        ),
    ] = None
    output: Annotated[
        Path | None,
        typer.Option(
            help="Write one row per epoch to this CSV file: live, again after each epoch; a "
            "replay, at its end."
        ),
    ] = None
    dashboard: Annotated[
        bool | None,
        typer.Option(
            "--dashboard/--no-dashboard",
            help="The dashboard, or plain log lines instead. Default: the dashboard.",
        ),
    ] = None
    theme: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The dashboard's colours: dark or light. Default: auto, as the terminal's "
            "background is.",
        ),
    ] = None

    def settings(self) -> dict[str, Any]:
        """See `ConfigFlags.settings`. Raises typer.BadParameter for --redis with --no-redis."""
        from monitor.config import NO_REDIS

        if self.no_redis and self.redis is not None:
            raise typer.BadParameter("give --redis or --no-redis, not both")
        return {
            "redis": NO_REDIS if self.no_redis else self.redis,
            "gain": self.gain,
            "weights": self.weights,
            "backend": self.backend,
            "dashboard": self.dashboard,
            "theme": self.theme,
        }


@dataclass(frozen=True, kw_only=True)
class NetworkFlags(ConfigFlags):
    """The options of commands that stage recordings and publish nothing."""

    gain: GivenGain = None
    weights: Weights = None
    backend: BackendName = None

    def settings(self) -> dict[str, Any]:
        """See `ConfigFlags.settings`."""
        return {
            "gain": self.gain,
            "weights": self.weights,
            "backend": self.backend,
        }


@dataclass(frozen=True, kw_only=True)
class LiveFlags(RunFlags):
    """The options of commands that stage a night live."""

    channel: Channels = None
    wait: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Give up if no source appears within this time. Default: wait for ever.",
        ),
    ] = None
    new_night: Annotated[
        bool, typer.Option("--new-night", help="Begin a night, even if one could be continued.")
    ] = False
    web: Annotated[
        str | None,
        typer.Option(
            metavar="[ADDRESS]",
            help="Also serve the page for the phone. ADDRESS: as of sleep-monitor web.",
        ),
    ] = None

    def settings(self) -> dict[str, Any]:
        """See `ConfigFlags.settings`."""
        return super().settings() | {"wait": self.wait}


@dataclass(frozen=True, kw_only=True)
class CheckFlags(ConfigFlags):
    """The options of commands that check headbands."""

    seconds: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=30.0, max=600.0, help="How long to check."),
    ] = 60.0
    channel: Channels = None
    gain: GivenGain = None
    wait: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Give up if no source appears within this time. Default: 60.",
        ),
    ] = None

    def settings(self) -> dict[str, Any]:
        """See `ConfigFlags.settings`."""
        return {"gain": self.gain, "wait": self.wait}


Flags = TypeVar("Flags", bound=ConfigFlags)


def takes(group: type[Flags]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds the options of ``group`` to a command, after its own options.

    The command receives them as one argument, ``flags``.

    The options of the group itself come before those of the groups that it builds on.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(command, include_extras=True)
        own = [
            parameter.replace(annotation=hints[name], kind=Parameter.KEYWORD_ONLY)
            for name, parameter in signature(command).parameters.items()
            if name != "flags"
        ]
        group_hints = get_type_hints(group, include_extras=True)
        shared = [
            Parameter(
                field.name,
                Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=group_hints[field.name],
            )
            for level in group.__mro__
            for field in fields(group)
            if field.name in vars(level).get("__annotations__", {})
        ]

        @wraps(command)
        def run(**given: Any) -> None:
            flags = group(**{parameter.name: given.pop(parameter.name) for parameter in shared})
            command(flags=flags, **given)

        # Typer reads a command's options from its signature and its annotations.
        run.__signature__ = Signature([*own, *shared])  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in (*own, *shared)}
        del run.__wrapped__  # else `inspect` returns the signature of the wrapped function
        return run

    return decorate
