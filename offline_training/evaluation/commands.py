"""`sleep-train evaluate`: networks against the expert, on recordings streamed as in the monitor."""

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
from offline_training.data.left_out import listed
from offline_training.data.scored import ScoredNight
from offline_training.data.trim import wake_minutes
from offline_training.evaluation import files, report
from offline_training.evaluation.familiar import warning
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
from offline_training.progress import progress

PIPED_WIDTH = 130
"""Columns of a table that goes to a file, where there is no terminal to fit."""


def evaluate(
    recordings: Annotated[
        list[Path],
        typer.Argument(
            metavar="RECORDING_OR_FOLDER...",
            help="EDF or BDF recordings, or folders of them with their hypnograms beside them.",
            show_default=False,
        ),
    ],
    hypnogram: Annotated[
        Path | None,
        typer.Option(
            help="Expert stages of the one recording: EDF+ or XML.",
            show_default="the recording's own",
        ),
    ] = None,
    channel: Annotated[
        str | None, typer.Option(help="Channel to stage.", show_default="as the monitor chooses")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Network: a .safetensors file, its card beside.", show_default=False),
    ] = None,
    gain: Annotated[
        Gain | None,
        typer.Option(help="Which default weights, instead of --weights.", show_default="known"),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(help="Weights of a second network, beside the first.", show_default=False),
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="Another stager's hypnogram of the one recording. May be repeated.",
            show_default=False,
        ),
    ] = None,
    wake_min: Annotated[
        str,
        typer.Option(metavar="MINUTES", help="Wake around sleep that counts, or 'all'."),
    ] = "all",
    noise: Annotated[bool, typer.Option("--noise", help="Also with noise at 20 to -5 dB.")] = False,
    gains: Annotated[
        bool, typer.Option("--gains", help="Also at gains 0.5 to 2, and flipped.")
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
    wake = wake_minutes(wake_min)
    networks = _networks(weights or default_weights(gain or Gain.KNOWN), baseline)
    nights, left_out = open_nights(recordings, hypnogram, channel, wake)
    peers = _peers(peer or [], nights) if nights else []
    if out is not None:
        _make_folder(out)
    clock, console = SystemClock(), Console()
    if not console.is_terminal:
        console = Console(width=PIPED_WIDTH)
    labels = [network.label for network in networks]
    warnings = {network.label: warning(network, nights) for network in networks}
    for text in filter(None, warnings.values()):
        typer.echo(text, err=True)

    staging = stage_nights(nights, networks, clock, progress("recording"))
    left_out += staging.left_out
    for line in listed(left_out):
        typer.echo(line)
    if not staging.nights:
        raise MonitorError("no recording was evaluated: see above for what is wrong")
    results = Results.of(staging, seed)
    nights = [result.night for result in results.nights]
    found: dict[str, Any] = _origin(seed)
    console.print(report.scope_report(nights, wake))
    for label in labels:
        console.print(report.network_report(label, results.pooled[label], warnings[label]))
        if len(nights) > 1:
            console.print("", report.recordings_report(label, results.by_night[label]))
    if len(networks) > 1 or peers:
        found["common_epochs"] = _compare(results, peers, console)
    outcomes: dict[str, Outcomes] = {}
    if noise:
        outcomes["noise"], without = stage_under(
            noise_settings(), nights, networks, seed, clock, progress("noise")
        )
        console.print(report.noise_report(outcomes["noise"], labels))
        for line in listed(without):
            typer.echo(line)
        found["noise_left_out"] = [asdict(each) for each in without]
    if gains:
        outcomes["gains"], _ = stage_under(
            gain_settings(), nights, networks, seed, clock, progress("gains")
        )
        console.print(report.gains_report(outcomes["gains"], labels))
    peak_mb = peak_memory_mb()
    console.print("", report.cost_report(networks, results.timings, peak_mb))
    if out is not None:
        found |= {"wake_min": wake, "left_out": [asdict(each) for each in left_out]}
        found |= files.results_json(results, networks, peak_mb)
        found |= {name: files.outcomes_json(each) for name, each in outcomes.items()}
        _write(out, results, labels, outcomes, found)
        typer.echo(f"Written to {out}", err=True)


def _networks(weights: Path, baseline: Path | None) -> list[Network]:
    network = Network.open(weights)
    if baseline is None:
        return [network]
    other = Network.open(baseline)
    if other.label == network.label:
        other = Network.open(baseline, f"baseline {other.label}")
    return [network, other]


def _peers(spoken: Sequence[str], nights: Sequence[ScoredNight]) -> list[Peer]:
    if spoken and len(nights) > 1:
        raise InputError(f"--peer belongs to one recording, {len(nights)} are given")
    return [Peer.read(each, nights[0]) for each in spoken]


def _compare(results: Results, peers: Sequence[Peer], console: Console) -> dict[str, Any]:
    """Networks and peers on the epochs that all of them scored."""
    stagers = {
        f"{label}, {track}": [stages_of(one.staged[label].track(track)) for one in results.nights]
        for label in results.timings
        for track in Track
    }
    for peer in peers:  # then there is one night
        (only,) = results.nights
        stagers[peer.name] = [only.counted(peer.stages(only.night))]
    n_common, found = on_common_epochs(
        [result.truth for result in results.nights], list(stagers.values())
    )
    agreements = dict(zip(stagers, found, strict=True))
    console.print("", report.stagers_report(n_common, agreements))
    return {
        "epochs": n_common,
        "stagers": {name: files.agreement_json(each) for name, each in agreements.items()},
    }


def _make_folder(out: Path) -> None:
    """Find out before the work, not after it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass
    except OSError as exc:
        raise InputError(f"cannot write to --out {out}: {exc.strerror}; name a folder") from exc


def _origin(seed: int) -> dict[str, Any]:
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
    found: dict[str, Any],
) -> None:
    from offline_training.evaluation import figures  # matplotlib takes a second to import

    files.write_json(out / "results.json", found)
    for result in results.nights:
        files.write_epochs(out / "epochs" / f"{result.night.name}.csv", result)
    figures.confusion_png(out / "confusion.png", results.pooled)
    figures.reliability_png(out / "reliability.png", results.pooled)
    figures.risk_coverage_png(out / "risk_coverage.png", results.pooled)
    if "noise" in outcomes:
        figures.noise_png(out / "noise.png", outcomes["noise"], labels)
    for name in outcomes:
        files.write_outcomes(out / f"{name}.csv", found[name])
