"""The command line `sleep-train`: prepare recordings, train the network, measure it."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from models.card import WeightsError
from monitor.errors import MonitorError

try:
    from offline_training.bandpower.commands import evaluate_bandpower, fit_bandpower
    from offline_training.data.commands import app as prepare
    from offline_training.evaluation.commands import evaluate
    from offline_training.training.commands import fit
except ModuleNotFoundError as exc:
    if exc.name not in ("torch", "safetensors", "matplotlib"):
        raise
    # The runtime needs none of these packages, so a plain installation omits them.
    sys.exit(
        f"sleep-train needs {exc.name}: run pip install '.[train]' in the monitor's source folder"
    )

app = typer.Typer(
    help="Train and measure the networks of the sleep monitor.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(prepare, name="prepare")
app.command(epilog="Example: sleep-train fit --data prepared --out runs/first --stage all")(fit)
app.command(epilog="Example: sleep-train evaluate night.edf --hypnogram expert.edf --out results")(
    evaluate
)
app.command(
    epilog="Example: sleep-train fit-bandpower --data measured --out models/default --seed 0"
)(fit_bandpower)
app.command(
    epilog="Example: sleep-train evaluate-bandpower --data measured --folder folds --stride 4"
)(evaluate_bandpower)


def main() -> NoReturn:
    """Run a command and exit. A known error prints one line on stderr instead of a traceback."""
    try:
        app()
    except MonitorError as exc:
        typer.echo(f"error: {exc}", err=True)
        sys.exit(exc.exit_code)
    except WeightsError as exc:
        typer.echo(f"error: {exc}", err=True)
        sys.exit(2)
    except OSError as exc:
        typer.echo(f"error: {exc.strerror}: {exc.filename}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)  # 128 + SIGINT, as shells report it
    sys.exit(0)


if __name__ == "__main__":
    main()
