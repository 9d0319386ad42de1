"""The night on a terminal: `render` draws a snapshot, `Dashboard` keeps it up to date, and
`live_view` shows everybody who is monitored."""

from monitor.sinks.dashboard.layout import render
from monitor.sinks.dashboard.live import Dashboard, night_view
from monitor.sinks.dashboard.look import Look
from monitor.sinks.dashboard.sleepers import LiveView, live_view
from monitor.sinks.dashboard.summary import summary
from monitor.sinks.dashboard.svg import canvas_svg, to_svg

__all__ = [
    "Dashboard",
    "LiveView",
    "Look",
    "canvas_svg",
    "live_view",
    "night_view",
    "render",
    "summary",
    "to_svg",
]
