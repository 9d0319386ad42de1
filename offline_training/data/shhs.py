"""The Sleep Heart Health Study, both visits, as the National Sleep Research Resource stores it.

::

    polysomnography/edfs/shhs1/shhs1-200001.edf
    polysomnography/annotations-events-nsrr/shhs1/shhs1-200001-nsrr.xml
    polysomnography/annotations-events-profusion/shhs1/shhs1-200001-profusion.xml
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from monitor.errors import InputError
from monitor.sources.channel_names import name_key
from offline_training.data.condition import SourceRecording
from offline_training.data.licences import SHHS

CHANNELS = {
    # C4-A1 is the derivation that the literature stages.
    "EEG": "C4-A1",
    "C4-A1": "C4-A1",
    # C3-A2 is used if a recording lacks C4-A1.
    "EEG(sec)": "C3-A2",
    "EEG sec": "C3-A2",
    "EEG_SEC": "C3-A2",
    "EEG2": "C3-A2",
    "EEG 2": "C3-A2",
    "EEG_2": "C3-A2",
    "C3-A2": "C3-A2",
}
"""Channel names of SHHS and the derivation that each one is.

They are tried in this order; case does not matter.
"""

_RECORDING = re.compile(r"shhs[12]-(\d+)\.edf", re.IGNORECASE)


def shhs_sources(root: Path, visits: Sequence[int]) -> list[SourceRecording]:
    """Return the recordings of ``visits`` (1, 2) below ``root``, which holds ``polysomnography``.

    One person has one nsrrid in both visits, hence one subject. The NSRR annotations are used, or
    the Profusion ones if the former are missing; a recording may have neither.

    Raises InputError if there is no recording.
    """
    base = root / "polysomnography" if (root / "polysomnography").is_dir() else root
    sources = [
        SourceRecording(
            dataset=visit,
            name=recording.stem,
            subject=subject,
            licence=SHHS,
            recording=recording,
            hypnogram=_annotations(base, visit, recording.stem),
            channels=tuple(CHANNELS),
            derivations={name_key(name): derivation for name, derivation in CHANNELS.items()},
        )
        for visit in (f"shhs{number}" for number in visits)
        for recording in sorted((base / "edfs" / visit).glob("*"))
        if (subject := subject_of(recording)) is not None
    ]
    if not sources:
        folders = " or ".join(str(base / "edfs" / f"shhs{number}") for number in visits)
        raise InputError(
            f"there is no SHHS recording in {folders}: --root must be the folder that "
            "holds NSRR's polysomnography folder"
        )
    return sources


def subject_of(path: Path) -> str | None:
    """Return the subject that a recording's file name states; None if it is not from SHHS."""
    match = _RECORDING.fullmatch(path.name)
    return None if match is None else f"shhs-{match[1]}"


def _annotations(base: Path, visit: str, stem: str) -> Path | None:
    for kind in ("nsrr", "profusion"):
        path = base / f"annotations-events-{kind}" / visit / f"{stem}-{kind}.xml"
        if path.is_file():
            return path
    return None
