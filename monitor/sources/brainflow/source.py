"""A headband through BrainFlow as a live source."""

from __future__ import annotations

import math

from monitor.backoff import Backoff
from monitor.clock import Timeline
from monitor.config import BrainflowConfig
from monitor.errors import InputError
from monitor.sources.brainflow.boards import find_board
from monitor.sources.brainflow.failures import MENDS_NEVER, explain
from monitor.sources.brainflow.package_counter import PackageCounter
from monitor.sources.brainflow.process import BoardProcess
from monitor.sources.brainflow.worker import RELEASE_LIMIT_S
from monitor.sources.live import Device
from monitor.sources.rate import AHEAD_S, RateWatch
from monitor.sources.sample_clock import SampleClock
from monitor.types import F32, F64, EegChunk

SILENCE_S = 10.0
"""After this long without samples, the source releases the board and looks for it again."""

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
"""The first and the longest wait before the next search for the board."""

PREPARE_S = 120.0
"""Time limit of a search for a board: some drivers hang for ever."""


class BrainflowSource:
    """A board of BrainFlow as a `LiveSource`.

    A process of its own talks to the board (`worker`). This class places the samples in time: by
    the board's package counter, by this computer's steady clock, and by the rate that both agree
    on. If the board fails or falls silent, the source releases it and looks for it again, after at
    most 1 s at first and at most a minute later. Use it from one thread.

    The constructor and `poll` raise `InputError` for a board or an option that no waiting can mend.
    """

    def __init__(self, config: BrainflowConfig, timeline: Timeline) -> None:
        self._board = find_board(config)
        place = config.serial or config.mac or config.port or config.file
        self._name = f"BrainFlow {self._board.name}" + (f":{place}" if place else "")
        self._identity = self._name if place else ""
        self._timeline = timeline
        self._backoff = Backoff(FIRST_WAIT_S, LONGEST_WAIT_S)
        self._again_s = 0.0  # the next search, on the monotonic clock
        self._worker: BoardProcess | None = None
        self._since_s = 0.0  # the last sample of the worker, or its last change of state
        self._fresh = False  # True until the worker sends its first sample
        self._reason = ""  # why the board is away
        self._status = f"looking for {self._board.name}"
        self._device: Device | None = None
        self._counter = PackageCounter(self._board.sfreq_hz)
        self._clock = SampleClock(self._board.sfreq_hz)
        self._rate_watch = RateWatch(self._board.sfreq_hz)

    @property
    def device(self) -> Device | None:
        return self._device

    @property
    def clock_offset_s(self) -> float | None:
        """None: this computer's clock times the samples."""
        return None

    @property
    def status(self) -> str:
        if self._worker is None and self._reason:
            wait_s = max(0, math.ceil(self._again_s - self._now_s()))
            return f"trying again in {wait_s} s: {self._reason}"
        return self._status

    def poll(self) -> list[EegChunk]:
        if self._worker is None:
            if self._now_s() >= self._again_s:
                self._worker = BoardProcess(self._board, self._timeline)
                self._since_s, self._fresh, self._reason = self._now_s(), True, ""
                self._status = f"looking for {self._board.name}"
            return []
        # Read `ended` before the messages: if the process has ended, no message comes after these.
        ended = self._worker.ended
        chunks: list[EegChunk] = []
        for arrived_s, message in self._worker.take():
            match message:
                case ("streaming",):
                    self._since_s = self._now_s()
                    self._status = f"{self._board.name} is connected, waiting for its first samples"
                case "samples", ages_s, numbers, eeg_uv:
                    chunks.append(self._chunk(arrived_s, ages_s, numbers, eeg_uv))
                case "failed", code, text:
                    self._failed(code, text)
        if ended:
            self._retry()
        else:
            self._watch()
        return chunks

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def _now_s(self) -> float:
        return self._timeline.clock.monotonic_s()

    def _chunk(self, arrived_s: float, ages_s: F64, numbers: F64, eeg_uv: F32) -> EegChunk:
        """Place the samples of one message in time; `worker` describes the arrays."""
        board = self._board
        if self._fresh:
            self._counter.restart()
            self._clock.restart()
            self._rate_watch = RateWatch(board.sfreq_hz)
            self._fresh = False
        if self._device is None:
            self._device = Device(
                name=self._name,
                channels=board.channels,
                sfreq_hz=board.sfreq_hz,
                candidates=board.candidates,
                notes=(*board.notes, *self._nameless()),
                identity=self._identity,
            )
        self._since_s = self._now_s()
        self._backoff.reset()
        self._status = "streaming"
        stamps_s = arrived_s - ages_s
        times_s = self._clock.smooth(stamps_s, self._counter.unwrap(numbers, stamps_s))
        fast = self._clock.ahead_s > AHEAD_S
        if fast or self._rate_watch.is_slow(stamps_s):
            raise InputError(
                f"{board.name} sends {'more' if fast else 'fewer'} samples than the "
                f"{board.sfreq_hz:g} a second that BrainFlow states: check --board (a playback "
                "needs the board that recorded it), and the settings of the board"
            )
        return EegChunk(eeg_uv, times_s, board.channels, board.sfreq_hz)

    def _nameless(self) -> tuple[str, ...]:
        if self._identity or self._board.name == "synthetic":
            return ()
        return (
            f"BrainFlow takes the first {self._board.name} that it finds. If there are several, "
            "name yours with --mac or --serial.",
        )

    def _failed(self, code: int | None, text: str) -> None:
        self._reason = explain(self._board, code, text)
        # If the board has worked before, its options are right, even if BrainFlow rejects them now.
        if code in MENDS_NEVER and self._device is None:
            self.close()
            raise InputError(self._reason)

    def _watch(self) -> None:
        """Release a board that is silent; kill its process if that hangs."""
        assert self._worker is not None
        quiet_s = self._now_s() - self._since_s
        if self._worker.leaving:
            if quiet_s > RELEASE_LIMIT_S:
                self._worker.kill()
        elif quiet_s >= (SILENCE_S if self._worker.streaming else PREPARE_S):
            self._reason = (
                f"{self._board.name} sent nothing for {quiet_s:.0f} s"
                if self._worker.streaming
                else f"{self._board.name} was not found in {quiet_s:.0f} s"
            )
            self._status = f"releasing {self._board.name}: {self._reason}"
            self._since_s = self._now_s()
            self._worker.leave()

    def _retry(self) -> None:
        """Clean up after a process that has ended, and set the time of the next search."""
        assert self._worker is not None
        code = self._worker.close()
        self._worker = None
        self._reason = self._reason or f"BrainFlow ended unexpectedly (exit code {code})"
        self._again_s = self._now_s() + self._backoff.next_s()
