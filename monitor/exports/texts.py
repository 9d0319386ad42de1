"""The stages as text: for YASA, Visbrain and Luna, and the table of epochs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from models.contract import EPOCH_S, STAGES, Stage
from monitor.exports import stage_codes
from monitor.exports.edf import loss_events
from monitor.exports.exported import PROGRAM, ExportedNight, mark_text
from monitor.sinks.epochs_csv import epochs_table
from monitor.types import MarkKind

_LIGHTS = {MarkKind.LIGHTS_OFF: "lights_off", MarkKind.LIGHTS_ON: "lights_on"}
"""Luna's names of these annotations."""


def csv_table(night: ExportedNight) -> Iterator[bytes]:
    """Yield the table of epochs, as `--output` writes it. Damaged epochs are left out."""
    live, main = (
        [each for each in track if each.epoch_index not in night.damaged]
        for track in (night.record.live, night.predictions)
    )
    yield epochs_table(
        night.record.session, live, main, is_live=night.record.is_live, timezone=night.timezone
    ).encode()


def yasa_json(night: ExportedNight) -> Iterator[bytes]:
    """Yield a file that `yasa.Hypnogram.from_json` reads, with probabilities.

    YASA wants probabilities that sum to 1 in every epoch: an unscored one has 1 in its own column.
    """
    nothing = (0.0,) * len(STAGES)
    values, columns = yasa_columns(
        night.stages,
        [[round(p, 6) for p in each.probabilities or nothing] for each in night.predictions],
    )
    yield json_file(
        {
            "values": values,
            "n_stages": len(STAGES),
            "freq": f"{EPOCH_S:g}s",
            "start": night.start.isoformat(),
            "scorer": PROGRAM,
            "proba": columns,
            "provenance": night.provenance,
        }
    )


def yasa_columns(
    stages: Sequence[Stage | None], probabilities: Sequence[Sequence[float]]
) -> tuple[list[str], dict[str, list[float]]]:
    """Return the stages in YASA's words, and a column of probabilities for each word.

    ``probabilities``: five for each epoch. Those of an unscored epoch do not count: it has 1 in the
    column of the unscored, which is there if one is.
    """
    words = stage_codes.YASA
    rows = [
        (*five, 0.0) if stage is not None else (0.0,) * len(STAGES) + (1.0,)
        for stage, five in zip(stages, probabilities, strict=True)
    ]
    columns = {words[key]: [row[at] for row in rows] for at, key in enumerate((*STAGES, None))}
    if None not in stages:
        del columns[words[None]]
    return [words[stage] for stage in stages], columns


def visbrain_stages(night: ExportedNight) -> Iterator[bytes]:
    """Yield Visbrain's file of stages: one code a line, for an epoch."""
    yield _lines(stage_codes.VISBRAIN[stage] for stage in night.stages)


def visbrain_description(night: ExportedNight) -> Iterator[bytes]:
    """Yield the description beside Visbrain's file: what the codes mean, and the provenance."""
    codes = "W 0", "N1 1", "N2 2", "N3 3", "REM 4", "Art -1"
    made = f"# {json.dumps(night.provenance)}"
    yield _lines([f"time {EPOCH_S:g}", *codes, made])


def luna_annotations(night: ExportedNight) -> Iterator[bytes]:
    """Yield Luna's .annot: tab-separated stages, marks and losses, in seconds of the EDF file.

    Luna refuses times before the start: such marks are left out.
    """
    rows = [
        (EPOCH_S * index, EPOCH_S, stage_codes.LUNA[stage], ".", ".")
        for index, stage in enumerate(night.stages)
        if index not in night.damaged
    ]
    for mark in night.marks_within:
        at_s = night.seconds(mark.time_utc)
        note = mark_text(mark) if mark.kind is MarkKind.NOTE else "."
        rows.append((at_s, 0.0, _LIGHTS.get(mark.kind, "note"), note, "."))
    rows += [
        (loss.onset_s, loss.duration_s, "lost", ".", loss.channel or ".")
        for loss in loss_events(night)
    ]
    yield _lines(
        [
            "\t".join(("class", "instance", "channel", "start", "stop", "meta")),
            *(
                "\t".join((name, note, channel, f"{at:.6f}", f"{at + length:.6f}", "."))
                for at, length, name, note, channel in sorted(rows)
            ),
        ]
    )


def luna_epochs(night: ExportedNight) -> Iterator[bytes]:
    """Yield Luna's .eannot: one stage a line, for an epoch."""
    yield _lines(stage_codes.LUNA[stage] for stage in night.stages)


def json_file(value: object) -> bytes:
    """Return ``value`` as the bytes of a JSON file, in ASCII."""
    return (json.dumps(value, indent=1) + "\n").encode()


def _lines(lines: Iterator[str] | list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
