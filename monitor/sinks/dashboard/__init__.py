"""The night on a terminal: `render` draws a snapshot, `Dashboard` keeps it up to date."""

from monitor.sinks.dashboard.layout import render
from monitor.sinks.dashboard.live import Dashboard, night_view
from monitor.sinks.dashboard.look import Look
from monitor.sinks.dashboard.summary import summary
from monitor.sinks.dashboard.svg import to_svg

__all__ = ["Dashboard", "Look", "night_view", "render", "summary", "to_svg"]
