"""The command that is run, as a night's file keeps it."""

from __future__ import annotations

import re
import shlex
import sys

from monitor.text import clean

_PASSWORD = re.compile("//[^/\\s]*@")


def command_line() -> str:
    """Return the command that is run, without passwords: the night's file keeps it."""
    return clean(_PASSWORD.sub("//...@", shlex.join(["sleep-monitor", *sys.argv[1:]])), 1000)
