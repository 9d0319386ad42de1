"""The parts of the commands that monitor or check a headband: its options, and the settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from monitor.cli.flags import ConfigFlags

if TYPE_CHECKING:
    from monitor.config import Settings


def settings_of(flags: ConfigFlags, **more: Any) -> Settings:
    """Read the settings of a command from its flags, the environment and the TOML file."""
    from monitor.config import read_settings

    return read_settings(flags.config, **flags.settings(), **more)


def refuse_options(context: typer.Context) -> None:
    """Raise typer.BadParameter if options of a group stand before its subcommand."""
    sources = [context.get_parameter_source(name) for name in context.params]
    if any(source is not None and source.name == "COMMANDLINE" for source in sources):
        raise typer.BadParameter(f"give options after `{context.invoked_subcommand}`, not before")


def lsl_table(
    name: str | None, type_: str | None, source_id: str | None, unit: str | None
) -> dict[str, Any]:
    """Return the [[sleeper]] table of the configuration file that describes this LSL stream."""
    return _table("lsl", name=name, type=type_, source_id=source_id, unit=unit)


def brainflow_table(
    board: str, port: str | None, mac: str | None, serial: str | None, file: Path | None
) -> dict[str, Any]:
    """Return the [[sleeper]] table of the configuration file that describes this board."""
    return _table("brainflow", board=board, port=port, mac=mac, serial=serial, file=file)


def _table(kind: str, **keys: Any) -> dict[str, Any]:
    return {"source": kind} | {key: value for key, value in keys.items() if value is not None}
