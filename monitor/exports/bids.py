"""The night as part of a BIDS dataset (EEG): recording, channels, events, and their sidecars.

Brain Imaging Data Structure 1.9, electroencephalography.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

from models.contract import EPOCH_S, HIGHPASS_HZ, LOWPASS_HZ, SFREQ_HZ, STAGES
from monitor.config import monitor_version
from monitor.exports.edf import loss_events
from monitor.exports.edf_plus import distinct_labels
from monitor.exports.exported import PROGRAM, ExportedNight, mark_text
from monitor.exports.texts import json_file
from monitor.sinks.epochs_csv import CODES
from monitor.text import clean

VERSION = "1.9.0"
NONE = "n/a"
_COLUMNS = (
    "onset",
    "duration",
    "trial_type",
    "value",
    "text",
    "channel",
    *(f"p_{stage.lower()}" for stage in STAGES),
    "confidence",
    "reason",
    "clock",
)


def names(night: ExportedNight) -> tuple[str, str]:
    """Return the folder of the recording inside the dataset, and the beginning of its files.

    The subject is the sleeper, or for a replay the recording; the session is the night's start.
    """
    session = night.record.session
    who = session.sleeper or ("" if night.record.is_live else session.source.rpartition(".")[0])
    # Names have letters and digits only: "Zoë" becomes "Zoe".
    subject = re.sub("[^A-Za-z0-9]", "", unicodedata.normalize("NFKD", who)) or "01"
    visit = f"{night.start:%Y%m%dT%H%M%S}"
    track = "" if night.name == night.record.path.stem else "_acq-livetrack"
    return f"sub-{subject}/ses-{visit}/eeg", f"sub-{subject}_ses-{visit}_task-sleep{track}"


def dataset(night: ExportedNight) -> Iterator[bytes]:
    """Yield dataset_description.json. A dataset that has one keeps it."""
    yield json_file(
        {
            "Name": "Nights of sleep",
            "BIDSVersion": VERSION,
            "DatasetType": "raw",
            "GeneratedBy": [{"Name": PROGRAM, "Version": monitor_version()}],
        }
    )


def readme(night: ExportedNight) -> Iterator[bytes]:
    """Yield the README of the dataset."""
    yield (
        b"# Nights of sleep\n\nEEG and sleep stages, exported by sleep-monitor. The stages are an "
        b"algorithm's, not an expert's, and no diagnosis. Each _eeg.json says which software, "
        b"weights and options made them.\n"
    )


def recording(night: ExportedNight) -> Iterator[bytes]:
    """Yield the sidecar of the recording, with the provenance."""
    channels = night.record.session.channels
    yield json_file(
        {
            "TaskName": "sleep",
            "TaskDescription": "a night of sleep",
            "SamplingFrequency": SFREQ_HZ,
            "EEGReference": "as recorded: see the names of the channels",
            "PowerLineFrequency": NONE,
            "SoftwareFilters": {
                "monitor": {
                    "description": "causal; Butterworth high-pass, windowed-sinc low-pass",
                    "high_pass_hz": HIGHPASS_HZ,
                    "low_pass_hz": LOWPASS_HZ,
                }
            },
            "EEGChannelCount": len(channels),
            "RecordingDuration": night.duration_s,
            "RecordingType": "continuous",
            "Manufacturer": clean(night.record.session.source),
            "SoftwareVersions": f"{PROGRAM} {night.record.stored.version}",
            "Provenance": night.provenance,
        }
    )


def channels(night: ExportedNight) -> Iterator[bytes]:
    """Yield the table of channels, with the labels of the EDF file."""
    labels = distinct_labels(night.record.session.channels)
    head = ("name", "type", "units", "low_cutoff", "high_cutoff", "sampling_frequency")
    rows = [(each, "EEG", "uV", HIGHPASS_HZ, LOWPASS_HZ, SFREQ_HZ) for each in labels]
    yield _table(head, rows)


def events(night: ExportedNight) -> Iterator[bytes]:
    """Yield the table of events: stages, marks and losses. Damaged epochs have no row."""
    rows: list[tuple[object, ...]] = []
    for each in night.predictions:
        index = each.epoch_index
        if index in night.damaged:
            continue
        numbers = [*(each.probabilities or (None,) * len(STAGES)), each.confidence]
        rows.append(
            (
                EPOCH_S * index,
                EPOCH_S,
                "unscored" if each.stage is None else f"sleep_{each.stage.value}",
                CODES[each.stage],
                None,
                None,
                *(None if number is None else round(number, 6) for number in numbers),
                each.reason,
                night.epoch_clock(index).isoformat(),
            )
        )
    rest = (None,) * (len(STAGES) + 2)
    for mark in night.record.marks:
        at_s = night.seconds(mark.time_utc)
        clock = night.clock(mark.time_utc).isoformat()
        rows.append((at_s, 0.0, mark.kind.value, None, mark_text(mark), None, *rest, clock))
    for loss in loss_events(night):
        channel = loss.channel or None
        rows.append((loss.onset_s, loss.duration_s, "lost", None, None, channel, *rest, None))
    yield _table(_COLUMNS, sorted(rows, key=lambda row: float(str(row[0]))))


def event_columns(night: ExportedNight) -> Iterator[bytes]:
    """Yield the sidecar of the events: what each column means."""
    levels = {f"sleep_{stage.value}": f"sleep stage {stage.value} (AASM)" for stage in STAGES}
    described: dict[str, Any] = {
        "trial_type": {
            "Description": "sleep stage of an epoch, mark of a person, or loss of signal",
            "Levels": levels
            | {
                "unscored": "no stage: see the column reason",
                "lights_off": "mark",
                "lights_on": "mark",
                "note": "a person's note, in the column text",
                "lost": "samples that were not recorded: the file holds 0 there",
            },
        },
        "value": {"Description": "stage: W 0, N1 1, N2 2, N3 3, R 4, unscored -2"},
        "text": {"Description": "words of a mark"},
        "channel": {"Description": "the channel of a loss; n/a: all"},
        "confidence": {"Description": "probability of the stage"},
        "reason": {"Description": "why the epoch is unscored"},
        "clock": {"Description": f"time of day of the onset: {night.provenance['clock']}"},
    }
    for stage in STAGES:
        described[f"p_{stage.lower()}"] = {"Description": f"probability of stage {stage.value}"}
    yield json_file(described | {"StageAlgorithm": night.provenance})


def _table(head: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> bytes:
    lines = ["\t".join(head), *("\t".join(map(_cell, row)) for row in rows)]
    return "".join(f"{line}\n" for line in lines).encode()


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return NONE if value is None else clean(str(value))
