"""The row of a recording in the table of all: its columns, and what fills them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from monitor.config import monitor_version
from monitor.night.agreement import Agreement
from monitor.night.statistics import SleepStatistics
from monitor.scoring.staged import StagedNight
from monitor.sinks.epochs_csv import clock_time
from monitor.text import printed

DONE = "done"
FAILED = "failed"

_SCORES = ("accuracy", "kappa", "macro_f1")
COLUMNS = (
    "file",
    "status",
    "reason",
    "start",
    "channel",
    "epochs",
    *(each.name for each in fields(SleepStatistics)),
    "expert",
    "epochs_compared",
    *_SCORES,
    *(f"live_{name}" for name in _SCORES),
    "gain",
    "model",
    "weights_sha256",
    "version",
    "session",
    "notes",
    "output",
    "fingerprint",
)
"""The columns of the table.

- ``start``: of the first epoch, on the recorder's clock; empty if the recording does not state it.
- The statistics have the names of `SleepStatistics`; empty is undefined, and never 0.
- ``expert``: the file with the expert's stages. The scores are those of the revised stages; those
  of the live ones begin with ``live_``.
- ``output``: the beginning of the names of the files that were written for the recording.
- ``fingerprint``: of the recording, its hypnogram, the options, the weights, the version, and the
  other columns. While it stays the same, the recording is not staged again.
"""

Row = dict[str, str]


def done_row(night: StagedNight) -> Row:
    """Return what `COLUMNS` say of a night, without file, output and fingerprint."""
    run, record = night.run, night.record
    start = clock_time(run.session.start_utc, is_live=False)
    statistics = record.night.statistics
    notes = [note for note in run.notes() if note != run.backend.note]
    return {
        "status": DONE,
        "start": start.isoformat() if run.recording.start.has_time else "",
        "channel": run.session.derivation,
        "epochs": str(record.n_epochs),
        **{each.name: _text(getattr(statistics, each.name)) for each in fields(statistics)},
        "expert": "" if run.expert is None else run.expert.path.name,
        **_scores("", night.revised),
        **_scores("live_", night.live),
        "gain": run.session.gain,
        "model": run.session.model,
        "weights_sha256": record.stored.weights_sha256,
        "version": monitor_version(),
        "session": run.session.id,
        "notes": " ".join(notes),
    }


def failed_row(recording: Path, reason: str) -> Row:
    """Return the row of a recording that could not be staged."""
    # The row names the recording already.
    reason = reason.removeprefix(f"{printed(str(recording))} ")
    return {"status": FAILED, "reason": reason, "version": monitor_version()}


def in_short(row: Mapping[str, str]) -> str:
    """Return what a row says in a few words."""
    if row["status"] == FAILED:
        return f"failed: {row['reason']}"
    words = [f"{row['epochs']} epochs", f"TST {float(row['tst_min']):.1f} min"]
    if row.get("se_percent"):
        words.append(f"SE {float(row['se_percent']):.1f} %")
    if row.get("kappa"):
        words.append(f"kappa {float(row['kappa']):.3f}")
    return ", ".join(words)


def _scores(prefix: str, agreement: Agreement | None) -> Row:
    if agreement is None:
        return {}
    scores = {prefix + name: _text(getattr(agreement, name)) for name in _SCORES}
    return scores if prefix else scores | {"epochs_compared": str(agreement.n_scored)}


def _text(value: float | str | None) -> str:
    if isinstance(value, float):
        return str(round(value, 6))
    return "" if value is None else value
