"""The night as EDF+: with every recorded channel, or the stages alone.

Lost samples are stored as 0 uV, and the annotation `LOST` covers them: EDF+C files open in every
program, and discontinuous ones (EDF+D) do not. MNE leaves such stretches out of filters and epochs,
and `sleep-monitor replay` reads them as lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from models.contract import EPOCH_S, EPOCH_SAMPLES, HIGHPASS_HZ, LOWPASS_HZ, SFREQ_HZ
from monitor.exports.edf_plus import EdfEvent, EdfSignal, edf_plus, record_length_s
from monitor.exports.exported import PROGRAM, ExportedNight, mark_text
from monitor.exports.survey import whole_signals
from monitor.sinks.epochs_csv import UNSCORED
from monitor.sources.recording import LOST

_LONGEST = 500
"""Letters of an annotation. EDFlib, which EDFbrowser and pyedflib use, reads 512."""

# fmt: off
_SHORT = (
    "software", "version", "model", "weights_sha256", "gain", "track", "derivation", "source",
    "clock", "recording_offset_s", "damaged_epochs", "damage", "clipped",
)
# fmt: on
"""Facts that an annotation holds, 70 letters of each; header and annotations say the rest."""


def night_edf(night: ExportedNight) -> Iterator[bytes]:
    """Yield an EDF+ file with all channels at 100 Hz, the stages and the marks."""
    session = night.record.session
    survey = night.survey
    record_s = record_length_s(len(session.channels), SFREQ_HZ)
    per_epoch = int(EPOCH_S / record_s)
    n = EPOCH_SAMPLES // per_epoch
    yield from edf_plus(
        night.start,
        patient=session.sleeper,
        equipment=f"{PROGRAM} {night.record.stored.version}",
        clock=night.utc_offset,
        signals=[
            EdfSignal(
                name,
                limit,
                f"source {session.source}",
                f"HP:{HIGHPASS_HZ:g}Hz LP:{LOWPASS_HZ:g}Hz (causal, to {SFREQ_HZ:g} Hz)",
            )
            for name, limit in zip(session.channels, survey.limits_uv, strict=True)
        ],
        events=sorted(
            [
                *_made_by(night, clipped=survey.clipped),
                *stage_events(night),
                *mark_events(night),
                *loss_events(night),
            ],
            key=lambda each: each.onset_s,
        ),
        record_s=record_s,
        n_records=night.record.n_epochs * per_epoch,
        samples_per_record=n,
        records=(
            data_uv[:, at : at + n]
            for data_uv in whole_signals(night.record)
            for at in range(0, EPOCH_SAMPLES, n)
        ),
    )


def hypnogram_edf(night: ExportedNight) -> Iterator[bytes]:
    """Yield an EDF+ file of stages and marks, without signals, as Sleep-EDF has them."""
    events = [*_made_by(night), *stage_events(night), *mark_events(night)]
    n_records = 1 + sum(len(each.raw) for each in events) // 50_000
    yield from edf_plus(
        night.start,
        patient=night.record.session.sleeper,
        equipment=f"{PROGRAM} {night.record.stored.version}",
        clock=night.utc_offset,
        signals=[],
        events=sorted(events, key=lambda each: each.onset_s),
        record_s=0.0,
        n_records=n_records,
        samples_per_record=0,
        records=(np.empty((0, 0), np.float32) for _ in range(n_records)),
    )


def stage_events(night: ExportedNight) -> list[EdfEvent]:
    """Return an annotation for each epoch. Damaged epochs have none."""
    return [
        EdfEvent(EPOCH_S * index, EPOCH_S, f"Sleep stage {stage or UNSCORED}")
        for index, stage in enumerate(night.stages)
        if index not in night.damaged
    ]


def mark_events(night: ExportedNight) -> list[EdfEvent]:
    """Return an annotation for each mark."""
    marks = night.record.marks
    return [EdfEvent(night.seconds(each.time_utc), 0.0, mark_text(each)) for each in marks]


def loss_events(night: ExportedNight) -> list[EdfEvent]:
    """Return an annotation for each stretch without signal, of all channels or of one."""
    return [
        EdfEvent(each.first / SFREQ_HZ, each.n_samples / SFREQ_HZ, LOST, each.channel)
        for each in night.survey.losses
    ]


def _made_by(night: ExportedNight, **more: object) -> list[EdfEvent]:
    """Return the provenance as annotations at the start, none longer than `_LONGEST`."""
    facts = night.provenance | more
    facts["damaged_epochs"] = len(night.damaged)
    command = str(facts["command"])
    stated = {key: facts[key] for key in _SHORT if facts.get(key) not in ("", 0, 0.0, None)}
    short = {key: fact[:70] if isinstance(fact, str) else fact for key, fact in stated.items()}
    texts = [f"Provenance: {json.dumps(short, ensure_ascii=False)}"]
    for at in range(0, len(command), _LONGEST - 40):
        name = "command goes on" if at else "command"
        texts.append(f"Provenance, {name}: {command[at : at + _LONGEST - 40]}")
    return [EdfEvent(0.0, 0.0, text) for text in texts]
