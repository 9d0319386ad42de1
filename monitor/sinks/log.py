"""The night as plain lines, for a pipe or a service: one an epoch, one a change, no control codes.

    23:14:30 epoch 128 N2 0.91 (live)
    23:15:00 epoch 129 unscored: mains (live)
    23:15:00 epoch 120 N1 0.80 (revised, live N2)
    23:16:12 signal lost: no samples since 23:16:07, check the headband
    23:16:54 signal restored after 47 s
    23:17:40 events: not connected, 3 waiting
    23:18:02 TP9 off: railed

Epochs are numbered from 0, as in the events; an epoch's time is its end, when its stage is known.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import tzinfo
from typing import IO

from monitor.closing import Closing
from monitor.errors import one_line
from monitor.night.state import NightState
from monitor.sinks.news import NightNews

_log = logging.getLogger(__name__)


class PlainLog(Closing):
    """A night view that writes what is new in each snapshot to ``stream``.

    - It never raises because of the stream: see `Lines`.
    - ``timezone`` None: a replay shows the recording's clock, a live night shows local time.
    - ``resumed_from``: the night as it was stored when it was resumed. Lines begin after it.
    """

    def __init__(
        self,
        stream: IO[str],
        *,
        timezone: tzinfo | None = None,
        resumed_from: NightState | None = None,
    ) -> None:
        self._lines = Lines(stream)
        self._news = NightNews(timezone)
        if resumed_from is not None:
            self.skip(resumed_from)

    def update(self, state: NightState) -> None:
        """Write a line for every new epoch, final revision and change since the last snapshot."""
        self._lines.write(self._news.of(state))

    def skip(self, state: NightState) -> None:
        """Write nothing for ``state``: lines begin with the changes after it."""
        self._news.skip(state)

    def close(self) -> None:
        """Do nothing: every line is flushed as it is written."""


class Lines:
    """A stream of whole lines that never raises.

    After the first failed write it logs one warning and writes nothing more.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._broken = False

    def write(self, lines: Iterable[str]) -> None:
        """Write each line and flush."""
        text = "".join(line + "\n" for line in lines)
        if not text or self._broken:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError) as exc:
            # The reader of the pipe has ended (OSError), or the stream is closed (ValueError).
            self._broken = True
            _log.warning("Cannot write log lines (%s); the night continues", one_line(exc))
