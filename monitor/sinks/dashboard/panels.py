"""The words and numbers of the dashboard: the bar at the top, labelled values, lines."""

from __future__ import annotations

from datetime import datetime

from rich.style import Style

from monitor.night.state import NightState
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.health import (
    alarm,
    is_second_choice,
    is_streaming,
    signal_word,
    worn_text,
)
from monitor.sinks.dashboard.look import Look
from monitor.sinks.dashboard.text import fitting, number, shorten, span
from monitor.sinks.redis_client import safe_url
from monitor.sinks.words import clock_text, time_in_bed
from monitor.types import SignalState

Item = tuple[str, str, Style]
"""Label, value and the value's style."""


def draw_header(
    canvas: Canvas, state: NightState, now: datetime, look: Look, status: str = ""
) -> None:
    """Draw the top bar: clock, alarm, time in bed, progress of the night or the replay."""
    right = _progress(state, 12 if canvas.width >= 100 else 0, status)
    right += "  ? keys" if look.keys else ""
    clock = clock_text(now, state, look.timezone)
    room = canvas.width - len(clock) - len(right) - 5
    wrong = alarm(state, now, room)
    bar = look.alarm_bar if wrong else look.bar
    canvas.fill(0, 0, canvas.width, 1, " ", bar)
    x = canvas.put(1, 0, clock, bar + Style(bold=True))
    since = "lights off" if state.lights_off_utc else "recording"
    done, total = len(state.live), state.n_epochs_total
    items = [f"in bed {span(time_in_bed(state, now))} ({since})"]
    if state.signal is SignalState.RESTORED:
        items.insert(0, "samples are back")
    if state.session.sleeper:
        items.insert(0, state.session.sleeper)
    if state.is_live and (worn := worn_text(state, look)) is not None:
        items.append(worn)
    items.append(f"{done} epochs" if total is None else f"{done} of {total} epochs")
    if wrong is not None:
        items.insert(0, wrong)
    canvas.put(x + 2, 0, fitting(items, room), bar)
    if room >= 0:
        canvas.put(canvas.width - len(right) - 1, 0, right, bar)


def _progress(state: NightState, bar_width: int, status: str) -> str:
    if state.ended:
        return "ended"
    if state.is_live:
        return status if is_streaming(status) and 0 < len(status) <= bar_width else "live"
    speed = "max" if state.speed is None else f"{state.speed:g}x"
    if not state.n_epochs_total:
        return f"replay {speed}"
    share = min(1.0, len(state.live) / state.n_epochs_total)
    bar = "━" * round(bar_width * share)
    return f"replay {speed} {bar:─<{bar_width}} {int(100 * share)} %".replace("  ", " ")


def signal_items(state: NightState, look: Look) -> list[Item]:
    """Return the state of the signal and its quality."""
    quality = state.quality
    plain = look.style()
    name, well = signal_word(state)
    items: list[Item] = [("signal", name, look.good if well else look.alarm)]
    if quality is None:
        return [*items, *((label, "—", plain) for label in ("missing", "std", "p-p", "mains"))]
    mains = None if quality.mains_fraction is None else 100 * quality.mains_fraction
    lost = look.alarm if quality.missing_fraction else plain
    return [
        *items,
        ("missing", number(100 * quality.missing_fraction, " %"), lost),
        ("std", number(quality.std_uv, " uV", 1 if quality.std_uv < 1000 else 0), plain),
        ("p-p", number(quality.peak_to_peak_uv, " uV", 0), plain),
        ("mains", number(mains, " %", 0), plain),
        ("unfit for scoring", quality.reason or "—", look.alarm if quality.reason else plain),
    ]


def sample_items(state: NightState, look: Look) -> list[Item]:
    """Return the sample ledger: how many samples were received, filled, lost and dropped."""
    ledger, plain = state.ledger, look.style()
    lost = look.alarm if ledger.lost else plain
    return [
        ("expected", f"{ledger.expected:,}", plain),
        ("received", f"{ledger.received:,}", plain),
        ("filled", f"{ledger.filled:,}", plain),
        ("lost", f"{ledger.lost:,}", lost),
        ("arrived", f"{ledger.arrived:,}", plain),
        ("reordered", f"{ledger.reordered:,}", plain),
        ("duplicate", f"{ledger.duplicate:,}", plain),
        ("late", f"{ledger.late:,}", plain),
        ("invalid", f"{ledger.invalid:,}", plain),
    ]


