"""Those who look at a run of live nights beside the screen: the page, the alerts, other apps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Self

from monitor.alerts import AlertWatch, AlertWays
from monitor.clock import Clock
from monitor.closing import Closing
from monitor.composition import EventServer
from monitor.config import LiveOptions
from monitor.night.state import SleeperState
from monitor.sinks.sleepers_key import LastingTrouble, SleepersKey
from monitor.web.beside import WebBeside


class Watchers(Closing):
    """The page for the phone, the alerts and the key of the sleepers, as far as a run has them.

    `update` returns at once and never raises. Raises `InputError` if an alert has no way to go.
    """

    def __init__(self, options: LiveOptions, server: EventServer, clock: Clock) -> None:
        self._stack = ExitStack()
        self._alerts: AlertWatch | None = None
        self._ways: AlertWays | None = None
        self._key: SleepersKey | None = None
        if options.alert is not None:
            self._ways = AlertWays(options.alert, options.ways, clock)
            self._alerts = AlertWatch(options.alert, clock)
        if server.url is not None:
            self._key = SleepersKey(server.url, clock)
        self._page = (
            WebBeside(options.web, server.app_url, options.web_hosts)
            if options.web is not None and server.app_url is not None
            else None
        )

    def __enter__(self) -> Self:
        for each in (self._ways, self._key, self._page):
            if each is not None:
                self._stack.enter_context(each)
        return self

    def update(self, sleepers: Sequence[SleeperState]) -> None:
        """Take the newest states of all sleepers."""
        lasting: Mapping[str, LastingTrouble] = {}
        if self._alerts is not None and self._ways is not None:
            for alert in self._alerts.update(sleepers):
                self._ways.tell(alert)
            lasting = self._alerts.lasting()
        if self._key is not None:
            self._key.update(sleepers, lasting)

    def close(self) -> None:
        self._stack.close()
