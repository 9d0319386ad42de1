"""`summary`: the report of a night that is printed in the morning."""

from __future__ import annotations

from collections import Counter

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from models.contract import EPOCH_S, Stage
from monitor.night.state import NightState
from monitor.sinks.dashboard import panels
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.health import worn_text
from monitor.sinks.dashboard.look import Look
from monitor.sinks.dashboard.plots import draw_night
from monitor.sinks.dashboard.stage import stage_totals
from monitor.sinks.dashboard.text import fitting, number
from monitor.sinks.words import clock_text

MEANINGS = {
    "TRT": "total recording time: {bounds}",
    "TST": "total sleep time: N1, N2, N3 and R",
    "SE": "sleep efficiency: TST / TRT",
    "SOL": "sleep onset latency: to any sleep",
    "LPS": "latency to persistent sleep: 10 min of it",
    "REM latency": "from sleep onset to the first R epoch",
    "WASO (AASM)": "wake, sleep onset to the end of TRT",
    "WASO (last sleep)": "wake, sleep onset to the last sleep epoch",
    "unscored": "in TRT, neither sleep nor wake",
}
_BOUNDS = {
    "lights": "lights off to lights on",
    "recording": "the recording",
    "worn": "while the band was worn",
}
_WIDTH = 100


def summary(state: NightState, look: Look | None = None) -> RenderableType:
    """Return the report of the night, as wide as the console on which it is printed."""
    return _Summary(state, look or Look())


class _Summary:
    def __init__(self, state: NightState, look: Look) -> None:
        self._state = state
        self._look = look

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        state, look = self._state, self._look
        width = min(options.max_width, _WIDTH)
        yield Group(_picture(state, width, look), Text(), _statistics(state, look), Text())
        for line in _closing_lines(state, look):
            yield Text(line)


def _picture(state: NightState, width: int, look: Look) -> Canvas:
    canvas = Canvas(width, 11, look.unicode)
    start, end = (
        clock_text(when, state, look.timezone)
        for when in (state.session.start_utc, state.clock_utc)
    )
    title = [f"{len(state.live)} epochs, {start} to {end}", state.session.source]
    canvas.put(1, 0, fitting(title, width - 2), look.strong)
    draw_night(canvas, 1, 1, width - 2, 1, 3, state, look)
    return canvas


def _statistics(state: NightState, look: Look) -> Table:
    bounds = state.statistics.bounds
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 1))
    for label, value, style in panels.statistic_items(state, look):
        meaning = MEANINGS[label].format(bounds=_BOUNDS.get(bounds, bounds))
        table.add_row(label, Text(_plain(value, look), style, justify="right"), meaning)
    for stage, (minutes, percent) in stage_totals(state).items():
        share = "" if stage is Stage.W else _plain(number(percent, " % of TST"), look)
        table.add_row(stage.value, Text(f"{minutes:.1f} min", justify="right"), share)
    return table


def _closing_lines(state: NightState, look: Look) -> list[str]:
    reasons = Counter(p.reason for p in state.revised if p.stage is None)
    unscored = [f"{why} {n * EPOCH_S / 60:.1f} min" for why, n in sorted(reasons.items(), key=str)]
    delivery = state.delivery
    waiting = "waiting" if delivery.url else "not published"
    events = f"{delivery.published:,} published, {delivery.waiting:,} {waiting}"
    return [
        *_worn_lines(state, look),
        f" unscored  {', '.join(unscored) or 'nothing'}",
        f" samples   {panels.sample_line(state)}",
        f" events    {events if delivery.url or delivery.published else 'not sent anywhere'}",
    ]


def _worn_lines(state: NightState, look: Look) -> list[str]:
    """Return when the band was worn and which derivations were staged.

    A replay whose whole recording could be scored needs neither line.
    """
    lines = []
    if state.live and (state.is_live or state.worn != (0, len(state.live))):
        worn = (worn_text(state, look) or "").removeprefix("worn ")
        first, end = state.worn or (0, 0)
        worn += f", {end - first} of {len(state.live)} epochs"
        lines.append(f" worn      {worn if state.worn else 'less than 5 min at any time'}")
    if state.is_live:
        counts = Counter(
            name
            for name, stage in zip(state.derivations, state.hypnogram, strict=True)
            if stage is not None
        )
        staged = [f"{name} in {n} epoch{'s' * (n != 1)}" for name, n in counts.most_common()]
        lines.append(f" staged    {', '.join(staged) or 'nothing'}")
    return lines


def _plain(text: str, look: Look) -> str:
    return text if look.unicode else text.replace("—", "-")
