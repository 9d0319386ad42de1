"""Programs of the user's machine that the monitor starts: find a sound player, end a program."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

PLAYERS: Sequence[tuple[str, ...]] = (
    ("pw-play",),
    ("paplay",),
    ("aplay", "-q"),
    ("afplay",),
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "error"),
)
"""Programs that play a sound file: PipeWire, PulseAudio, ALSA, macOS, FFmpeg."""

PLAYER_NAMES = ", ".join(name for name, *_ in PLAYERS)


def sound_command(sound: Path) -> list[str] | None:
    """Return the command that plays ``sound`` with the first player that is installed, or None."""
    for player, *arguments in PLAYERS:
        if found := shutil.which(player):
            return [found, *arguments, str(sound)]
    return None


def end_program(process: subprocess.Popen[bytes]) -> None:
    """End a program that leads a session of its own, with the programs that it started."""
    if hasattr(os, "killpg"):
        with suppress(OSError):  # it has ended
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
