"""What a live night tells besides stages: electrodes, alarms, which derivation, when worn."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from rich.style import Style

from models.contract import EPOCH_S
from monitor.night.state import NightState
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.look import Look, cut, number
from monitor.sinks.log import age_text, local_time, unstored_text
from monitor.types import ChannelState, Contact, SignalState

MAX_CHANNELS = 8

_DOTS = {Contact.GOOD: "●", Contact.POOR: "◐", Contact.OFF: "○"}
_WORST_FIRST = (Contact.OFF, Contact.POOR, Contact.GOOD)
_GAP = 2


def alarm(state: NightState, now: datetime, width: int = 1000) -> str | None:
    """What a person should see to at ``now``, in one line; None if nothing.

    Where ``width`` is too little for all, what to do about it is left out first.
    """
    alarms, advice = [], []
    if is_silent(state):
        since = state.last_sample_utc
        alarms.append("no samples" + (f" for {age_text(now - since)}" if since else ""))
        advice.append(": check the headband")
    if state.unstored:
        whole = unstored_text(state.unstored)
        alarms.append(whole.removesuffix(" to be stored"))
        advice.append(" to be stored")
    full = "  ".join(map("".join, zip(alarms, advice, strict=True)))
    return cut(full if len(full) <= width else "  ".join(alarms), width) or None


def is_silent(state: NightState) -> bool:
    """Whether a live source sends nothing. A recording's gap asks nobody to do anything."""
    return state.signal is SignalState.LOST and state.speed is None and not state.ended


def is_streaming(status: str) -> bool:
    """Whether the source does what it should; else its status says what it does instead."""
    return status == "" or status.startswith("streaming")


def contact_style(contact: Contact, look: Look) -> Style:
    return {Contact.GOOD: look.good, Contact.POOR: look.alarm, Contact.OFF: look.bad}[contact]


def draw_contacts(
    canvas: Canvas, x: int, y: int, width: int, channels: Sequence[ChannelState], look: Look
) -> None:
    """One row: each channel with its contact and why, in as many words as fit.

    Of more than `MAX_CHANNELS`, or than fit, the worst are shown, and how many more there are.
    """
    worst = sorted(channels, key=lambda c: _WORST_FIRST.index(c.contact))
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
        style = contact_style(channel.contact, look)
        x = canvas.put(x, y, _DOTS[channel.contact], style) + 1
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
    return state.derivation != state.session.derivation


def worn_text(state: NightState, look: Look) -> str | None:
    """When the band was worn: "worn since 22:41" while it is, "worn 22:41 to 05:20" after."""
    if state.worn is None:
        return "not worn so far" if state.live else None
    first, end = state.worn
    if end >= len(state.live) and not state.ended:
        return f"worn since {_epoch_time(first, state, look)}"
    return f"worn {_epoch_time(first, state, look)} to {_epoch_time(end, state, look)}"


def _epoch_time(index: int, state: NightState, look: Look) -> str:
    when = state.session.start_utc + timedelta(seconds=EPOCH_S * index)
    return local_time(when, state, look.timezone).strftime("%H:%M")
