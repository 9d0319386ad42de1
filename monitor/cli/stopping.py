"""Ctrl-C, a service manager's SIGTERM and a closed terminal, and how each of them ends a command.

The first signal ends the command in order. A second Ctrl-C ends the process at once.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

INTERRUPTED = 130
"""Exit status of a program that Ctrl-C ended, as shells define it."""

STOP_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]

stop = threading.Event()
"""Set by the first signal."""

_at_the_end: list[Callable[[], None]] = []


def restore_at_once(restore: Callable[[], None]) -> None:
    """Let a second Ctrl-C call ``restore``, which must not wait, before the process ends."""
    _at_the_end.append(restore)


def note_stop() -> None:
    """Let the signals set `stop` and raise nothing.

    An exception in the middle of an import leaves some libraries in a state that they cannot
    report. So the signals raise nothing until a command calls `let_interrupt`.
    """
    _on_stop_signals(_note)


def let_interrupt() -> None:
    """Let the signals set `stop` and raise KeyboardInterrupt.

    If `stop` is set already, raise KeyboardInterrupt at once.
    """
    _on_stop_signals(_interrupt)
    if stop.is_set():
        raise KeyboardInterrupt


def _on_stop_signals(handler: Callable[[int, FrameType | None], None]) -> None:
    for number in STOP_SIGNALS:
        # A signal that was ignored from the start stays ignored: nohup, or a background job.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _note(signum: int, frame: FrameType | None) -> None:
    if stop.is_set():
        _end_at_once(signum)
    stop.set()


def _interrupt(signum: int, frame: FrameType | None) -> None:
    if stop.is_set():
        _end_at_once(signum)
        return
    # Python loses an exception that is raised inside a destructor, so the stop is noted as well.
    stop.set()
    raise KeyboardInterrupt


def _end_at_once(signum: int) -> None:
    """End the process if the signal is Ctrl-C. The stored epochs stay stored.

    Other signals do not count as a second one: a terminal that closes sends several by itself.
    """
    if signum == signal.SIGINT:
        for restore in _at_the_end:
            restore()
        # No lock and no buffer: the signal may have interrupted a print or a log line.
        with suppress(OSError):
            os.write(2, b"sleep-monitor: ended at once; what is stored stays stored\n")
        os._exit(INTERRUPTED)
