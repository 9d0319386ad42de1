"""The health of a live night: contact of the electrodes, alarms, derivation, time worn."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from rich.style import Style

from models.contract import EPOCH_S
from monitor.night.state import NightState
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.look import Look
from monitor.sinks.dashboard.text import cut, number
from monitor.sinks.words import age_text, local_time, unstored_text
from monitor.types import ChannelState, Contact, SignalState

MAX_CHANNELS = 8

_DOTS = {Contact.GOOD: "●", Contact.POOR: "◐", Contact.OFF: "○"}
_WORST_FIRST = (Contact.OFF, Contact.POOR, Contact.GOOD)
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
        style = _contact_style(channel.contact, look)
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
    """Return True if the derivation that is staged now is not the preferred one."""
    return state.derivation != state.session.derivation


def worn_text(state: NightState, look: Look) -> str | None:
    """Return "worn since 22:41" while the band is worn, "worn 22:41 to 05:20" afterwards."""
    if state.worn is None:
        return "not worn so far" if state.live else None
    first, end = state.worn
    if end >= len(state.live) and not state.ended:
        return f"worn since {_epoch_start(first, state, look)}"
    return f"worn {_epoch_start(first, state, look)} to {_epoch_start(end, state, look)}"


def _epoch_start(index: int, state: NightState, look: Look) -> str:
    when = state.session.start_utc + timedelta(seconds=EPOCH_S * index)
    return local_time(when, state, look.timezone).strftime("%H:%M")
