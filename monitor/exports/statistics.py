"""The statistics of a night as JSON, every number under its exact name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

from monitor.exports.exported import ExportedNight, mark_text
from monitor.exports.texts import json_file
from monitor.night.night import Night
from monitor.types import SampleLedger, Track


def statistics_json(night: ExportedNight) -> Iterator[bytes]:
    """Yield `SleepStatistics` of the track, with what they rest on: bounds, losses, marks."""
    record, state = night.record, night.record.state
    counted = record.night
    if night.track is Track.LIVE:
        counted = Night.of(record.session, record.marks, SampleLedger(), record.live, ())
    reasons = Counter(each.reason for each in night.predictions if each.reason)
    yield json_file(
        {
            "statistics": asdict(counted.statistics),
            "units": "minutes (_min) and percent (_percent); null is undefined, and never 0",
            "definitions": "AASM Manual 2.6; monitor/README.md of the software has them all",
            "epochs": {
                "total": record.n_epochs,
                "scored": record.n_epochs - reasons.total(),
                "unscored": {str(reason): n for reason, n in sorted(reasons.items())},
            },
            "worn": None
            if state.worn is None
            else [night.epoch_clock(each).isoformat() for each in state.worn],
            "derivations": dict(Counter(state.derivations)),
            "samples": asdict(state.ledger),
            "marks": [
                {
                    "clock": night.clock(mark.time_utc).isoformat(),
                    "seconds": night.seconds(mark.time_utc),
                    "text": mark_text(mark),
                }
                for mark in record.marks
            ],
            "provenance": night.provenance,
        }
    )


def provenance_json(night: ExportedNight) -> Iterator[bytes]:
    """Yield the provenance, for a file that has no room for it."""
    yield json_file(night.provenance)
