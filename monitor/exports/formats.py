"""The table of formats: names, files, and what fills them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from monitor.errors import InputError
from monitor.exports import bids, texts, xml
from monitor.exports.edf import hypnogram_edf, night_edf
from monitor.exports.exported import ExportedNight
from monitor.exports.statistics import provenance_json, statistics_json

Content = Callable[[ExportedNight], Iterator[bytes]]

ALL = "all"


@dataclass(frozen=True, slots=True)
class Format:
    """A format that a night is exported in.

    - ``files``: the endings of its files' names after the night's, and what fills them.
    - ``needs_whole``: True if every epoch must have a signal.
    - ``needs_signals``: True if the files hold the signals, or where they are lost.
    """

    about: str
    files: dict[str, Content]
    needs_whole: bool = False
    needs_signals: bool = False


_BIDS: dict[str, Content] = {
    "_eeg.edf": night_edf,
    "_eeg.json": bids.recording,
    "_channels.tsv": bids.channels,
    "_events.tsv": bids.events,
    "_events.json": bids.event_columns,
}
_DATASET: dict[str, Content] = {
    "dataset_description.json": bids.dataset,
    "README.md": bids.readme,
}
_BIDS_FOLDER = "bids"

FORMATS: dict[str, Format] = {
    "edf": Format("EDF+: all channels, stages, marks", {".edf": night_edf}, needs_signals=True),
    "hypnogram-edf": Format("EDF+: stages, marks", {"-Hypnogram.edf": hypnogram_edf}),
    "csv": Format("the table of --output", {".csv": texts.csv_table, ".csv.json": provenance_json}),
    "yasa": Format("yasa.Hypnogram.from_json", {"-yasa.json": texts.yasa_json}),
    "visbrain": Format(
        "Visbrain's .txt",
        {
            "-visbrain.txt": texts.visbrain_stages,
            "-visbrain_description.txt": texts.visbrain_description,
        },
    ),
    "luna-annot": Format(
        "Luna's .annot",
        {".annot": texts.luna_annotations, ".annot.json": provenance_json},
        needs_signals=True,
    ),
    "luna-eannot": Format(
        "Luna's .eannot",
        {".eannot": texts.luna_epochs, ".eannot.json": provenance_json},
        needs_whole=True,
    ),
    "nsrr-xml": Format("XML of the NSRR", {"-nsrr.xml": xml.nsrr_xml}),
    "profusion-xml": Format("XML of Profusion", {"-profusion.xml": xml.profusion_xml}),
    "bids": Format("a BIDS dataset", _BIDS, needs_signals=True),
    "json": Format("statistics", {"-statistics.json": statistics_json}),
}


def chosen_formats(names: list[str]) -> list[str]:
    """Return the formats that ``names`` choose: one each, several with commas, or all.

    Raises `InputError` for a name that is none.
    """
    chosen: list[str] = []
    for name in (part.strip().lower() for text in names for part in text.split(",")):
        if name != ALL and name not in FORMATS:
            raise InputError(f"--to '{name}' is no format: choose {', '.join(FORMATS)} or {ALL}")
        chosen += FORMATS if name == ALL else [name]
    return list(dict.fromkeys(chosen))


def refusal(name: str, night: ExportedNight) -> str:
    """Return why ``night`` cannot be exported in this format, or ""."""
    if not (FORMATS[name].needs_whole and night.absent):
        return ""
    return (
        f"{name} has a line for each epoch and no gaps, and {len(night.absent)} epochs of this "
        "night are missing: choose luna-annot"
    )


def files(name: str, night: ExportedNight) -> dict[str, Content]:
    """Return the files of a format, each with a path inside the folder of the export."""
    if name != "bids":
        return {night.name + ending: content for ending, content in FORMATS[name].files.items()}
    folder, start = bids.names(night)
    inside = {f"{_BIDS_FOLDER}/{folder}/{start}{end}": made for end, made in _BIDS.items()}
    return inside | shared_files(name)


def shared_files(name: str) -> dict[str, Content]:
    """Return the files that several nights share: those that exist stay as they are."""
    return (
        {f"{_BIDS_FOLDER}/{file}": made for file, made in _DATASET.items()}
        if name == "bids"
        else {}
    )
