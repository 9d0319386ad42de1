"""Read another stager's hypnogram of the same recording and compare it on the same epochs.

Formats: EDF+ and XML hypnograms, the monitor's own ``--output`` table, and plain text with one
stage a line. The first line is the stage of the recording's first 30 s. Plain text with digits is
refused: 4 is R in some tools and N3 in others.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.contract import EPOCH_S, Stage
from monitor.errors import InputError
from monitor.night.agreement import Agreement
from monitor.sinks.epochs_csv import COLUMNS, UNSCORED
from monitor.sources.expert import expert_hypnogram
from monitor.sources.hypnogram import Hypnogram, StageSpan, stages_on_grid
from monitor.sources.stage_words import stage_word
from monitor.text import clean
from offline_training.arrays import I64
from offline_training.data.scored import ScoredNight, stage_indices
from offline_training.evaluation.scores import confusion

_STABLE = COLUMNS.index("reason") + 1
"""A table of an older version of the monitor has these first columns."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Another stager's name and its hypnogram, on the recording's time."""

    name: str
    hypnogram: Hypnogram

    @classmethod
    def read(cls, option: str, night: ScoredNight) -> Peer:
        """Read the hypnogram that ``option``, NAME=FILE, names.

        Raises InputError if the option has another form, or if the file cannot be read or is of
        another recording.
        """
        name, equals, file = option.partition("=")
        if not (name and equals and file):
            raise InputError(f"--peer must be NAME=FILE, got '{option}'")
        path = Path(file)
        if path.suffix.lower() in (".edf", ".bdf", ".xml"):
            peer = expert_hypnogram(night.recording, path)
            assert peer is not None, "a hypnogram that is named holds stages"
            return cls(name, peer)
        return cls(name, Hypnogram(path, _spans(path, night), None))

    def stages(self, night: ScoredNight) -> I64:
        """Return the stage of each of the night's n epochs, (n,), -1 if unscored."""
        return stage_indices(stages_on_grid(self.hypnogram, night.origin_s, night.stage.size))


def on_common_epochs(
    truth: Sequence[I64], stagers: Sequence[Sequence[I64]]
) -> tuple[int, list[Agreement]]:
    """Compare stagers on the epochs that the expert and all of them scored.

    ``truth`` and each of ``stagers`` are one array (n,) for each recording, -1 if unscored. Returns
    the number of common epochs and each stager's agreement with the expert there.
    """
    expert = np.concatenate(truth)
    pooled = [np.concatenate(stages) for stages in stagers]
    common = np.all([expert >= 0, *(stages >= 0 for stages in pooled)], axis=0)
    n_common = int(common.sum())
    return n_common, [
        Agreement.of(confusion(expert[common], stages[common]), n_common) for stages in pooled
    ]


def _spans(path: Path, night: ScoredNight) -> tuple[StageSpan, ...]:
    """Read the stages of a table or plain text file."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not text"
        raise InputError(f"{path} cannot be read: {reason}") from exc
    if lines and lines[0].split(",")[:_STABLE] == list(COLUMNS[:_STABLE]):
        return _table_spans(path, lines, night)
    words = [line.strip() for line in lines if line.strip()]
    recorded = (night.recording.duration_s - night.recording.first_sample_s) / EPOCH_S
    # Stagers differ in whether they score a part of an epoch at the end.
    if not math.floor(recorded) - 1 <= len(words) <= math.ceil(recorded) + 1:
        raise InputError(
            f"{path} does not belong to {night.recording.path}: it has {len(words)} lines, the "
            f"recording {math.floor(recorded)} epochs of 30 s; give one stage a line, W, N1, N2, "
            f"N3, R or {UNSCORED}, from the recording's first sample on"
        )
    first_s = night.recording.first_sample_s
    return tuple(
        StageSpan(first_s + EPOCH_S * i, EPOCH_S, _stage(path, word))
        for i, word in enumerate(words)
    )


def _table_spans(path: Path, lines: list[str], night: ScoredNight) -> tuple[StageSpan, ...]:
    try:
        # ``restval`` keeps a row that was cut short: its missing cells are reported below.
        rows = list(csv.DictReader(lines, restval=""))
    except csv.Error as exc:
        raise InputError(f"{path} is not a table: {exc}") from exc
    spans = [
        StageSpan(_seconds(path, row["start_s"]), EPOCH_S, _stage(path, row["stage"]))
        for row in rows
    ]
    if not spans or spans[-1].end_s > night.recording.duration_s + EPOCH_S:
        raise InputError(
            f"{path} does not belong to {night.recording.path}: give the --output of this recording"
        )
    return tuple(spans)


def _seconds(path: Path, text: str) -> float:
    with suppress(ValueError):
        if math.isfinite(start_s := float(text)):
            return start_s
    raise InputError(f"{path}: start_s must be a number, got '{text}'")


def _stage(path: Path, text: str) -> Stage | None:
    word = stage_word(text)
    if word is None or not word.known or word.is_number:
        raise InputError(
            f"{path}: '{clean(text)}' is not a stage; use W, N1, N2, N3, R, or {UNSCORED} for "
            "unscored"
        )
    return word.stage
