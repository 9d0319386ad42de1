"""A headband through BrainFlow: found, read, and prepared again until morning."""

from __future__ import annotations

import math
import random

from monitor.clock import Timeline
from monitor.config import BrainflowConfig
from monitor.errors import InputError
from monitor.sources.brainflow.boards import find_board
from monitor.sources.brainflow.failures import MENDS_NEVER, explain
from monitor.sources.brainflow.package_counter import PackageCounter
from monitor.sources.brainflow.process import BoardProcess
from monitor.sources.brainflow.worker import RELEASE_LIMIT_S
from monitor.sources.live import Device
from monitor.sources.sample_clock import SampleClock
from monitor.types import F32, F64, EegChunk

SILENCE_S = 10.0
"""Without samples for so long, a board is let go and looked for again."""

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
PREPARE_S = 120.0
"""The longest a board may take to be found; drivers have been seen to hang for good."""


class BrainflowSource:
    """A board of BrainFlow's, as a `LiveSource`.

    A process of its own talks to the board (`worker`); here its samples are placed in time: by the
    board's package counter, by this computer's steady clock, and by the rate both agree on. A board
    that fails or falls silent is let go and prepared again, after 1 s at first, then after up to a
    minute. Use from one thread.

    Raises `InputError`, here or in `poll`, for a board or an option that no waiting mends.
    """

    def __init__(self, config: BrainflowConfig, timeline: Timeline) -> None:
        self._board = find_board(config)
        which = config.serial or config.mac or config.port or config.file
        self._name = f"BrainFlow {self._board.name}" + (f":{which}" if which else "")
        self._timeline = timeline
        self._attempts = 0  # since samples last came
        self._again_s = 0.0
        self._worker: BoardProcess | None = None
        self._since_s = 0.0  # of the state that the worker is in: no sample, no news
        self._fresh = False  # no sample yet of this worker
        self._reason = ""
        self._status = f"looking for {self._board.name}"
        self._device: Device | None = None
        self._counter = PackageCounter(self._board.sfreq_hz)
        self._clock = SampleClock(self._board.sfreq_hz)

    @property
    def device(self) -> Device | None:
        return self._device

    @property
    def clock_offset_s(self) -> float | None:
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
        # Asked before the messages are taken: then none comes after the last one.
        ended = self._worker.ended
        chunks: list[EegChunk] = []
        for arrived_s, message in self._worker.take():
            match message:
                case ("streaming",):
                    self._since_s = self._now_s()
                    self._status = f"{self._board.name} is there, waiting for its first samples"
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
        board = self._board
        if self._fresh:
            self._counter.restart()
            self._clock.restart()
            self._fresh = False
        if self._device is None:
            self._device = Device(
                name=self._name,
                channels=board.channels,
                sfreq_hz=board.sfreq_hz,
                candidates=board.candidates,
                notes=board.notes,
            )
        self._since_s, self._attempts = self._now_s(), 0
        self._status = "streaming"
        stamps_s = arrived_s - ages_s
        times_s = self._clock.smooth(stamps_s, self._counter.unwrap(numbers, stamps_s))
        return EegChunk(eeg_uv, times_s, board.channels, board.sfreq_hz)

    def _failed(self, code: int | None, text: str) -> None:
        self._reason = explain(self._board, code, text)
        # A board that was there before was asked for rightly.
        if code in MENDS_NEVER and self._device is None:
            self.close()
            raise InputError(self._reason)

    def _watch(self) -> None:
        """Let a silent board go; end its process if that hangs."""
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
            self._status = f"letting {self._board.name} go: {self._reason}"
            self._since_s = self._now_s()
            self._worker.leave()

    def _retry(self) -> None:
        assert self._worker is not None
        code = self._worker.close()
        self._worker = None
        self._reason = self._reason or f"BrainFlow ended unexpectedly (exit code {code})"
        wait_s = min(FIRST_WAIT_S * 2.0 ** min(self._attempts, 30), LONGEST_WAIT_S)
        self._attempts += 1
        # Several sleepers' boards do not all look at the same moment.
        self._again_s = self._now_s() + wait_s * random.uniform(0.75, 1.0)
