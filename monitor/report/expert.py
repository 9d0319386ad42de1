"""The expert's stages of a stored night: those that the user names, or those of its recording."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from models.contract import Stage
from monitor.errors import InputError, MonitorError
from monitor.night.agreement import Agreement, agreement
from monitor.night.identity import replay_id
from monitor.night.record import NightRecord
from monitor.report.axis import LocalClock
from monitor.sources.expert import expert_hypnogram, read_hypnogram
from monitor.sources.formats import open_recording
from monitor.sources.hypnogram import Hypnogram, stages_on_grid

_DAY_S = 86400.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExpertStages:
    """The expert's stage of each epoch of a night, None for unscored, and the file's name.

    ``placing``: how the stages were laid on the night, in a sentence; "" if nothing had to be
    decided.
    """

    name: str
    stages: tuple[Stage | None, ...]
    placing: str = ""

    def agreement(self, stages: Sequence[Stage | None]) -> Agreement:
        """Return the agreement of ``stages`` with the expert's."""
        return agreement(self.stages, stages)


def named_expert(path: Path, record: NightRecord, clock: LocalClock) -> ExpertStages:
    """Return the stages of the hypnogram ``path`` on the epochs of ``record``.

    EDF names no time zone. The hypnogram's clock counts as that of a replayed recording, and in a
    live night as local time or UTC, whichever puts more of its stages into the night; if no date
    fits, its time of day counts. A hypnogram without a time begins with the night. Raises
    `InputError` if it cannot be read, or has no stage within the night.
    """
    hypnogram = read_hypnogram(path)
    for note in hypnogram.notes:
        _log.info("%s", note)
    session = record.session
    if hypnogram.start is None:
        places = {"it begins with the night": 0.0 if record.is_live else session.start_s}
    else:
        given = hypnogram.start.utc
        local = clock(session.start_utc).replace(tzinfo=UTC)
        places = {
            "its clock is read as local time": (local - given).total_seconds(),
            "its clock is read as UTC": (session.start_utc - given).total_seconds(),
        }
        places |= {
            f"{how}, and its date is not used": (origin_s + _DAY_S / 2) % _DAY_S - _DAY_S / 2
            for how, origin_s in places.items()
        }
    laid = {
        how: stages_on_grid(hypnogram, origin_s, record.n_epochs)
        for how, origin_s in places.items()
    }
    # Of places that fit equally well, the first counts.
    how, stages = max(laid.items(), key=lambda each: sum(stage is not None for stage in each[1]))
    if any(stage is not None for stage in stages):
        placing = f"How the expert's stages were laid on the night: {how}."
        return ExpertStages(path.name, tuple(stages), placing if record.is_live else "")
    raise InputError(
        f"{path} has no stage within the night, which began at "
        f"{clock(session.start_utc):%Y-%m-%d %H:%M}: give the hypnogram of this night"
    )


def found_expert(record: NightRecord, folders: Sequence[Path]) -> ExpertStages | None:
    """Return the expert's stages of the recording that ``record`` replays; None if not found.

    The recording is looked for by its name in ``folders``, and must be the very one: the id of the
    session is a hash of it.
    """
    session = record.session
    name = Path(session.source).name
    if record.is_live or not name:
        return None
    for folder in folders:
        path = folder / name
        try:
            if not path.is_file():
                continue
            recording = open_recording(path)
            identity = (session.derivation, session.start_s, record.stored.weights_sha256)
            if replay_id(recording.fingerprint, *identity) != session.id:
                continue
            hypnogram = expert_hypnogram(recording)
        except (MonitorError, OSError) as exc:
            _log.warning("The expert's stages are left out: %s", exc)
            return None
        if hypnogram is None:
            return None
        for note in hypnogram.notes:
            _log.info("%s", note)
        return _on_grid(hypnogram, record)
    return None


def _on_grid(hypnogram: Hypnogram, record: NightRecord) -> ExpertStages:
    stages = stages_on_grid(hypnogram, record.session.start_s, record.n_epochs)
    return ExpertStages(hypnogram.path.name, tuple(stages))
