"""Finds the stored night that a sleeper continues, and restores its timeline."""

from __future__ import annotations

import logging
from datetime import datetime

from models.contract import Gain, ModelContract
from monitor.clock import Clock, Timeline, boot_id
from monitor.composition import nights_folder
from monitor.config import SleeperOptions
from monitor.errors import InputError
from monitor.night.live_night import LiveNight
from monitor.night.state import NightState
from monitor.night.stored import StoredNight, night_to_continue, stored_night
from monitor.sources.channel_names import name_key
from monitor.sources.live import Device
from monitor.types import Session

SAME_RATE = 0.02
"""Largest relative difference between the device's rate and the night's. One filter serves both.
The measured rate of a device differs a little from run to run."""

SAME_BOOT_S = 2.0
"""Without a boot id, a timeline that moved less than this belongs to the same boot."""

_log = logging.getLogger(__name__)


def find_night(options: SleeperOptions, source_key: str, now_utc: datetime) -> StoredNight | None:
    """Return the newest night that ``options`` and ``source_key`` could continue, or None.

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


def why_another_night(
    stored: StoredNight, options: SleeperOptions, gain: Gain, contract: ModelContract
) -> str:
    """Return why the sleeper begins another night instead of ``stored``; "" to continue it.

    Gain and network stay for a night. A night that was ended in order is also not continued with
    other channels, or if it was a test; but --store FILE asks for the night in that file.
    """
    if (stored.gain, stored.model) != (gain.value, contract.full_name):
        return f"the last one has --gain {stored.gain} and {stored.model}"
    if stored.ended_utc is None:
        return ""
    if stored.was_a_test and options.store is None:
        minutes = (stored.reached_utc - stored.start_utc).total_seconds() / 60
        return f"the last one was a test of {minutes:.0f} min"
    if not set(map(name_key, options.channels)) <= set(map(name_key, stored.derivations)):
        return f"the last one has the channels {', '.join(stored.derivations)}"
    return ""


def why_over(night: NightState) -> str:
    """Return why a night that was ended in order was over, or never a night; "" if neither."""
    off, on = night.lights_off_utc, night.lights_on_utc
    if on is not None and (off is None or off < on):
        return f"lights on was marked at {on.astimezone():%H:%M} in the last one"
    if night.live and night.worn is None:
        return "the band was not worn in the last one"
    return ""


def why_not_its_device(device: Device, live: LiveNight, session: Session) -> str:
    """Return why ``device`` cannot go on with the night; "" if it can.

    It must be the same device, with the night's channels and rate.
    """
    if live.device and device.identity and device.identity != live.device:
        return f"{device.identity} is not the device of this night, {live.device}"
    channels, rate = live.montage.channels, device.sfreq_hz / session.sfreq_hz
    if set(channels) <= set(device.channels) and abs(rate - 1.0) <= SAME_RATE:
        return ""
    return (
        f"{device.name} has channels {', '.join(device.channels)} at {device.sfreq_hz:g} Hz, "
        f"not those that this night began with ({', '.join(channels)} at "
        f"{session.sfreq_hz:g} Hz)"
    )


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
