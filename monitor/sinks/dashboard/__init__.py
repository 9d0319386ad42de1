"""The night on a terminal.

`render` draws one snapshot. `night_view` chooses the view of one night, `live_view` that of all
sleepers of a live run. `summary` is printed in the morning.
"""

from monitor.sinks.dashboard.background import Background
from monitor.sinks.dashboard.layout import render
from monitor.sinks.dashboard.live import Dashboard, night_view
from monitor.sinks.dashboard.look import Look
from monitor.sinks.dashboard.screen import restore_terminals
from monitor.sinks.dashboard.sleepers import live_view
from monitor.sinks.dashboard.summary import summary
from monitor.sinks.dashboard.svg import canvas_svg, to_svg
from monitor.sinks.views import LiveView

__all__ = [
    "Background",
    "Dashboard",
    "LiveView",
    "Look",
    "canvas_svg",
    "live_view",
    "night_view",
    "render",
    "restore_terminals",
    "summary",
    "to_svg",
]
