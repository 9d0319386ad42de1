"""Holds log lines back while the dashboard has the screen, and writes them afterwards."""

from __future__ import annotations

import logging
import threading
from collections import deque

_HELD_BACK = 1000


class HeldLog(logging.Handler):
    """A log handler that replaces those that write to a terminal, from `hold` to `restore`.

    - Handlers that write elsewhere, such as to a file, stay.
    - `newest` is the last message of level warning or above, `count` the number of them: the
      dashboard shows them.
    - The last `_HELD_BACK` records are kept.
    """

    def __init__(self) -> None:
        super().__init__()
        self.newest: str | None = None
        self.count = 0
        self._records: deque[logging.LogRecord] = deque(maxlen=_HELD_BACK)
        self._n_records = 0
        self._guard = threading.Lock()
        self._silenced: list[logging.Handler] = []

    def hold(self) -> None:
        """Replace the root logger's handlers that write to a terminal."""
        root = logging.getLogger()
        self._silenced = [h for h in root.handlers if _writes_to_terminal(h)]
        for handler in self._silenced:
            root.removeHandler(handler)
        root.addHandler(self)

    # Not `release`: logging.Handler has a method of that name, and calls it for each record.
    def restore(self) -> None:
        """Restore the handlers, then write the held records with them."""
        root = logging.getLogger()
        root.removeHandler(self)
        for handler in self._silenced:
            root.addHandler(handler)
        # If the root logger has no handler, `logging` writes warnings to stderr with this one.
        last = [logging.lastResort] if logging.lastResort and not root.handlers else []
        with self._guard:
            records = list(self._records)
            omitted = self._n_records - len(records)
            self._records.clear()
            self._n_records = 0
        if omitted:
            records.insert(0, _record(f"{omitted} earlier log lines were not kept"))
        for record in records:
            for handler in self._silenced or last:
                if record.levelno >= handler.level:
                    handler.handle(record)
        self._silenced = []

    def emit(self, record: logging.LogRecord) -> None:
        with self._guard:
            self._records.append(record)
            self._n_records += 1
        if record.levelno >= logging.WARNING:
            try:
                self.newest = " ".join(record.getMessage().split())
            except (TypeError, ValueError):
                self.handleError(record)
                return
            self.count += 1


def _writes_to_terminal(handler: logging.Handler) -> bool:
    stream = getattr(handler, "stream", None)
    is_terminal = getattr(stream, "isatty", None)
    try:
        return bool(is_terminal and is_terminal())
    except ValueError:  # a closed stream
        return False


def _record(message: str) -> logging.LogRecord:
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, message, None, None)
