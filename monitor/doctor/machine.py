"""Checks of the machine: Python, disk, clock, suspend."""

from __future__ import annotations

import ctypes
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from models.contract import EPOCH_SAMPLES
from monitor.config import Settings, default_nights_folder
from monitor.doctor.files import read_text
from monitor.doctor.finding import Finding, ok, problem, unchecked, warning

NIGHT_BYTES = 10 * 120 * EPOCH_SAMPLES * 4
"""Size of one channel's night: ten hours of epochs, float32."""

CHANNELS = 8
"""Channels that are expected of each sleeper; most headbands have fewer."""


def python() -> Iterator[Finding]:
    """Report the version of Python. pip refuses versions that the monitor does not support."""
    system = (platform.system(), platform.release(), platform.machine())
    yield ok(f"{platform.python_version()} on {' '.join(system)}")


def disk(settings: Settings) -> Iterator[Finding]:
    """Check that every folder of nights can be written, and has room for three nights."""
    stores = [each.store for each in settings.sleeper] or [None]
    folders = [
        default_nights_folder() if store is None else store.absolute().parent for store in stores
    ]
    for folder in sorted(set(folders)):
        need = 3 * NIGHT_BYTES * CHANNELS * folders.count(folder)
        if folder != default_nights_folder() and not folder.is_dir():
            yield problem(f"there is no folder {folder}", "make it, or choose another with store")
            continue
        # The default folder is made when it is needed: check the nearest parent that exists.
        existing = next(path for path in (folder, *folder.parents) if path.is_dir())
        try:
            with tempfile.TemporaryFile(dir=existing):
                pass
        except OSError as exc:
            yield problem(
                f"cannot write in {existing}: {exc.strerror}",
                "give the permission, or choose another place with store",
            )
            continue
        free = shutil.disk_usage(existing).free
        found = (
            f"{folder}: {free / 1e9:.1f} GB free, {need / 1e9:.1f} GB are enough for three nights"
        )
        if free >= need:
            yield ok(found)
        else:
            yield problem(found, "make room, or choose another place with store")


def clock() -> Iterator[Finding]:
    """Check that the machine's clock is plausible and synchronised."""
    now = datetime.now(UTC)
    if not 2026 <= now.year < 2100:
        yield problem(f"it is {now:%Y-%m-%d %H:%M} UTC here", "set the clock of this machine")
    elif (synchronised := _synchronised()) is None:
        yield unchecked(f"it is {now:%Y-%m-%d %H:%M} UTC here: is it?")
    elif synchronised:
        yield ok(f"synchronised, {now:%Y-%m-%d %H:%M} UTC")
    else:
        yield warning(
            f"not synchronised, {now:%Y-%m-%d %H:%M} UTC",
            "run: sudo timedatectl set-ntp true (epochs do not move when it is set, but the "
            "night is dated by it)",
        )


def _synchronised() -> bool | None:
    """Return True if a time service keeps the clock right; None if that cannot be found out."""
    if not sys.platform.startswith("linux"):
        return None
    # The argument is a struct timex, of at most 208 bytes. All zero, it changes nothing.
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))
    time_error = 5  # TIME_ERROR in adjtimex(2): the clock is not synchronised
    return None if state < 0 else bool(state != time_error)


def suspend(sys_folder: Path = Path("/sys"), etc: Path = Path("/etc")) -> Iterator[Finding]:
    """Check that the machine does not suspend during the night."""
    if not sys.platform.startswith("linux"):
        tip = " (macOS: begin with caffeinate -i)" if sys.platform == "darwin" else ""
        yield unchecked(f"make sure that the machine stays awake all night{tip}")
        return
    batteries = [
        supply
        for supply in (sys_folder / "class/power_supply").glob("*")
        # A mouse has a battery too, of scope Device.
        if read_text(supply / "type") == "Battery" and read_text(supply / "scope") != "Device"
    ]
    # `systemctl mask` links a target to /dev/null.
    never = any(
        (etc / "systemd/system" / target).resolve() == Path("/dev/null")
        for target in ("sleep.target", "suspend.target")
    )
    if never or not batteries:
        yield ok("never suspends" if never else "no battery: it is not a laptop")
    else:
        yield warning(
            "a laptop suspends when its lid is closed or nobody types",
            "plug it in and begin with: systemd-inhibit --what=idle:sleep:handle-lid-switch "
            "sleep-monitor live ...",
        )
