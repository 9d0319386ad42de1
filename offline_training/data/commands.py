"""`sleep-train prepare`: recordings made ready for training, once, on this machine's disk."""

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
from offline_training.data.condition import Source
from offline_training.data.download import fetch_all
from offline_training.data.folder import folder_sources
from offline_training.data.left_out import LeftOut
from offline_training.data.licences import PRIVATE
from offline_training.data.prepare import prepare_all
from offline_training.data.prepared import damaged, load_prepared
from offline_training.data.report import download_progress, summary, warning_of_gone
from offline_training.data.shhs import shhs_sources
from offline_training.data.trim import wake_minutes
from offline_training.progress import progress

app = typer.Typer(help="Make recordings ready for training.", no_args_is_help=True)


class SleepEdfSet(StrEnum):
    CASSETTE = "cassette"
    TELEMETRY = "telemetry"
    BOTH = "both"

    @property
    def datasets(self) -> list[str]:
        every = [SleepEdfSet.CASSETTE, SleepEdfSet.TELEMETRY]
        return [f"sleep-edf-{one}" for one in every if self in (one, SleepEdfSet.BOTH)]


class Visit(StrEnum):
    FIRST = "1"
    SECOND = "2"
    BOTH = "both"

    @property
    def numbers(self) -> list[int]:
        return [1, 2] if self is Visit.BOTH else [int(self)]


RootOption = Annotated[Path, typer.Option(help="Folder of the recordings.", show_default=False)]
OutOption = Annotated[Path, typer.Option(help="Folder of prepared recordings; may hold others.")]
PREPARED = Path("prepared")
WakeOption = Annotated[
    str, typer.Option(metavar="MINUTES", help="Wake kept on either side of sleep, or 'all'.")
]
GainOption = Annotated[
    Gain, typer.Option(help="Whether amplitudes are calibrated microvolts: else none is judged.")
]
JobsOption = Annotated[
    int | None, typer.Option(min=1, help="Processes.", show_default="number of cores")
]


@app.command(
    "sleep-edf",
    epilog="Example: sleep-train prepare sleep-edf --root ~/sleep-edfx --out ~/prepared --download",
)
def prepare_sleep_edf(
    root: RootOption,
    out: OutOption = PREPARED,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch what is missing or wrong into --root.")
    ] = False,
    base_url: Annotated[str, typer.Option(help="Where to fetch from.")] = sleep_edf.BASE_URL,
    checksums: Annotated[
        Path,
        typer.Option(
            help="Files and checksums: CSV of path,sha256,bytes.", show_default="of 1.0.0"
        ),
    ] = sleep_edf.CHECKSUMS,
    set_: Annotated[SleepEdfSet, typer.Option("--set", help="Which study.")] = SleepEdfSet.CASSETTE,
    wake_min: WakeOption = "30",
    channel: Annotated[str, typer.Option(help="Channel or derivation.")] = "EEG Fpz-Cz",
    gain: GainOption = Gain.KNOWN,
    jobs: JobsOption = None,
) -> None:
    """Sleep-EDF Expanded, from PhysioNet or already on disk."""
    wake = wake_minutes(wake_min)
    published = [
        file for file in sleep_edf.read_checksums(checksums) if file.dataset in set_.datasets
    ]
    if not published:
        raise InputError(f"{checksums} lists no file of --set {set_}")
    if not download and not root.is_dir():
        raise InputError(f"--root {root} is no folder: add --download to fetch the data set there")
    places = sleep_edf.local_files(root, published)
    if download:
        wanted = [(file, places[file.name]) for file in published]
        clock = SystemClock()
        for error in fetch_all(base_url, wanted, download_progress(clock), clock):
            typer.echo(f"not fetched: {error}", err=True)
    missing = [file.path for file in published if not places[file.name].is_file()]
    if missing:
        typer.echo(
            f"{len(missing)} of {len(published)} files are missing below {root}, {missing[0]} "
            f"first: {'give the same command again' if download else 'add --download'} to fetch "
            "them. Going on with the others",
            err=True,
        )
    sources, left_out = sleep_edf.sleep_edf_sources(published, places, channel)
    _prepare(sources, left_out, out, wake, gain, jobs)


@app.command(
    "shhs",
    epilog="Example: sleep-train prepare shhs --root ~/nsrr/shhs --out ~/prepared --visit 1",
)
def prepare_shhs(
    root: RootOption,
    out: OutOption = PREPARED,
    visit: Annotated[Visit, typer.Option(help="Which visit.")] = Visit.BOTH,
    wake_min: WakeOption = "all",
    gain: GainOption = Gain.KNOWN,
    jobs: JobsOption = None,
) -> None:
    """SHHS 1 and 2 as downloaded from the NSRR, channel C4-A1. Weights must stay private."""
    wake = wake_minutes(wake_min)
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
            help="What in a recording's name (path below --root) is its subject: group 1, or all.",
            show_default="every recording is another person",
        ),
    ] = None,
    licence: Annotated[
        str, typer.Option(help="What may be done with weights trained on these.")
    ] = PRIVATE,
    wake_min: WakeOption = "all",
    gain: GainOption = Gain.KNOWN,
    jobs: JobsOption = None,
) -> None:
    """Your own EDF or BDF recordings with expert stages in them or beside them."""
    wake = wake_minutes(wake_min)
    if subject_pattern is None:
        typer.echo(
            "every recording counts as another person: if someone was recorded twice, say so with "
            "--subject-pattern, or evaluation will flatter",
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
    bad = []
    for step, recording in enumerate(recordings, 1):
        if damaged(recording):
            bad.append(recording)
        report(step, len(recordings), recording.name)
    for recording in bad:
        typer.echo(f"damaged: {recording.path}")
    if bad:
        raise MonitorError(
            f"{len(bad)} of {len(recordings)} recordings are damaged: remove these files and run "
            "the same sleep-train prepare again"
        )
    typer.echo(f"{len(recordings)} recordings in {out} are whole")


def _prepare(
    sources: Sequence[Source],
    left_out: Sequence[LeftOut],
    out: Path,
    wake: float | None,
    gain: Gain,
    jobs: int | None,
) -> None:
    sources = [replace(source, wake_min=wake, gain=gain) for source in sources]
    done = prepare_all(sources, out, jobs or os.cpu_count() or 1, progress("prepare"))
    done = replace(done, left_out=[*left_out, *done.left_out])
    for line in summary(done, out, wake):
        typer.echo(line)
    if done.gone:
        typer.echo(warning_of_gone(done.gone, out), err=True)
    if not done.made and not done.kept:
        raise MonitorError("no recording was prepared: see above for what is wrong")
