"""A run of live nights: starts a sleeper for each person, watches over them, ends them in order."""

from __future__ import annotations

import itertools
import logging
import os
import shlex
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from rich.console import Console

from models.contract import EPOCH_S
from monitor.clock import Clock
from monitor.composition import EventServer, check_outputs, event_server, load_backend
from monitor.config import BrainflowConfig, LiveOptions, default_nights_folder
from monitor.errors import InputError, MonitorError
from monitor.live.ruling import rule_runners
from monitor.live.shared import SharedServices
from monitor.live.sleeper import Sleeper
from monitor.live.watchdog import Watchdog, notify
from monitor.live.watchers import Watchers
from monitor.night.catalogue import LAST
from monitor.night.file_watch import store_files
from monitor.night.state import NightState
from monitor.night.store import NightStore
from monitor.night.stored import REOPEN_WITHIN, TEST_MAX
from monitor.report import make_in_time
from monitor.rules.actions import check_actions
from monitor.rules.runner import RuleRunner
from monitor.sinks.dashboard import Background, LiveView, Look, live_view, summary
from monitor.sinks.dashboard.palette import Palette
from monitor.sinks.epochs_csv import check_store, check_writable
from monitor.sinks.marks import MarkAnswer, MarkReader
from monitor.sources.opening import OpenSource, check_source, open_source
from monitor.web.link import print_link

SCREEN_S = 0.2
"""Interval between two updates of the screen."""

END_S = 10.0
"""Time limit for the sleepers to end. A publisher needs up to 7 s if its server hangs. A source
that needs longer hangs, in a driver or in the network."""

REPORTS_S = 6.0
"""Time limit for the reports of all sleepers. The report of 8 h takes 2 s on a laptop; a machine
that is slower than the limit prints the command instead."""

AT_THE_SCREEN_S = 120.0
"""A person who starts the monitor looks at it for so long."""

MARKS_BEFORE_RUN = timedelta(days=1)
"""Marks that were sent this long before the run are read: a continued night may need them."""

_log = logging.getLogger(__name__)


def run_live(
    options: LiveOptions,
    console: Console,
    clock: Clock,
    stop: threading.Event,
    open_source: OpenSource = open_source,
) -> None:
    """Monitor every sleeper until ``stop`` is set, then end each night in order and report it.

    Raises `InputError` before anything is written. If every sleeper's monitor gives up, the run
    ends at once. At its end the run raises the first error of a sleeper, if there is one.
    """
    _check(options)
    backend = load_backend(options)
    _log.info(backend.note)
    background = Background(options.theme, os.environ)
    if options.web is not None:
        print_link(options.web, console.file)
    with ExitStack() as stack:
        # Closed in reverse: first the screen, then the reader of marks, last the server, which both
        # the reader and the sleepers' last events need. The sleepers end before, in `_end`.
        server = stack.enter_context(event_server(options, clock))
        marks = None
        if server.url is not None:
            since_utc = clock.utc() - MARKS_BEFORE_RUN
            marks = stack.enter_context(MarkReader(server.url, since_utc=since_utc, clock=clock))
        shared = SharedServices(
            options,
            backend,
            server.url,
            clock,
            threading.Event(),
            answer_mark=marks.answer if marks is not None else lambda answer: None,
        )
        # Started before the sleepers: an alarm rings even if no headband ever appears.
        rules = rule_runners(options, clock, stack)
        sleepers = [
            Sleeper(each, shared, open_source, rules.get(each.sleeper)) for each in options.sleepers
        ]
        watchers = stack.enter_context(Watchers(options, server, clock))
        view = stack.enter_context(
            live_view(
                console, clock, plain=not options.dashboard, background=background, end=stop.set
            )
        )
        try:
            _start(sleepers)
            _watch_over(sleepers, server, marks, view, watchers, clock, stop, list(rules.values()))
        finally:
            _end(sleepers, shared)
        view.update([sleeper.state for sleeper in sleepers])
    _report(sleepers, console, background.palette)
    _make_reports(sleepers, clock)
    _raise_first_error(sleepers)


def _check(options: LiveOptions) -> None:
    """Raise `InputError` now for mistakes that would else fail only when the headband connects."""
    check_outputs(options)
    check_actions(options.rules, options.ways)
    sources = [each.source for each in options.sleepers]
    played = [each.file for each in sources if isinstance(each, BrainflowConfig)]
    needed = [*options.network_files, *(path for path in played if path is not None)]
    stores = [each.store for each in options.sleepers if each.store is not None]
    for each in options.sleepers:
        check_source(each.source)
        if each.store is not None:
            check_store(each.store, needed)
            _check_store(each.store, options.new_night)
        if each.output is not None:
            check_writable(each.output, [*needed, *itertools.chain(*map(store_files, stores))])


def _check_store(path: Path, new_night: bool) -> None:
    if new_night and path.exists():
        raise InputError(f"{path} exists already; for --new-night choose another --store")
    NightStore.open(path).close()


def _start(sleepers: Sequence[Sleeper]) -> None:
    for sleeper in sleepers:
        sleeper.start()
    notify("READY=1")


