"""`sleep-train prepare`: prepare recordings for training, once, on this machine's disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from models.contract import Gain
from monitor.clock import SystemClock
from monitor.errors import InputError, MonitorError
from offline_training.data import sleep_edf
from offline_training.data.condition import SourceRecording
from offline_training.data.download import fetch_all
from offline_training.data.folder import folder_sources
from offline_training.data.left_out import LeftOut
from offline_training.data.licences import PRIVATE
from offline_training.data.prepare import prepare_all
from offline_training.data.prepared import is_damaged, load_prepared
from offline_training.data.report import download_progress, orphan_warning, summary
from offline_training.data.shhs import shhs_sources
from offline_training.data.trim import parse_wake_min
from offline_training.progress import progress

app = typer.Typer(help="Prepare recordings for training.", no_args_is_help=True)


class SleepEdfSet(StrEnum):
    CASSETTE = "cassette"
    TELEMETRY = "telemetry"
    BOTH = "both"

    @property
    def datasets(self) -> list[str]:
        studies = [SleepEdfSet.CASSETTE, SleepEdfSet.TELEMETRY]
        return [f"sleep-edf-{study}" for study in studies if self in (study, SleepEdfSet.BOTH)]


class Visit(StrEnum):
    FIRST = "1"
    SECOND = "2"
    BOTH = "both"

    @property
    def numbers(self) -> list[int]:
        return [1, 2] if self is Visit.BOTH else [int(self)]


RootOption = Annotated[Path, typer.Option(help="Folder of the recordings.", show_default=False)]
OutOption = Annotated[
    Path, typer.Option(help="Folder of prepared recordings; may already hold others.")
]
PREPARED = Path("prepared")
WakeOption = Annotated[
    str,
    typer.Option(
        metavar="MINUTES", help="Minutes of wake to keep on either side of sleep, or 'all'."
    ),
]
GainOption = Annotated[
    Gain,
    typer.Option(
        help="known: amplitudes are calibrated microvolts. unknown: do not judge amplitudes."
    ),
]
JobsOption = Annotated[
    int | None, typer.Option(min=1, help="Number of processes.", show_default="number of cores")
]


@app.command(
    "sleep-edf",
    epilog="Example: sleep-train prepare sleep-edf --root ~/sleep-edfx --out ~/prepared --download",
)
def prepare_sleep_edf(
    root: RootOption,
    out: OutOption = PREPARED,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch missing and wrong files into --root.")
    ] = False,
    base_url: Annotated[str, typer.Option(help="Address to fetch from.")] = sleep_edf.BASE_URL,
    checksums: Annotated[
        Path,
        typer.Option(
            help="Files and checksums: CSV of path,sha256,bytes.", show_default="of 1.0.0"
        ),
    ] = sleep_edf.CHECKSUMS,
    set_: Annotated[
        SleepEdfSet, typer.Option("--set", help="Study to prepare.")
    ] = SleepEdfSet.CASSETTE,
    wake_min: WakeOption = "30",
    channel: Annotated[str, typer.Option(help="Channel or derivation.")] = "EEG Fpz-Cz",
    gain: GainOption = Gain.KNOWN,
    jobs: JobsOption = None,
) -> None:
    """Prepare Sleep-EDF Expanded, from PhysioNet or already on disk."""
    wake = parse_wake_min(wake_min)
    published = [
        file for file in sleep_edf.read_checksums(checksums) if file.dataset in set_.datasets
    ]
    if not published:
        raise InputError(f"{checksums} lists no file of --set {set_}")
    if not download and not root.is_dir():
        raise InputError(
            f"--root {root} is not a folder: add --download to fetch the data set there"
        )
    paths_by_name = sleep_edf.local_files(root, published)
    if download:
        wanted = [(file, paths_by_name[file.name]) for file in published]
        clock = SystemClock()
        for error in fetch_all(base_url, wanted, download_progress(clock), clock):
            typer.echo(f"not fetched: {error}", err=True)
    missing = [file.path for file in published if not paths_by_name[file.name].is_file()]
    if missing:
        remedy = "run the same command again" if download else "add --download"
        typer.echo(
            f"{len(missing)} of {len(published)} files are missing below {root}, {missing[0]} "
            f"first: {remedy} to fetch them. Continuing with the others",
            err=True,
        )
    sources, left_out = sleep_edf.sleep_edf_sources(published, paths_by_name, channel)
    _prepare(sources, left_out, out, wake, gain, jobs)


@app.command(
    "shhs",
    epilog="Example: sleep-train prepare shhs --root ~/nsrr/shhs --out ~/prepared --visit 1",
)
def prepare_shhs(
    root: RootOption,
    out: OutOption = PREPARED,
    visit: Annotated[Visit, typer.Option(help="Visit to prepare.")] = Visit.BOTH,
    wake_min: WakeOption = "all",
    gain: GainOption = Gain.KNOWN,
    jobs: JobsOption = None,
) -> None:
    """Prepare SHHS 1 and 2 as downloaded from the NSRR, channel C4-A1.

    Weights trained on them must stay private.
    """
    wake = parse_wake_min(wake_min)
    _prepare(shhs_sources(root, visit.numbers), [], out, wake, gain, jobs)


@app.command(
    "folder",
    epilog="Example: sleep-train prepare folder --root ~/lab --out ~/prepared "
    "--subject-pattern 'S[0-9]+'",
)
def prepare_folder(
    root: RootOption,
    out: OutOption = PREPARED,
    channel: Annotated[
        str | None,
        typer.Option(help="Channel or derivation.", show_default="the monitor's choice"),
    ] = None,
    subject_pattern: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Finds the subject in a recording's name (its path below --root): group 1, or "
            "the whole match.",
            show_default="every recording is another person",
        ),
    ] = None,
    licence: Annotated[
        str, typer.Option(help="Conditions on weights trained on these recordings.")
    ] = PRIVATE,
    wake_min: WakeOption = "all",
    gain: GainOption = Gain.KNOWN,
    jobs: JobsOption = None,
) -> None:
    """Prepare your own recordings with expert stages in them or beside them."""
    wake = parse_wake_min(wake_min)
    if subject_pattern is None:
        typer.echo(
            "every recording counts as another person: if someone was recorded twice, add "
            "--subject-pattern, or scores will look better than they are",
            err=True,
        )
    sources = folder_sources(root, channel, subject_pattern, licence)
    _prepare(sources, [], out, wake, gain, jobs)


@app.command(
    "check",
    epilog="Example: sleep-train prepare check --out ~/prepared",
)
def check(out: OutOption = PREPARED) -> None:
    """Read every prepared recording and compare its checksum."""
    recordings = load_prepared(out)
    report = progress("check")
    damaged = []
    for step, recording in enumerate(recordings, 1):
        if is_damaged(recording):
            damaged.append(recording)
        report(step, len(recordings), recording.name)
    for recording in damaged:
        typer.echo(f"damaged: {recording.path}")
    if damaged:
        raise MonitorError(
            f"{len(damaged)} of {len(recordings)} recordings are damaged: remove these files and "
            "run the same sleep-train prepare again"
        )
    typer.echo(f"{len(recordings)} recordings in {out} are whole")


def _prepare(
    sources: Sequence[SourceRecording],
    left_out: Sequence[LeftOut],
    out: Path,
    wake_min: float | None,
    gain: Gain,
    jobs: int | None,
) -> None:
    """Prepare ``sources`` and print the result. Raises MonitorError if no recording is usable."""
    sources = [replace(source, wake_min=wake_min, gain=gain) for source in sources]
    done = prepare_all(sources, out, jobs or os.cpu_count() or 1, progress("prepare"))
    done = replace(done, left_out=[*left_out, *done.left_out])
    for line in summary(done, out, wake_min):
        typer.echo(line)
    if done.orphaned:
        typer.echo(orphan_warning(done.orphaned, out), err=True)
    if not done.made and not done.kept:
        raise MonitorError("no recording was prepared: see above for what is wrong")
