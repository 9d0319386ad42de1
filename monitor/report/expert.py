"""The expert's stages of a stored night: those that the user names, or those of its recording."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
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

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExpertStages:
    """The expert's stage of each epoch of a night, None for unscored, and the file's name."""

    name: str
    stages: tuple[Stage | None, ...]

    def agreement(self, stages: Sequence[Stage | None]) -> Agreement:
        """Return the agreement of ``stages`` with the expert's."""
        return agreement(self.stages, stages)


def named_expert(path: Path, record: NightRecord, clock: LocalClock) -> ExpertStages:
    """Return the stages of the hypnogram ``path`` on the epochs of ``record``.

    The times in the hypnogram are those of a replayed recording, or of the wall clock of a live
    night, or UTC; a hypnogram without a time begins with the night. Raises `InputError` if it
    cannot be read, or has no stage within the night.
    """
    hypnogram = read_hypnogram(path)
    session = record.session
    if hypnogram.start is None:
        origins_s = [0.0 if record.is_live else session.start_s]
    else:
        given = hypnogram.start.utc
        local = clock(session.start_utc).replace(tzinfo=UTC)
        origins_s = [_seconds(local - given), _seconds(session.start_utc - given)]
        origins_s += [(each + _DAY_S / 2) % _DAY_S - _DAY_S / 2 for each in origins_s]
    for origin_s in origins_s:
        stages = stages_on_grid(hypnogram, origin_s, record.n_epochs)
        if any(stage is not None for stage in stages):
            return ExpertStages(path.name, tuple(stages))
    raise InputError(
        f"{path} has no stage within the night, which began at "
        f"{clock(session.start_utc):%Y-%m-%d %H:%M}: give the hypnogram of this night"
    )


_DAY_S = 86400.0


def _seconds(duration: timedelta) -> float:
    return duration.total_seconds()


def found_expert(
    record: NightRecord, folders: Sequence[Path], weights_sha256: str
) -> ExpertStages | None:
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
            identity = (session.derivation, session.start_s, weights_sha256)
            if replay_id(recording.fingerprint, *identity) != session.id:
                continue
            hypnogram = expert_hypnogram(recording)
        except (MonitorError, OSError) as exc:
            _log.warning("The expert's stages are left out: %s", exc)
            return None
        if hypnogram is None:
            return None
        return _on_grid(hypnogram, record)
    return None


def _on_grid(hypnogram: Hypnogram, record: NightRecord) -> ExpertStages:
    stages = stages_on_grid(hypnogram, record.session.start_s, record.n_epochs)
    return ExpertStages(hypnogram.path.name, tuple(stages))
