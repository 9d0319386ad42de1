"""A process that runs cases one by one, and the parent's side of it: `Worker`."""

from __future__ import annotations

import multiprocessing
import resource
import time
import traceback
import warnings
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection

from tests.fuzz.bounds import BrokenRuleError, examine, random_of
from tests.fuzz.case import Kind
from tests.fuzz.kinds import KINDS

HANG_S = 30.0
"""A case that takes longer hangs: its process is killed."""

LARGEST_PROCESS_BYTES = 8 * 2**30
"""Address space of a process: an input that asks for more memory fails, and not the machine."""

CRASH = "crash"
"""The ending of a case that broke the rule. The others are those of `Ending`."""


@dataclass(frozen=True)
class Result:
    """A case and its ending. ``trouble`` says how it broke the rule; ``story`` what it was."""

    kind: str
    seed: int
    ending: str
    seconds: float = 0.0
    grown_mb: float = 0.0
    story: str = ""
    trouble: str = ""


class Worker:
    """A process that runs one case at a time, seen from the parent.

    It is replaced if it dies or hangs; the case it ran is then a crash.
    """

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self._process = context.Process(target=_work, args=(other,), daemon=True)
        self._process.start()
        other.close()
        self._running: tuple[str, int] | None = None
        self._since_s = 0.0

    @property
    def idle(self) -> bool:
        return self._running is None

    def run(self, kind: str, seed: int) -> None:
        """Start a case."""
        self._running, self._since_s = (kind, seed), time.monotonic()
        self.connection.send((kind, seed))

    def result(self) -> Result | None:
        """Return the result of the case, or None if it still runs."""
        running = self._running
        if running is None:
            return None
        try:
            if self.connection.poll():
                result: Result = self.connection.recv()
                self._running = None
                return result
            trouble = "" if time.monotonic() - self._since_s < HANG_S else f"hung for {HANG_S:g} s"
        except (EOFError, OSError):
            self._process.join()
            trouble = f"the process died with status {self._process.exitcode}"
        if not trouble:
            return None
        self.close()
        self._start()
        return Result(*running, CRASH, story="(see the saved input)", trouble=trouble)

    def close(self) -> None:
        """End the process."""
        if self._process.is_alive() and self._running is None:
            self.connection.send(None)
            self._process.join(HANG_S)
        self._process.kill()
        self._process.join()
        self.connection.close()


def _work(connection: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (LARGEST_PROCESS_BYTES, LARGEST_PROCESS_BYTES))
    # As in the tests, a warning of a library is a bug.
    warnings.simplefilter("error")
    with ExitStack() as stack:
        kinds: dict[str, Kind] = {}
        while (task := connection.recv()) is not None:
            name, seed = task
            if name not in kinds:
                kinds[name] = stack.enter_context(KINDS[name]())
            connection.send(run_case(kinds[name], seed))


def run_case(kind: Kind, seed: int) -> Result:
    """Run the case ``seed`` of ``kind``, whatever comes of it."""
    case = kind.generate(random_of(kind.name, seed))
    try:
        examined = examine(kind, case)
    except BrokenRuleError as exc:
        trouble = str(exc)
    except Exception as exc:
        frames = traceback.extract_tb(exc.__traceback__)
        place = next((f for f in reversed(frames) if "/site-packages/" not in f.filename), None)
        where = "" if place is None else f" (line {place.lineno} of {place.filename})"
        trouble = f"{type(exc).__name__}: {exc}{where}"
    else:
        ending = examined.ending.value
        return Result(kind.name, seed, ending, examined.seconds, examined.grown_mb)
    return Result(kind.name, seed, CRASH, story=case.story, trouble=" ".join(trouble.split()))
