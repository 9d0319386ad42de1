"""Finds the stored night that a sleeper continues, and restores its timeline."""

from __future__ import annotations

import logging
from datetime import datetime

from models.contract import ModelContract
from monitor.clock import Clock, Timeline, boot_id
from monitor.composition import nights_folder
from monitor.config import LiveOptions, SleeperOptions
from monitor.errors import InputError
from monitor.night.live_night import LiveNight
from monitor.night.store import NightStore
from monitor.night.stored import StoredNight, night_to_continue, stored_night

SAME_BOOT_S = 2.0
"""Without a boot id, a timeline that moved less than this belongs to the same boot."""

_log = logging.getLogger(__name__)


def find_night(options: SleeperOptions, source_key: str, now_utc: datetime) -> StoredNight | None:
    """Return the night that ``options`` and ``source_key`` continue; None: begin a new one.

    Raises `InputError` if the store that the user named holds another night, or a night that is
    over.
    """
    path, name = options.store, options.sleeper
    if path is None:
        return night_to_continue(nights_folder(), source_key, name, now_utc)
    if not path.exists():
        return None
    stored = stored_night(path)
    if stored is None or (stored.source_key, stored.sleeper) != (source_key, name):
        raise InputError(f"{path} is not a night of this source; choose another --store")
    if not stored.should_continue(now_utc):
        raise InputError(
            f"{path} holds a night that is over (its last epoch ended "
            f"{stored.reached_utc.astimezone():%Y-%m-%d %H:%M}); choose another --store"
        )
    return stored


def live_night(store: NightStore, options: LiveOptions, contract: ModelContract) -> LiveNight:
    """Return the `LiveNight` that ``store`` holds.

    Raises `InputError` if the night was begun with another gain or network: they stay for a night.
    """
    live, session = store.live_night(), store.session()
    assert live is not None and session is not None  # `find_night` returns no other store
    if (session.gain, session.model) != (options.gain.value, contract.full_name):
        raise InputError(
            f"the night in {store.path} was begun with --gain {session.gain} and "
            f"{session.model}: give these again, or begin another with --new-night"
        )
    return live


def continued_timeline(clock: Clock, live: LiveNight, reached_utc: datetime) -> Timeline:
    """Return the timeline of a night that continues after ``reached_utc``, its last epoch's end.

    Within one boot of the machine it is the timeline that the night began with. After a reboot it
    follows the wall clock, but never begins before the end of the last epoch.
    """
    fresh = Timeline(clock)
    if live.boot_id:
        same_boot = live.boot_id == boot_id()
    else:
        same_boot = abs(fresh.offset_s - live.timeline_offset_s) < SAME_BOOT_S
    if same_boot:
        return Timeline(clock, live.timeline_offset_s)
    behind_s = reached_utc.timestamp() - fresh.now_s()
    if behind_s > 0:
        _log.warning(
            "The machine's clock is %.0f s behind the night that continues: set it. Until the end "
            "of this night its own time goes on",
            behind_s,
        )
        return Timeline(clock, fresh.offset_s + behind_s)
    return fresh
