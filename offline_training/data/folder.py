"""A lab's own recordings: any folder of recordings with expert stages."""

from __future__ import annotations

import re
from pathlib import Path

from monitor.errors import InputError
from offline_training.data.condition import SourceRecording
from offline_training.data.pairs import find_pairs

DATASET = "folder"


def folder_sources(
    root: Path,
    channel: str | None,
    subject_pattern: str | None,
    licence: str,
) -> list[SourceRecording]:
    """Return every recording below ``root``, each with the hypnogram that `find_pairs` finds.

    ``subject_pattern`` is searched for in the recording's name. Its first group, or the whole match
    if it has no group, is the subject. Without a pattern every recording counts as another person.

    Raises InputError if there is no recording, if the pattern is not a regular expression, or if it
    finds no subject in a name.
    """
    try:
        pattern = re.compile(".+" if subject_pattern is None else subject_pattern)
    except re.error as exc:
        raise InputError(
            f"--subject-pattern is not a regular expression: {exc.msg} in '{subject_pattern}'"
        ) from exc
    return [
        SourceRecording(
            dataset=DATASET,
            name=pair.name,
            subject=f"{DATASET}-{_subject(pattern, pair.name)}",
            licence=licence,
            recording=pair.recording,
            hypnogram=pair.hypnogram,
            channels=() if channel is None else (channel,),
        )
        for pair in find_pairs(root)
    ]


def _subject(pattern: re.Pattern[str], name: str) -> str:
    match = pattern.search(name)
    subject = match and (match[1] if pattern.groups else match[0])
    if not subject:
        raise InputError(
            f"--subject-pattern '{pattern.pattern}' finds no subject in '{name}': "
            "it must match every recording's name"
        )
    return subject