def sample_line(state: NightState, width: int = 1000) -> str:
    """Return the sample ledger as a sum; items that do not fit are left out, the last first."""
    ledger = state.ledger
    total = (
        f"{ledger.expected:,} = {ledger.received:,} received + {ledger.filled:,} filled"
        f" + {ledger.lost:,} lost"
    )
    dropped = [
        f"{count:,} {name}"
        for name, count in (
            ("dup", ledger.duplicate),
            ("late", ledger.late),
            ("invalid", ledger.invalid),
            ("reordered", ledger.reordered),
        )
        if count or name == "dup"
    ]
    return fitting([total, *dropped], width)


def statistic_items(state: NightState, look: Look) -> list[Item]:
    """Return the sleep statistics under their exact names."""
    statistics, plain = state.statistics, look.style()
    return [
        ("TRT", number(statistics.trt_min, " min"), plain),
        ("TST", number(statistics.tst_min, " min"), look.strong),
        ("SE", number(statistics.se_percent, " %"), look.strong),
        ("SOL", number(statistics.sol_min, " min"), plain),
        ("LPS", number(statistics.lps_min, " min"), plain),
        ("REM latency", number(statistics.rem_latency_min, " min"), plain),
        ("WASO (AASM)", number(statistics.waso_aasm_min, " min"), plain),
        ("WASO (last sleep)", number(statistics.waso_last_sleep_min, " min"), plain),
        ("unscored", number(statistics.unscored_min, " min"), plain),
    ]


def statistic_lines(state: NightState, width: int) -> tuple[str, str]:
    """Return the sleep statistics in two lines, in minutes unless a unit is shown."""
    s = state.statistics
    first = [
        f"TRT {number(s.trt_min)}",
        f"TST {number(s.tst_min)}",
        f"SOL {number(s.sol_min)}",
        f"LPS {number(s.lps_min)}",
        f"REM latency {number(s.rem_latency_min)}",
    ]
    second = [
        f"SE {number(s.se_percent, ' %')}",
        f"WASO (AASM) {number(s.waso_aasm_min)}",
        f"WASO (last sleep) {number(s.waso_last_sleep_min)}",
        f"unscored {number(s.unscored_min)}",
    ]
    return fitting(first, width), fitting(second, width)


def session_items(state: NightState, look: Look, width: int) -> list[Item]:
    """Return the source, channel, rate and gain, and the network that stages them."""
    session, plain, second = state.session, look.style(), look.alarm
    return [
        ("source", shorten(session.source, width), plain),
        ("channel", shorten(state.derivation, width), second if is_second_choice(state) else plain),
        ("rate", f"{session.sfreq_hz:g} Hz", plain),
        ("gain", session.gain, plain),
        ("model", shorten(session.model, width), plain),
    ]


def event_items(state: NightState, look: Look, width: int) -> list[Item]:
    """Return where events go and how many were sent."""
    delivery, plain = state.delivery, look.style()
    if delivery.url is None:
        return [("to", "nowhere (kept in the store)", plain)]
    link = ("connected", plain) if delivery.connected else ("NOT CONNECTED", look.alarm)
    waiting = look.alarm if delivery.waiting and not delivery.connected else plain
    return [
        ("to", shorten(safe_url(delivery.url), width), plain),
        ("link", *link),
        ("published", f"{delivery.published:,}", plain),
        ("waiting", f"{delivery.waiting:,}", waiting),
    ]


def event_line(state: NightState, look: Look, width: int) -> tuple[str, Style]:
    """Return where events go and how many were sent, in one line."""
    delivery = state.delivery
    if delivery.url is None:
        return "not sent anywhere, kept in the store", look.style()
    counts = f"{delivery.published:,} published  {delivery.waiting:,} waiting"
    link = "connected" if delivery.connected else "NOT CONNECTED"
    room = width - len(counts) - len(link) - 4
    line = (
        f"{shorten(safe_url(delivery.url), room)}  {link}  {counts}"
        if room >= 8
        else fitting([link, counts], width)
    )
    return line, look.style() if delivery.connected else look.alarm


def draw_items(
    canvas: Canvas, x: int, y: int, label_width: int, items: list[Item], look: Look
) -> int:
    """Write one item a row, with the values aligned; return the row after them."""
    for label, value, style in items:
        canvas.put(x, y, label, look.quiet)
        canvas.put(x + label_width, y, value, style)
        y += 1
    return y
