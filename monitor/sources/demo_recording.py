"""The recording of real sleep that ships with the monitor: 84 min at 100 Hz."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path

from monitor.errors import InputError

SHA256 = "d802f1dd7a1663f17fdc8027dbbee9ce0d9a21fd0d9a6fc30103e9ece0fc3524"
"""The SHA-256 of the recording. The parity gate's answer on another one means nothing."""


def demo_recording() -> Path:
    """Return the path of the recording.

    Raises `InputError` if it is missing or damaged.
    """
    path = Path(str(files("monitor") / "demo" / "excerpt.edf"))
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise InputError(f"{path} cannot be read ({exc.strerror}): reinstall the monitor") from exc
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise InputError(f"{path} is damaged, its sha256 is wrong: reinstall the monitor")
    return path
