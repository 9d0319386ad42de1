"""`sleep-monitor check`: judges headbands for a minute, as a night would, and keeps nothing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from rich.console import Console
from rich.text import Text

from models.contract import EPOCH_S, Gain
from monitor.clock import Clock, Timeline
from monitor.conditioning.conditioner import SILENCE_WAIT_S, Conditioner
from monitor.conditioning.silence import SILENCE_S
from monitor.config import LiveOptions, SleeperOptions
from monitor.errors import InputError, one_line
from monitor.sinks.check_view import CheckResult, CheckState, check_view, verdict_lines
from monitor.sources.live import Device, LiveSource, has_appeared
from monitor.sources.live_montage import live_montage
from monitor.sources.opening import OpenSource, check_source, open_source
from monitor.types import (
    F64,
    ChannelState,
    Contact,
    EegChunk,
    Epoch,
    Montage,
    Reason,
    SampleLedger,
)

APPEAR_S = 60.0
"""A check gives up if no headband appears within this time, unless ``--wait`` says otherwise."""

POLL_S = 0.2
"""Interval between two polls of the sources, and two updates of the screen."""

END_S = SILENCE_WAIT_S + 5.0
"""Time for the last epoch to close after its end."""

_log = logging.getLogger(__name__)


class HeadbandCheck:
    """A check of one sleeper's headband. It begins with the first sample and lasts ``duration_s``.

    Its last epoch ends with it. The check passes if the night's own rules can score this epoch.
    """

    def __init__(
        self,
        options: SleeperOptions,
        gain: Gain,
        source: LiveSource,
        timeline: Timeline,
        *,
        duration_s: float,
        appear_s: float,
    ) -> None:
        self._options = options
        self._gain = gain
        self._source = source
        self._timeline = timeline
        self._duration_s = duration_s
        self._appear_s = appear_s
        self._waits_since_s = timeline.now_s()
        self._problem = ""
        # Of the device that was found last; the first sample of another one begins a new check.
        self._device: Device | None = None
        self._montage = Montage((), ())
        self._rows: list[int] = []
        self._conditioner: Conditioner | None = None
        self._first_s = 0.0
        self._newest_s = 0.0
        self._epochs: list[Epoch] = []
        self._steps_s: list[F64] = []  # between the samples of each chunk

    @property
    def over(self) -> bool:
        """True if there is a result."""
        if self._problem or len(self._epochs) >= self._duration_s // EPOCH_S:
            return True
        end_s = self._first_s + self._duration_s + END_S
        return self._conditioner is not None and self._timeline.now_s() > end_s

    def step(self) -> None:
        """Judge the samples that have arrived since the last call."""
        try:
            chunks = self._source.poll()
        except InputError:
            raise
        except Exception as exc:  # a night would open the source again
            self._problem = one_line(exc)
            return
        device, now_s = self._source.device, self._timeline.now_s()
        if chunks and device is not None and device != self._device:
            self._begin(device, float(chunks[0].times_s[0]))
        if self._conditioner is None:
            self._wait(now_s)
            return
        for chunk in chunks:
            self._newest_s = max(self._newest_s, float(np.nanmax(chunk.times_s)))
            self._steps_s.append(np.diff(chunk.times_s))
            mine = replace(
                chunk, data_uv=chunk.data_uv[self._rows], channels=self._montage.channels
            )
            self._epochs += self._conditioner.push(mine)
        self._epochs += self._conditioner.push(self._time(now_s))

    def state(self) -> CheckState:
        """Return the check as it is now."""
        left_s = None
        if self._conditioner is not None:
            left_s = self._first_s + self._duration_s - self._timeline.now_s()
        return CheckState(self._options.sleeper, self._source.status, left_s, self._contacts())

    def result(self) -> CheckResult:
        """Return the result of a check that is over."""
        name, device = self._options.sleeper, self._device
        if self._problem or device is None:
            return CheckResult(name, self._problem or "the check was ended")
        if not self._epochs:
            return CheckResult(name, f"{device.name} sends no samples any more")
        last, steps_s = self._epochs[-1], np.concatenate(self._steps_s)
        steps_s = steps_s[steps_s > 0.0]
        channels = zip(self._montage.channels, last.channel_quality, strict=True)
        names = [derivation.name for derivation in self._montage.derivations]
        return CheckResult(
            name,
            device=device.name,
            channels=tuple(ChannelState.of(*channel) for channel in channels),
            unused=tuple(each for each in device.channels if each not in self._montage.channels),
            derivations=tuple(zip(names, last.verdicts, strict=True)),
            sfreq_hz=device.sfreq_hz,
            # Most steps are one sample long, whatever was lost.
            true_hz=1.0 / float(np.median(steps_s)) if steps_s.size else None,
            ledger=sum((epoch.ledger for epoch in self._epochs), SampleLedger()),
        )

    def _wait(self, now_s: float) -> None:
        if has_appeared(self._source.status):
            self._waits_since_s = now_s
        if now_s - self._waits_since_s > self._appear_s:
            program = "streams" if self._options.source.kind == "lsl" else "doctor"
            self._problem = (
                f"nothing came within {self._appear_s:g} s: {self._source.status}. Look for it "
                f"with sleep-monitor {program}"
            )

    def _begin(self, device: Device, first_s: float) -> None:
        montage = live_montage(
            device.channels, device.sfreq_hz, self._options.channels, device.candidates
        )
        for note in device.notes:
            _log.info(note)
        # The samples before the first epoch settle the filters.
        origin_s = first_s + self._duration_s % EPOCH_S
        self._conditioner = Conditioner(
            montage, device.sfreq_hz, origin_s, datetime.fromtimestamp(origin_s, UTC), self._gain
        )
        self._device, self._montage = device, montage
        self._rows = [device.channels.index(channel) for channel in montage.channels]
        self._first_s = self._newest_s = first_s
        self._epochs, self._steps_s = [], []

    def _time(self, now_s: float) -> EegChunk:
        """Return a chunk that holds only the time, which closes epochs while no samples come."""
        assert self._device is not None
        nothing = np.empty((len(self._montage.channels), 0), np.float32)
        return EegChunk(
            nothing, np.empty(0), self._montage.channels, self._device.sfreq_hz, reached_s=now_s
        )

    def _contacts(self) -> tuple[ChannelState, ...]:
        if self._conditioner is None:
            return ()
        if self._timeline.now_s() - self._newest_s < SILENCE_S:
            return self._conditioner.contacts()
        names = self._montage.channels
        return tuple(ChannelState(name, Contact.OFF, Reason.MISSING, None) for name in names)


def run_check(
    options: LiveOptions,
    console: Console,
    clock: Clock,
    stop: threading.Event,
    duration_s: float,
    open_source: OpenSource = open_source,
) -> bool:
    """Check the headband of every sleeper for ``duration_s``; return True if all can be staged.

    It prints each electrode and a verdict. If ``stop`` is set, the check ends at once, and returns
    False. Raises `InputError` for what no waiting can mend.
    """
    for each in options.sleepers:
        check_source(each.source)
    timeline = Timeline(clock)
    appear_s = APPEAR_S if options.wait_s is None else options.wait_s
    with ExitStack() as stack:
        checks = []
        for each in options.sleepers:
            source = stack.enter_context(closing(open_source(each.source, timeline, None, None)))
            checks.append(
                HeadbandCheck(
                    each, options.gain, source, timeline, duration_s=duration_s, appear_s=appear_s
                )
            )
        _watch(checks, console, clock, stop)
    if stop.is_set():
        return False
    results = [check.result() for check in checks]
    for result in results:
        *details, verdict = verdict_lines(result)
        for line in details:
            console.print(Text(line), soft_wrap=True)
        console.print(Text(verdict, "bold"), soft_wrap=True)
    return all(result.staged is not None for result in results)


def _watch(
    checks: Sequence[HeadbandCheck], console: Console, clock: Clock, stop: threading.Event
) -> None:
    """Step and show the checks until all of them are over, or ``stop`` is set."""
    with check_view(console) as view:
        while not stop.is_set() and not all(check.over for check in checks):
            for check in checks:
                if not check.over:
                    check.step()
            view.update([check.state() for check in checks])
            clock.sleep(POLL_S)
