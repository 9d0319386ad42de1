"""The keys of the terminal, read one by one while the dashboard has the screen."""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress
from typing import IO, Any

from monitor.closing import Closing

if sys.platform != "win32":  # which has no termios: the dashboard then has no keys
    import termios

_LONGEST_SEQUENCE = 100
"""Bytes of an escape sequence. A longer one is broken, and must not swallow later keys."""

_STRINGS = (b"]", b"P", b"_", b"^", b"X")
"""Introducers, after ESC, of the strings of ECMA-48: OSC, DCS, APC, PM and SOS."""


class KeyParser:
    """Separates keys from what a terminal sends by itself, however the bytes are cut.

    Answers and function keys are escape sequences: CSI (``ESC [``), SS3 (``ESC O``), and strings
    such as OSC (``ESC ]``). None of their bytes is a key.
    """

    def __init__(self) -> None:
        self._kind = b""  # the sequence's introducer; b"" outside a sequence
        self._body = bytearray()
        self._is_key = False  # ESC was the last byte: then it was the key Escape, or is cut off
        self.answers: list[bytes] = []
        """The OSC strings so far, without their introducer and end. The reader empties it."""

    def feed(self, data: bytes) -> list[str]:
        """Return the keys in ``data``: printable ASCII characters, and "esc"."""
        keys: list[str] = []
        for byte in data:
            self._take(bytes([byte]), keys)
            self._is_key = False
        if self._kind == b"\x1b":
            self._is_key = True
            keys.append("esc")
        return keys

    def _take(self, byte: bytes, keys: list[str]) -> None:
        if self._kind in _STRINGS:
            self._take_in_string(byte)
        elif self._kind == b"[":
            # Parameters are 0x20 to 0x3f, and the last byte is 0x40 to 0x7e (ECMA-48).
            self._body += byte
            if byte >= b"\x40" or byte < b"\x20" or len(self._body) > _LONGEST_SEQUENCE:
                self._end()
        elif self._kind == b"O":
            self._end()
        elif self._kind == b"\x1b" and byte in (b"[", b"O", *_STRINGS):
            self._kind = byte
        elif self._kind == b"\x1b" and not self._is_key:
            self._end()  # a key that was pressed with Alt
        elif byte == b"\x1b":
            self._kind = byte
        else:
            self._end()
            if b" " <= byte <= b"~":
                keys.append(byte.decode("ascii"))

    def _take_in_string(self, byte: bytes) -> None:
        if byte == b"\x07" or self._body[-1:] + byte == b"\x1b\\":
            if self._kind == b"]":
                self.answers.append(bytes(self._body).removesuffix(b"\x1b"))
            self._end()
            return
        self._body += byte
        if len(self._body) > _LONGEST_SEQUENCE:
            self._end()

    def _end(self) -> None:
        self._kind = b""
        self._body.clear()


class Keyboard(Closing):
    """The keys of a terminal, read without waiting, and without their echo on the screen.

    - The terminal's own modes are back after `close`.
    - A program in the background reads no keys: the system would stop it.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._parser = KeyParser()
        self._own_modes: list[Any] | None = None
        self._gone = False

    @classmethod
    def of(cls, stream: IO[str] | None) -> Keyboard | None:
        """Return the keyboard of ``stream``, such as stdin; None if it is no terminal."""
        if sys.platform == "win32" or stream is None:
            return None
        try:
            fd = stream.fileno()
            termios.tcgetattr(fd)
        except (OSError, ValueError, termios.error):
            return None
        return cls(fd)

    @property
    def answers(self) -> list[bytes]:
        """The answers of the terminal that `read` has met. The caller empties the list."""
        return self._parser.answers

    def in_foreground(self) -> bool:
        """Return True if the terminal belongs to this program, and not to the shell."""
        try:
            return os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:
            return True  # not the controlling terminal: no shell takes it away

    def read(self, wait_s: float = 0.0) -> list[str]:
        """Return the keys that were pressed since the last call; see `KeyParser.feed`.

        Waits for the first one for at most ``wait_s``.
        """
        if self._gone or not self.in_foreground():
            return []
        try:
            self._quieten()
            ready, _, _ = select.select([self._fd], [], [], wait_s)
            data = os.read(self._fd, 1024) if ready else None
        except (OSError, ValueError, termios.error):
            data = b""
        if data is None:
            return []
        self._gone = not data  # the terminal was closed
        return self._parser.feed(data)

    def give_back(self) -> None:
        """Give the terminal its own modes until the next `read`."""
        modes, self._own_modes = self._own_modes, None
        if modes is not None and self.in_foreground():
            # At once: to wait for a paused terminal (Ctrl-S) would block the end of the night.
            with suppress(OSError, termios.error):
                termios.tcsetattr(self._fd, termios.TCSANOW, modes)

    def close(self) -> None:
        """Give the terminal its own modes for good."""
        self._gone = True
        self.give_back()

    def _quieten(self) -> None:
        """Hand over each key at once, and without echo. Ctrl-C and Ctrl-Z stay signals.

        Done again whenever it was undone: a shell sets its own modes when it stops the program.
        """
        modes = termios.tcgetattr(self._fd)
        if modes[3] & (termios.ICANON | termios.ECHO):
            self._own_modes = [*modes[:6], list(modes[6])]
            modes[3] &= ~(termios.ICANON | termios.ECHO)
            modes[6][termios.VMIN], modes[6][termios.VTIME] = 1, 0
            termios.tcsetattr(self._fd, termios.TCSANOW, modes)
