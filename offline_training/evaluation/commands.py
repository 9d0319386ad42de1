"""`sleep-train evaluate`: compare networks with the expert, on recordings streamed as live."""

from __future__ import annotations

import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Any

import torch
import typer
from rich.console import Console

from models.card import default_weights
from models.contract import Gain
from monitor.clock import SystemClock
from monitor.errors import InputError, MonitorError
from monitor.types import Track
from offline_training.data.left_out import LeftOut, left_out_lines, note_lines
from offline_training.data.scored import ScoredNight
from offline_training.data.trim import parse_wake_min
from offline_training.evaluation import files, report
from offline_training.evaluation.networks import Network, peak_memory_mb
from offline_training.evaluation.nights import stages_of
from offline_training.evaluation.opening import open_nights
from offline_training.evaluation.peers import Peer, on_common_epochs
from offline_training.evaluation.robustness import (
    Outcomes,
    gain_settings,
    noise_settings,
    stage_under,
)
from offline_training.evaluation.run import Results, stage_nights
from offline_training.evaluation.trained_on import trained_on_warning
from offline_training.progress import progress

PIPED_WIDTH = 130
"""Width of a table in a file or pipe, in columns: there is no terminal to fit."""


def evaluate(
    recordings: Annotated[
        list[Path],
        typer.Argument(
            metavar="RECORDING_OR_FOLDER...",
            help="Recordings, or folders of recordings with their hypnograms.",
            show_default=False,
        ),
    ],
    hypnogram: Annotated[
        Path | None,
        typer.Option(
            help="Expert stages of the one recording: EDF+ or XML.",
            show_default="beside the recording, or its own annotations",
        ),
    ] = None,
    channel: Annotated[
        str | None, typer.Option(help="Channel to stage.", show_default="the monitor's choice")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Network: a .safetensors file with its card beside it.", show_default=False
        ),
    ] = None,
    gain: Annotated[
        Gain | None,
        typer.Option(help="Default weights to use instead of --weights.", show_default="known"),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(help="Weights of a second network to compare.", show_default=False),
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="Hypnogram of the one recording by another stager. May be repeated.",
            show_default=False,
        ),
    ] = None,
    wake_min: Annotated[
        str,
        typer.Option(metavar="MINUTES", help="Minutes of wake around sleep that count, or 'all'."),
    ] = "all",
    noise: Annotated[
        bool, typer.Option("--noise", help="Measure also with noise at 20 to -5 dB.")
    ] = False,
    gains: Annotated[
        bool, typer.Option("--gains", help="Measure also at gains 0.5 to 2, and flipped.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for JSON, tables and pictures.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of bootstrap and noise.")] = 0,
) -> None:
    """Measure a network on recordings with expert stages, streamed as the monitor streams them."""
    if weights is not None and gain is not None:
        raise InputError("--gain chooses default weights: give it or --weights, not both")
    wake = parse_wake_min(wake_min)
    networks = _networks(weights or default_weights(gain or Gain.KNOWN), baseline)
    nights, left_out = open_nights(recordings, hypnogram, channel, wake)
    peers = _peers(peer or [], nights) if nights else []
    if out is not None:
        _make_folder(out)
    console = _console()
    warnings = {network.label: trained_on_warning(network, nights) for network in networks}
    for text in (*filter(None, warnings.values()), *note_lines((n.name, n.notes) for n in nights)):
        typer.echo(text, err=True)

    staging = stage_nights(nights, networks, SystemClock(), progress("recording"))
    left_out += staging.left_out
    _print_left_out(left_out)
    if not staging.nights:
        raise MonitorError("no recording was evaluated: see above for what is wrong")
    results = Results.of(staging, seed)
    nights = [result.night for result in results.nights]
    content = _origin(seed)
    _print_scores(results, wake, warnings, console)
    if len(networks) > 1 or peers:
        content["common_epochs"] = _compare(results, peers, console)

    labels = [network.label for network in networks]
    outcomes: dict[str, Outcomes] = {}
    if noise:
        outcomes["noise"], without_signal = _stage_with_noise(nights, networks, seed, console)
        content["noise_left_out"] = [asdict(each) for each in without_signal]
    if gains:
        outcomes["gains"] = _stage_at_gains(nights, networks, seed, console)
    peak_mb = peak_memory_mb()
    console.print("", report.cost_report(networks, results.timings, peak_mb))
    if out is not None:
        content |= {"wake_min": wake, "left_out": [asdict(each) for each in left_out]}
        content |= files.results_json(results, networks, peak_mb)
        content |= {name: files.outcomes_json(each) for name, each in outcomes.items()}
        _write(out, results, labels, outcomes, content)
        typer.echo(f"Written to {out}", err=True)


