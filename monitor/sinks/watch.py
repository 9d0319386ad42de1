"""`sleep-monitor watch`: prints the events of a server, the events so far first."""

from __future__ import annotations

import json
import threading

from rich.console import Console
from rich.text import Text

from models.reading import parsed_json
from monitor.clock import Clock
from monitor.night.events import EventType
from monitor.sinks.event_text import event_line
from monitor.sinks.follower import Follower
from monitor.sinks.redis_server import DEFAULT_URL
from monitor.text import clean
from monitor.types import Event


def watch(
    console: Console,
    notices: Console,
    clock: Clock,
    *,
    url: str = DEFAULT_URL,
    as_json: bool = False,
    wait_limit_s: float | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Print the events of ``url``, one line each, until Ctrl-C or ``stop``.

    Events go to ``console``, as CloudEvents JSON if ``as_json``. Lines about the connection go to
    ``notices``, so that the events can be piped. Raises as `Follower`.
    """

    def notice(text: str) -> None:
        notices.print(text, style="dim", markup=False, highlight=False, soft_wrap=True)

    follower = Follower(url, notice=notice, wait_limit_s=wait_limit_s, stop=stop, clock=clock)
    sleepers: dict[str, str] = {}
    try:
        for event, text in follower:
            if event.type == EventType.SESSION_STARTED:
                sleepers[event.source] = clean(str(event.data.get("sleeper", "")))
            if as_json:
                console.out(_printable(text), highlight=False)
            else:
                line = event_line(event, sleepers.get(event.source, ""))
                console.print(Text(line, _style(event)), soft_wrap=True)
    except KeyboardInterrupt:
        # Ctrl-C is the usual end of this program, and nothing is left to do.
        return


def _printable(text: str) -> str:
    """Return the same JSON on one line of letters that a terminal only shows."""
    return text if text.isprintable() else json.dumps(parsed_json(text), separators=(",", ":"))


def _style(event: Event) -> str:
    if event.type == EventType.STAGE:
        return "dim" if event.data.get("track") != "live" else ""
    return "bold"
