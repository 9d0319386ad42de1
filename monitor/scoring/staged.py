"""Stages one recording in memory, with the parts that a replay uses."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from monitor.clock import Clock
from monitor.config import ReplayOptions
from monitor.night.agreement import Agreement, agreement
from monitor.night.memory import NightInMemory
from monitor.night.record import NightRecord
from monitor.recorded_night import Replay
from monitor.staging.chain import BackendChain


@dataclass(frozen=True, slots=True)
class StagedNight:
    """A recording that was staged: what it is, everything of the night, and the agreement.

    ``live`` and ``revised`` are the agreement of each track with the expert; None without one.
    """

    run: Replay
    record: NightRecord
    live: Agreement | None
    revised: Agreement | None


def stage_night(
    options: ReplayOptions,
    clock: Clock,
    backend: BackendChain | None = None,
    *,
    name: str = "",
    keep_signals: bool = False,
    stop: threading.Event | None = None,
) -> StagedNight:
    """Stage a recording; nothing is written.

    - ``backend``: a network that is loaded already. None: load the one of ``options``.
    - ``name``: the beginning of the names of the files that are written for the night.
    - ``keep_signals``: keep the conditioned signals, which some formats need.
    - ``stop``: if it is set, KeyboardInterrupt is raised before the next samples.

    Raises `InputError` if the recording cannot be staged, `MonitorError` if it changes meanwhile.
    """
    run = Replay.prepare(options, backend=backend)
    store = NightInMemory(keep_signals=keep_signals)
    pipeline = run.pipeline(store, clock)
    for chunk in run.chunks(clock, from_s=run.session.start_s):
        if stop is not None and stop.is_set():
            raise KeyboardInterrupt
        pipeline.push(chunk)
    pipeline.finish(clock.utc())
    # The names of files come from the stem, and a recording's own may hold a dot.
    record = store.record(Path(f"{name}.sqlite"))
    live = revised = None
    if run.expert is not None:
        expert = run.expert_stages(record.n_epochs)
        live = agreement(expert, [each.stage for each in record.live])
        revised = agreement(expert, [each.stage for each in record.revised])
    return StagedNight(run, record, live, revised)
