"""The health of a live night: contact of the electrodes, alarms, derivation, time worn."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum

from rich.style import Style

from models.contract import EPOCH_S
from monitor.night.state import NightState
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.look import CONTACT_DOTS, Look
from monitor.sinks.dashboard.text import cut, number
from monitor.sinks.words import age_text, local_time, unstored_text
from monitor.types import ChannelState, Contact, Reason, SignalState

MAX_CHANNELS = 8

_WAS_OFF = (Reason.FLAT, Reason.RAILED, Reason.MAINS)
"""Reasons why an epoch is unscored that show an electrode off the head."""

WORST_FIRST = (Contact.OFF, Contact.POOR, Contact.GOOD)
_GAP = 2


def alarm(state: NightState, now: datetime, width: int = 1000) -> str | None:
    """Return in one line what needs a person's action at ``now``; None if nothing does.

    If not all fits ``width``, the advice is left out first.
    """
    alarms, advice = [], []
    if is_silent(state):
        since = state.last_sample_utc
        alarms.append("no samples" + (f" for {age_text(now - since)}" if since else ""))
        advice.append(": check the headband")
    if state.unstored:
        whole = unstored_text(state.unstored, state.trouble)
        alarms.append(whole.removesuffix(" to be stored"))
        advice.append(" to be stored")
    full = "  ".join(map("".join, zip(alarms, advice, strict=True)))
    return cut(full if len(full) <= width else "  ".join(alarms), width) or None


def is_silent(state: NightState) -> bool:
    """Return True if a live source sends nothing. A gap in a recording needs no action."""
    return state.signal is SignalState.LOST and state.is_live and not state.ended


def is_streaming(status: str) -> bool:
    """Return True if the source streams; if not, its status describes what it does instead."""
    return status == "" or status.startswith("streaming")


def _contact_style(contact: Contact, look: Look) -> Style:
    return {Contact.GOOD: look.good, Contact.POOR: look.alarm, Contact.OFF: look.bad}[contact]


def draw_contacts(
    canvas: Canvas, x: int, y: int, width: int, channels: Sequence[ChannelState], look: Look
) -> None:
    """Draw one row with each channel, its contact and the reason, in as many words as fit.

    If there are more than `MAX_CHANNELS`, or more than fit, the row shows the worst and the number
    of the others.
    """
    worst = sorted(channels, key=lambda c: WORST_FIRST.index(c.contact))
    for n_shown in range(min(MAX_CHANNELS, len(channels)), -1, -1):
        shown = [channel for channel in channels if channel in worst[:n_shown]]
        hidden = len(channels) - n_shown
        more = f"+{hidden}" if hidden else ""
        for words in (_fully, _in_words, _only_trouble, _without_reasons, _dots_alone):
            entries = [(c, words(c)) for c in shown]
            texts = [f"  {c.name} {text}".rstrip() for c, text in entries] + [more] * bool(more)
            if len((" " * _GAP).join(texts)) <= width:
                _draw_entries(canvas, x, y, entries, more, look)
                return


def _draw_entries(
    canvas: Canvas,
    x: int,
    y: int,
    entries: list[tuple[ChannelState, str]],
    more: str,
    look: Look,
) -> None:
    for channel, words in entries:
        style = _contact_style(channel.contact, look)
        x = canvas.put(x, y, CONTACT_DOTS[channel.contact], style) + 1
        x = canvas.put(x, y, channel.name) + 1
        x = canvas.put(x, y, words, style) + (_GAP if words else _GAP - 1)
    canvas.put(x, y, more, look.quiet)


def _fully(channel: ChannelState) -> str:
    std = "" if channel.std_uv is None else f" {number(channel.std_uv, ' uV', 0)}"
    return _in_words(channel) + std


def _in_words(channel: ChannelState) -> str:
    return f"{channel.contact} {channel.reason}" if channel.reason else f"{channel.contact}"


def _only_trouble(channel: ChannelState) -> str:
    return "" if channel.contact is Contact.GOOD else _in_words(channel)


def _without_reasons(channel: ChannelState) -> str:
    return "" if channel.contact is Contact.GOOD else f"{channel.contact}"


def _dots_alone(channel: ChannelState) -> str:
    return ""


def is_second_choice(state: NightState) -> bool:
    """Return True if the derivation that is staged now is not the preferred one."""
    return state.derivation != state.session.derivation


class Band(Enum):
    """The band now, by its electrodes.

    - UNKNOWN: a replay, or a night that has ended: nothing is known but its epochs.
    - ON: an electrode touches the head. OFF: none does. SILENT: no samples come.
    """

    UNKNOWN = "unknown"
    ON = "on"
    OFF = "off"
    SILENT = "silent"


def band(state: NightState) -> Band:
    """Return where the band is now. Every line about the health of a night follows it."""
    if state.ended or not state.is_live:
        return Band.UNKNOWN
    if is_silent(state):
        return Band.SILENT
    if not state.channels:
        return Band.UNKNOWN
    off = all(channel.contact is Contact.OFF for channel in state.channels)
    return Band.OFF if off else Band.ON


def electrodes(state: NightState) -> tuple[ChannelState, ...]:
    """Return the electrodes as they are now.

    They are judged every two seconds, so the snapshot may be older than the loss of the signal.
    """
    if band(state) is not Band.SILENT:
        return state.channels
    return tuple(
        ChannelState(channel.name, Contact.OFF, Reason.MISSING, None) for channel in state.channels
    )


def recovers(state: NightState) -> bool:
    """Return True if an electrode was off in the newest epoch, and all are good now."""
    newest = state.live[-1] if state.live else None
    good = all(channel.contact is Contact.GOOD for channel in state.channels)
    return newest is not None and newest.reason in _WAS_OFF and band(state) is Band.ON and good


def signal_word(state: NightState) -> tuple[str, bool]:
    """Return the state of the signal in a word of nine letters at most, and True if it is well.

    `SignalState` is about the newest epoch, which may be 30 s old. Where the electrodes know
    better, their word counts.
    """
    now = band(state)
    if state.signal is SignalState.WAITING and state.last_sample_utc is not None:
        return ("OFF", False) if now is Band.OFF else ("MEASURING", True)
    if state.signal is SignalState.GOOD and now is Band.OFF:
        return "OFF", False
    if state.signal is SignalState.POOR and recovers(state):
        return "RECOVERS", True
    return state.signal.value.upper(), state.signal is SignalState.GOOD


def worn_text(state: NightState, look: Look) -> str | None:
    """Return since when the band is worn, or from when to when it was; None before any epoch.

    | band | never worn | worn until now | worn before |
    |---|---|---|---|
    | on | on, not yet 5 min scored | worn since 22:41 | worn from 22:41, scored to 05:20 |
    | off, silent | not worn so far | worn 22:41 to 05:26 | worn 22:41 to 05:20 |
    | unknown | not worn so far | worn since 22:41 | worn 22:41 to 05:20 |
    """
    now = band(state)
    if state.worn is None:
        if not state.live:
            return None
        return "on, not yet 5 min scored" if now is Band.ON else "not worn so far"
    first, end = (_epoch_start(index, state, look) for index in state.worn)
    scored = state.worn[1] >= len(state.live)
    if now is Band.ON and not scored:
        return f"worn from {first}, scored to {end}"
    if scored and not state.ended and now in (Band.ON, Band.UNKNOWN):
        return f"worn since {first}"
    return f"worn {first} to {end}"


def _epoch_start(index: int, state: NightState, look: Look) -> str:
    when = state.session.start_utc + timedelta(seconds=EPOCH_S * index)
    return local_time(when, state, look.timezone).strftime("%H:%M")