def _watch_over(
    sleepers: Sequence[Sleeper],
    server: EventServer,
    marks: MarkReader | None,
    view: LiveView,
    watchers: Watchers,
    clock: Clock,
    stop: threading.Event,
    rules: Sequence[RuleRunner],
) -> None:
    """Serve sleepers, screen and watchers until ``stop`` is set or all sleepers have ended.

    If they gave up later than `AT_THE_SCREEN_S`, nobody sees it: alarms still ring.
    """
    watchdog = Watchdog(clock)
    began_s = clock.monotonic_s()

    def goes_on() -> bool:
        if any(sleeper.alive for sleeper in sleepers):
            return True
        unseen = clock.monotonic_s() - began_s > AT_THE_SCREEN_S
        return unseen and any(each.waits_for_alarm for each in rules)

    while goes_on() and not stop.is_set():
        _deliver_marks(marks, sleepers)
        server.keep_running()
        states = [sleeper.state for sleeper in sleepers]
        view.update(states)
        watchers.update(states)
        watchdog.tick([sleeper.turn_s for sleeper in sleepers], _status(sleepers))
        stop.wait(SCREEN_S)
    _deliver_marks(marks, sleepers)


def _end(sleepers: Sequence[Sleeper], shared: SharedServices) -> None:
    """End every night in order. A sleeper that hangs gets an error and is left.

    All of them end at the same time, each in its own thread, so they share one time limit.
    """
    notify("STOPPING=1")
    _log.info("Ending in order; a second Ctrl-C ends at once")
    shared.closing.set()
    clock, limit_s = shared.clock, END_S * shared.pace
    deadline_s = clock.monotonic_s() + limit_s
    for sleeper in sleepers:
        if sleeper.alive and not sleeper.join(max(0.0, deadline_s - clock.monotonic_s())):
            who = f"{sleeper.name} did" if sleeper.name else "the monitor did"
            sleeper.error = MonitorError(
                f"{who} not end within {limit_s:g} s ({sleeper.state.status}) and was left; what "
                "is stored stays stored, and the same command continues the night"
            )


def _report(sleepers: Sequence[Sleeper], console: Console, palette: Palette) -> None:
    for sleeper in sleepers:
        if sleeper.state.night is not None:
            if sleeper.name:
                console.rule(sleeper.name)
            console.print(summary(sleeper.state.night, Look.of(console, palette=palette)))
            if sleeper.file is not None:
                _log.info(_farewell(sleeper.state.night, sleeper.file))


def _make_reports(sleepers: Sequence[Sleeper], clock: Clock) -> None:
    """Make the page of each night that was no test, for a few seconds, and name it."""
    files = [
        sleeper.file
        for sleeper in sleepers
        if sleeper.file is not None
        and sleeper.state.night is not None
        and timedelta(seconds=EPOCH_S * len(sleeper.state.night.live)) >= TEST_MAX
    ]
    made = make_in_time(files, clock, REPORTS_S)
    for file in files:
        if file in made:
            _log.info("The report of the night: %s", made[file])
        else:
            _log.info("Make the night's report with: %s", _report_command(file))


def _report_command(file: Path) -> str:
    return shlex.join(["sleep-monitor", "report", str(file)])


def _farewell(night: NightState, file: Path) -> str:
    """Return where the night is, how to see it again, and what the next start does."""
    duration = timedelta(seconds=EPOCH_S * len(night.live))
    here = file.parent == default_nights_folder().resolve()
    name = (night.session.sleeper if here else str(file)) or LAST
    kept = f"Kept in {file}. See it again with: sleep-monitor nights show {shlex.quote(name)}"
    if duration < TEST_MAX:
        return f"{kept}. It is so short that it was a test: the next start begins another night"
    minutes = REOPEN_WITHIN.total_seconds() / 60
    return (
        f"{kept}. Within {minutes:.0f} min the same command goes on with this night, and "
        "--new-night begins another"
    )


def _raise_first_error(sleepers: Sequence[Sleeper]) -> None:
    """Raise the first sleeper's error, after the others are logged."""
    failed = [sleeper for sleeper in sleepers if sleeper.error is not None]
    for sleeper in failed[1:]:
        _log.error("%s: %s", sleeper.name, sleeper.error)
    if failed and failed[0].error is not None:
        raise failed[0].error


def _status(sleepers: Sequence[Sleeper]) -> str:
    """Return the status of every source, in one line."""
    states = [sleeper.state for sleeper in sleepers]
    return "; ".join(f"{each.sleeper}: {each.status}".removeprefix(": ") for each in states)


def _deliver_marks(marks: MarkReader | None, sleepers: Sequence[Sleeper]) -> None:
    """Give each new mark to the sleeper that it names, or to everyone; refuse the others."""
    if marks is None:
        return
    for left in marks.take():
        named = [sleeper for sleeper in sleepers if left.sleeper in ("", sleeper.name)]
        for sleeper in named:
            if sleeper.alive:
                sleeper.marks.put(left)
            else:
                refusal = "this sleeper's monitor has ended"
                marks.answer(MarkAnswer(left.entry, "", sleeper.name, refusal))
        if not named:
            refusal = f"no sleeper '{left.sleeper}' is monitored here"
            marks.answer(MarkAnswer(left.entry, "", "", refusal))
