"""Options that the commands of `sleep-deploy` share, their checks, and the output of figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from models.card import default_weights
from models.contract import Gain
from monitor.errors import InputError, MonitorError

JsonOption = Annotated[
    Path | None, typer.Option("--json", help="Also write the figures to this file.")
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Weights (.safetensors) instead of the default ones."),
]
GainOption = Annotated[Gain | None, typer.Option(help="Only the default weights for this gain.")]
ExportedOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Folder for what is made for a GPU. Default: where sleep-monitor looks for it.",
    ),
]


def check_backends(names: Sequence[str], known: Sequence[str]) -> None:
    """Check that every name is one of ``known``. Raises `InputError`."""
    for name in names:
        if name not in known:
            raise InputError(f"--backend {name}: must be one of {', '.join(known)}")


def plain_console() -> Console:
    """Return a console without markup, because a path may contain square brackets."""
    return Console(markup=False, highlight=False)


def selected_weights(weights: Path | None, gain: Gain | None) -> list[Path]:
    """Return the weights of the options or the settings; if there are none, all default ones."""
    from monitor.config import read_settings

    if weights is not None and gain is not None:
        raise InputError("--weights and --gain: use only one of them, weights are for one gain")
    if gain is None and (weights := weights or read_settings().weights) is not None:
        return [weights]
    return [default_weights(each) for each in ([gain] if gain is not None else Gain)]


def selected_folder(exported: Path | None) -> Path:
    """Return the folder of engines in the option or the settings, or the default one."""
    from monitor.config import default_exported_folder, read_settings

    return exported or read_settings().exported or default_exported_folder()


def whole_numbers(option: str, text: str) -> list[int]:
    """Parse numbers of at least 1, separated by commas. Raises `InputError`."""
    try:
        numbers = [int(each) for each in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise InputError(f"{option} {text}: must be whole numbers of at least 1, such as 1,4,16")
    return numbers


def check_writable(option: str, path: Path | None) -> None:
    """Check before a long measurement that ``path`` can be written. Raises `InputError`."""
    if path is None:
        return
    existed = path.exists()
    try:
        path.open("a").close()
        if not existed:
            path.unlink()
    except OSError as exc:
        raise InputError(
            f"cannot write {option} {path}: {exc.strerror}; name a file in a folder that exists"
        ) from exc


def print_figures(figures: dict[str, Any], json_path: Path | None) -> None:
    """Print figures as a table, and write them to ``json_path`` if it is given."""
    table = Table("figure", "value")
    for name, value in figures.items():
        table.add_row(name, cell_text(value))
    Console().print(table)
    write_json(figures, json_path)


def cell_text(value: object) -> str:
    """Format a figure for a table."""
    if value is None:
        return "not measured"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def write_json(figures: object, json_path: Path | None) -> None:
    """Write figures to ``json_path`` if it is given. Raises `MonitorError`."""
    if json_path is None:
        return
    try:
        json_path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    except OSError as exc:
        raise MonitorError(f"cannot write --json {json_path}: {exc.strerror}") from exc