def _console() -> Console:
    """Return a console for stdout; into a file or pipe it prints `PIPED_WIDTH` columns."""
    console = Console()
    return console if console.is_terminal else Console(width=PIPED_WIDTH)


def _print_left_out(left_out: Sequence[LeftOut]) -> None:
    for line in left_out_lines(left_out):
        typer.echo(line)


def _print_scores(
    results: Results, wake_min: float | None, warnings: dict[str, str | None], console: Console
) -> None:
    """Print each network's scores over all recordings and, if there are several, on each."""
    console.print(report.scope_report([result.night for result in results.nights], wake_min))
    for label, warning in warnings.items():
        console.print(report.network_report(label, results.pooled[label], warning))
        if len(results.nights) > 1:
            console.print("", report.recordings_report(label, results.by_night[label]))


def _networks(weights: Path, baseline: Path | None) -> list[Network]:
    network = Network.open(weights)
    if baseline is None:
        return [network]
    other = Network.open(baseline)
    if other.label == network.label:
        other = Network.open(baseline, f"baseline {other.label}")
    return [network, other]


def _peers(options: Sequence[str], nights: Sequence[ScoredNight]) -> list[Peer]:
    if options and len(nights) > 1:
        raise InputError(f"--peer belongs to one recording, {len(nights)} are given")
    return [Peer.read(option, nights[0]) for option in options]


def _compare(results: Results, peers: Sequence[Peer], console: Console) -> dict[str, Any]:
    """Compare networks and peers on the epochs that all of them scored; return it as JSON."""
    stagers = {
        f"{label}, {track}": [stages_of(one.staged[label].track(track)) for one in results.nights]
        for label in results.timings
        for track in Track
    }
    for peer in peers:  # With a peer there is exactly one night.
        (only,) = results.nights
        stagers[peer.name] = [only.counted(peer.stages(only.night))]
    n_common, compared = on_common_epochs(
        [result.truth for result in results.nights], list(stagers.values())
    )
    agreements = dict(zip(stagers, compared, strict=True))
    console.print("", report.stagers_report(n_common, agreements))
    return {
        "epochs": n_common,
        "stagers": {name: files.agreement_json(each) for name, each in agreements.items()},
    }


def _stage_with_noise(
    nights: Sequence[ScoredNight], networks: Sequence[Network], seed: int, console: Console
) -> tuple[Outcomes, list[LeftOut]]:
    """Stage the nights with added noise and print the scores; also return the nights left out."""
    outcomes, left_out = stage_under(
        noise_settings(), nights, networks, seed, SystemClock(), progress("noise")
    )
    console.print(report.noise_report(outcomes, [network.label for network in networks]))
    _print_left_out(left_out)
    return outcomes, left_out


def _stage_at_gains(
    nights: Sequence[ScoredNight], networks: Sequence[Network], seed: int, console: Console
) -> Outcomes:
    """Stage the nights at other gains and print the scores."""
    outcomes, _ = stage_under(
        gain_settings(), nights, networks, seed, SystemClock(), progress("gains")
    )
    console.print(report.gains_report(outcomes, [network.label for network in networks]))
    return outcomes


def _make_folder(out: Path) -> None:
    """Create ``out`` and test that it can be written to, before hours of work."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass
    except OSError as exc:
        raise InputError(f"cannot write to --out {out}: {exc.strerror}; name a folder") from exc


def _origin(seed: int) -> dict[str, Any]:
    """Return the command, seed and versions that made the results."""
    return {
        "command": shlex.join(["sleep-train", *sys.argv[1:]]),
        "seed": seed,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            **{name: version(name) for name in ("numpy", "scipy", "sleep-monitor")},
        },
    }


def _write(
    out: Path,
    results: Results,
    labels: Sequence[str],
    outcomes: dict[str, Outcomes],
    content: dict[str, Any],
) -> None:
    # Imported here because matplotlib takes a second to import.
    from offline_training.evaluation import figures

    files.write_json(out / "results.json", content)
    for result in results.nights:
        files.write_epochs(out / "epochs" / f"{result.night.name}.csv", result)
    figures.confusion_png(out / "confusion.png", results.pooled)
    figures.reliability_png(out / "reliability.png", results.pooled)
    figures.risk_coverage_png(out / "risk_coverage.png", results.pooled)
    if "noise" in outcomes:
        figures.noise_png(out / "noise.png", outcomes["noise"], labels)
    for name in outcomes:
        files.write_outcomes(out / f"{name}.csv", content[name])
