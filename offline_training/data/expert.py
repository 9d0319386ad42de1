"""Read a recording's expert stages from EDF+ or XML."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from models.contract import EPOCH_S
from monitor.errors import InputError
from monitor.sources.durations import spoken_duration
from monitor.sources.edf import EdfRecording
from monitor.sources.hypnogram import (
    Hypnogram,
    expert_hypnogram,
    read_hypnogram,
    spans_on_recording,
)
from offline_training.data.xml_stages import read_xml_stages


def expert_stages(recording: EdfRecording, hypnogram: Path | None) -> Hypnogram:
    """Return the expert's stages of ``recording``, on the recording's time.

    They come from ``hypnogram``, or from the recording's own annotations if that is None. The
    suffix .xml means XML as in SHHS; any other file is read as EDF+. A hypnogram may cover a part
    of the recording only, such as lights off to lights on. If both EDF+ files carry a start date,
    onsets are shifted by the difference; XML counts from the recording's start.

    Raises InputError if the stages cannot be read, if there are none, or if an epoch outside the
    recording is scored.
    """
    if hypnogram is None:
        own = expert_hypnogram(recording)
        if own is None:
            raise InputError(
                f"{recording.path} has no hypnogram beside it and no stages in its annotations"
            )
        return own
    if hypnogram.suffix.lower() == ".xml":
        return _within(read_xml_stages(hypnogram), recording)
    stages = read_hypnogram(hypnogram)
    return _within(replace(stages, spans=spans_on_recording(stages, recording)), recording)


def _within(stages: Hypnogram, recording: EdfRecording) -> Hypnogram:
    """Return ``stages``; raise InputError if they score beyond the recording by over an epoch."""
    scored = [span for span in stages.spans if span.stage is not None]
    for span in scored:
        if span.onset_s < -EPOCH_S or span.end_s > recording.duration_s + EPOCH_S:
            raise InputError(
                f"{stages.path} does not belong to {recording.path}: it scores "
                f"{span.onset_s:g} s to {span.end_s:g} s after the start of a recording of "
                f"{spoken_duration(recording.duration_s)}"
            )
    return stages
