"""Composes a run of live nights: the network, the event server, a sleeper each, the screen."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

from rich.console import Console

from monitor.clock import Clock
from monitor.composition import load_backend
from monitor.config import LiveOptions
from monitor.errors import InputError
from monitor.live.running import House
from monitor.live.sleeper import Sleeper
from monitor.live.watchdog import Watchdog, notify
from monitor.night.store import NightStore
from monitor.sinks.dashboard import Look, live_view, summary
from monitor.sinks.epochs_csv import check_writable
from monitor.sinks.marks import MarkReader
from monitor.sinks.redis_client import connect
from monitor.sinks.redis_server import RedisServer
from monitor.sources.opening import OpenSource, check_source, open_source

SCREEN_S = 0.2

_log = logging.getLogger(__name__)


def run_live(
    options: LiveOptions,
    console: Console,
    clock: Clock,
    stop: threading.Event,
    open_source: OpenSource = open_source,
) -> None:
    """Monitor every sleeper until ``stop`` is set, then close each night in order and report it.

    Raises `InputError` before anything is made; in the end, or once every sleeper's monitor has
    given up, the first error of a sleeper.
    """
    if options.redis is not None:
        connect(options.redis).close()
    for each in options.sleepers:
        check_source(each.source)
        if each.store is not None:
            _check_store(each.store, options.new_night)
        if each.output is not None:
            check_writable(each.output, [each.store] if each.store else [])
    backend = load_backend(options)
    _log.info(backend.note)
    with ExitStack() as stack:
        server = None
        url = None if options.no_redis else options.redis
        if url is None and not options.no_redis:
            server = stack.enter_context(RedisServer())
            url = server.url
            _log.info("Follow the events elsewhere with: sleep-monitor watch --redis %s", url)
        house = House(options, backend, url, clock, threading.Event())
        marks = None
        if url is not None:
            marks = stack.enter_context(MarkReader(url, since_utc=clock.utc() - timedelta(days=1)))
        sleepers = [Sleeper(each, house, open_source) for each in options.sleepers]
        with live_view(console, clock, plain=not options.dashboard) as view:
            with _running(sleepers, house.closing):
                watchdog = Watchdog(clock)
                notify("READY=1")
                while any(sleeper.alive for sleeper in sleepers) and not stop.is_set():
                    _hand_out(marks, sleepers)
                    if server is not None:
                        server.ensure_running()
                    view.update([sleeper.state for sleeper in sleepers])
                    watchdog.tick([sleeper.turn_s for sleeper in sleepers], _status(sleepers))
                    stop.wait(SCREEN_S)
                _hand_out(marks, sleepers)
            view.update([sleeper.state for sleeper in sleepers])
    for sleeper in sleepers:
        if sleeper.state.night is not None:
            if sleeper.name:
                console.rule(sleeper.name)
            console.print(summary(sleeper.state.night, Look.of(console)))
    errors = [sleeper.error for sleeper in sleepers if sleeper.error is not None]
    for sleeper in sleepers:
        if sleeper.error is not None and sleeper.error is not errors[0]:
            _log.error("%s: %s", sleeper.name, sleeper.error)
    if errors:
        raise errors[0]


def _check_store(path: Path, new_night: bool) -> None:
    """What cannot be used is refused now, not once the headband is there."""
    if new_night and path.exists():
        raise InputError(f"{path} exists already; for --new-night choose another --store")
    NightStore.open(path).close()


def _status(sleepers: Sequence[Sleeper]) -> str:
    """What everyone's source does, in a line."""
    states = [sleeper.state for sleeper in sleepers]
    return "; ".join(f"{each.sleeper}: {each.status}".removeprefix(": ") for each in states)


def _hand_out(marks: MarkReader | None, sleepers: Sequence[Sleeper]) -> None:
    for mark, name in marks.take() if marks is not None else ():
        for sleeper in sleepers:
            if name in ("", sleeper.name):
                sleeper.marks.put(mark)


@contextmanager
def _running(sleepers: Sequence[Sleeper], closing: threading.Event) -> Iterator[None]:
    """Sleepers run within; whatever ends it, each closes its night in order."""
    try:
        for sleeper in sleepers:
            sleeper.start()
        yield
    finally:
        notify("STOPPING=1")
        closing.set()
        for sleeper in sleepers:
            if sleeper.alive:
                sleeper.join()
