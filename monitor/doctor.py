"""`sleep-monitor doctor`: whether this machine is ready for a night, and what to do if not."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import socket
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import redis
from rich.console import Console
from rich.table import Table
from rich.text import Text

from models.contract import EPOCH_SAMPLES
from monitor.config import (
    BrainflowConfig,
    Settings,
    config_file,
    default_exported_folder,
    default_nights_folder,
    read_settings,
)
from monitor.errors import InputError, MonitorError
from monitor.sinks.redis_client import connect, safe_text, safe_url
from monitor.sinks.redis_server import RedisServer

LIMIT_S = 30.0
"""A check that takes longer hangs: torch on a cold disk takes most of it."""

RESOLVE_S = 3.0
OLDEST_REDIS = (6, 2)
NIGHT_BYTES = 10 * 120 * EPOCH_SAMPLES * 4
"""Of one channel: ten hours of epochs, float32."""

CHANNELS = 8
"""Reckoned with for each sleeper; most headbands have fewer."""

SLOW_S = 1.0
LSL_GROUP = "239.255.172.215"
"""Where LSL's resolver asks for streams of the local network (liblsl's SiteAddresses)."""


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    UNCHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found, and what to do about it."""

    verdict: Verdict
    found: str
    advice: str = ""


Check = Callable[[], Iterator[Finding]]


def ok(found: str) -> Finding:
    return Finding(Verdict.OK, found)


def warning(found: str, advice: str) -> Finding:
    return Finding(Verdict.WARNING, found, advice)


def problem(found: str, advice: str) -> Finding:
    return Finding(Verdict.PROBLEM, found, advice)


def unchecked(found: str) -> Finding:
    return Finding(Verdict.UNCHECKED, found)


def examine(console: Console, config: Path | None, redis_url: str | None) -> bool:
    """Print a row for each finding, as they come. False if there is a problem.

    Nothing is changed, and nothing leaves the machine but LSL's search and a question to the
    event server.
    """
    settings, finding = _configuration(config, redis_url)
    checks: list[tuple[str, Check]] = [
        ("configuration", lambda: iter([finding])),
        ("Python", python),
        ("network", partial(network, settings)),
        ("LSL", lsl),
        ("multicast", multicast),
        ("BrainFlow", partial(brainflow, settings)),
        ("Bluetooth", bluetooth),
        ("serial ports", serial_ports),
        ("event server", partial(event_server, settings)),
        ("disk", partial(disk, settings)),
        ("clock", clock),
        ("suspend", suspend),
    ]
    worst = False
    for name, check in checks:
        for each in findings(check):
            _print(console, name, each)
            worst |= each.verdict is Verdict.PROBLEM
    return not worst


def findings(check: Check, limit_s: float = LIMIT_S) -> list[Finding]:
    """What ``check`` finds within ``limit_s``. One that raises or hangs is a problem it found."""
    found: list[Finding] = []

    def examine() -> None:
        try:
            found.extend(check())
        except MonitorError as exc:
            found.append(problem("failed", str(exc)))
        except Exception as exc:
            found.append(problem(f"failed: {_line(exc)}", "this is not foreseen: tell the authors"))

    # A library that hangs does not hold the others up, nor the end of the program.
    thread = threading.Thread(target=examine, daemon=True)
    thread.start()
    thread.join(limit_s)
    if thread.is_alive():
        return [*found, problem(f"no answer in {limit_s:g} s", "try again on an idle machine")]
    return found


def _configuration(config: Path | None, redis_url: str | None) -> tuple[Settings, Finding]:
    """The settings to check with, those of the command line alone if the others are wrong."""
    try:
        settings = read_settings(config, redis=redis_url)
        path = config_file(config)
        if not settings.sleeper:
            return settings, ok(f"no sleepers in {path}" if path else "no file, which is fine")
        names = (each.sleeper for each in settings.live().sleepers)
        return settings, ok(f"{path}: {len(settings.sleeper)} sleeper(s) {', '.join(names)}")
    except InputError as exc:
        usable = Settings.model_construct(redis=redis_url)
        return usable, problem(str(exc), "mend it; the checks below go by the defaults")


def python() -> Iterator[Finding]:
    system = (platform.system(), platform.release(), platform.machine())
    found = f"{platform.python_version()} on {' '.join(system)}"
    if (3, 11) <= sys.version_info < (3, 14):
        yield ok(found)
    else:
        yield warning(found, "the monitor is made for Python 3.11 to 3.13")


def network(settings: Settings) -> Iterator[Finding]:
    """The staging network: which backend runs it, and whether it stages an epoch in time."""
    import numpy as np

    from models.card import default_weights
    from monitor.staging.chain import BackendChain

    weights = settings.weights or default_weights(settings.gain)
    backend = BackendChain(
        weights, settings.exported or default_exported_folder(), settings.backend
    )
    contract = backend.contract
    if contract.gain is not settings.gain:
        yield problem(
            f"{weights} is for gain {contract.gain.value}",
            f"set gain to it, or take other weights: gain is {settings.gain.value}",
        )
    yield ok(backend.note)
    epoch_uv = np.random.default_rng(0).normal(0, 20, (1, EPOCH_SAMPLES)).astype(np.float32)
    seconds = []
    for _ in range(3):  # the first one also warms up
        began_s = time.perf_counter()
        context = np.repeat(backend.encode(epoch_uv)[:, None], contract.context_epochs, axis=1)
        backend.stage(context, np.ones(context.shape[:2], bool))
        seconds.append(time.perf_counter() - began_s)
    found = f"{weights.name} stages an epoch in {1000 * min(seconds):.0f} ms"
    if backend.trouble:
        yield warning(f"{found}, but not as it began: {backend.trouble}", "see deploy/README.md")
    elif min(seconds) < SLOW_S:
        yield ok(found)
    else:
        yield warning(found, "end what loads the CPU; leave OMP_NUM_THREADS unset, or set it to 1")


def lsl() -> Iterator[Finding]:
    """Which streams are seen, and whether one that is made here is found."""
    from monitor.sources.lsl import list_streams
    from monitor.sources.lsl.library import load_pylsl

    pylsl = load_pylsl()
    others = [f"{each.name} ({each.type})" for each in list_streams(1.0)]
    key = f"sleep-monitor-doctor-{uuid.uuid4()}"
    info = pylsl.StreamInfo("sleep-monitor doctor", "Doctor", 1, 0.0, "string", key)
    outlet = pylsl.StreamOutlet(info)
    began_s = time.monotonic()
    found = pylsl.resolve_byprop("source_id", key, 1, RESOLVE_S)
    took_s = time.monotonic() - began_s
    del outlet
    if found:
        yield ok(f"liblsl {pylsl.library_version()}: a stream made here is found in {took_s:.1f} s")
    else:
        yield problem(
            f"a stream made here is not found in {RESOLVE_S:g} s",
            "let UDP 16571-16604 and TCP 16572-16604 through the firewall, leave the VPN, or set "
            "KnownPeers in lsl_api.cfg",
        )
    yield ok(f"streams now: {', '.join(others) or 'none'}")


def multicast() -> Iterator[Finding]:
    """Streams of other machines are found by multicast: whether the system has a way for it."""
    word = uuid.uuid4().bytes
    try:
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as peer:
            peer.settimeout(1.0)
            peer.bind(("", 0))
            group = socket.inet_aton(LSL_GROUP) + socket.inet_aton("0.0.0.0")
            peer.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
            # It does not leave the machine.
            peer.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
            peer.sendto(word, (LSL_GROUP, peer.getsockname()[1]))
            while peer.recv(64) != word:
                pass
    except OSError as exc:
        yield warning(
            f"does not work here: {_line(exc)}",
            "streams of this machine are found all the same; for those of others, join their "
            "network, leave the VPN, open the firewall, or set KnownPeers in lsl_api.cfg",
        )
    else:
        yield ok("works on this machine; a router may still hold it back")


def brainflow(settings: Settings) -> Iterator[Finding]:
    """The library loads, its board without hardware gives samples, the sleepers' boards exist."""
    from monitor.sources.brainflow.boards import find_board
    from monitor.sources.brainflow.library import board_shim

    library = board_shim()
    synthetic = library.BoardIds.SYNTHETIC_BOARD.value
    board = library.BoardShim(synthetic, library.BrainFlowInputParams())
    board.prepare_session()
    try:
        board.start_stream()
        deadline_s = time.monotonic() + 3.0
        while not (came := board.get_board_data_count()) and time.monotonic() < deadline_s:
            time.sleep(0.05)
        board.stop_stream()
    finally:
        board.release_session()
    if came:
        yield ok(f"{library.BoardShim.get_version()}: its synthetic board gives samples")
    else:
        yield problem("its synthetic board gives no samples", "install brainflow again")
    for number, sleeper in enumerate(settings.sleeper, start=1):
        if isinstance(sleeper, BrainflowConfig):
            try:
                find_board(sleeper)
            except InputError as exc:
                yield problem(f"sleeper[{number}]", str(exc))


def bluetooth(sys_folder: Path = Path("/sys"), proc: Path = Path("/proc")) -> Iterator[Finding]:
    if not sys.platform.startswith("linux"):
        yield unchecked("on Linux only: see that Bluetooth is on in the system's settings")
        return
    adapters = sorted(path.name for path in (sys_folder / "class/bluetooth").glob("hci*"))
    if not adapters:
        yield warning(
            "no adapter",
            "headbands over Bluetooth need one; those with a dongle, and LSL, do not",
        )
        return
    blocked = [
        kind
        for switch in (sys_folder / "class/rfkill").glob("*")
        if _text(switch / "type") == "bluetooth"
        for kind in ("soft", "hard")
        if _text(switch / kind) == "1"
    ]
    if "hard" in blocked:
        yield warning(f"{', '.join(adapters)} switched off", "press the switch or key for it")
    elif blocked:
        yield warning(f"{', '.join(adapters)} switched off", "run: rfkill unblock bluetooth")
    if not any(_text(path) == "bluetoothd" for path in proc.glob("[0-9]*/comm")):
        yield warning(
            f"{', '.join(adapters)}, but bluetoothd does not run",
            "install bluez and run: sudo systemctl enable --now bluetooth",
        )
    elif not blocked:
        yield ok(", ".join(adapters))


def serial_ports(dev: Path = Path("/dev")) -> Iterator[Finding]:
    if sys.platform == "win32":
        yield unchecked("see the device manager for the COM port of a dongle")
        return
    patterns = ("ttyUSB*", "ttyACM*", "cu.usb*")
    ports = sorted(path for pattern in patterns for path in dev.glob(pattern))
    if not ports:
        yield ok("none, needed for boards with a dongle only")
    for port in ports:
        if os.access(port, os.R_OK | os.W_OK):
            yield ok(str(port))
        else:
            yield warning(
                f"{port}: no permission",
                "run: sudo usermod -aG dialout $USER (on Arch: uucp), and log in again",
            )


def event_server(settings: Settings) -> Iterator[Finding]:
    if settings.no_redis:
        yield ok("none, as set: no events are published")
    elif settings.redis_url is None:
        with RedisServer(port=0):
            yield ok("the one inside the monitor starts")
    else:
        yield _answers(settings.redis_url)


def _answers(url: str) -> Finding:
    client: Any = connect(url)
    try:
        version = str(client.info("server")["redis_version"])
    except (redis.RedisError, OSError) as exc:
        return problem(
            f"{safe_url(url)}: {safe_text(exc, url)}",
            "start it, mend the URL, or leave redis unset for the server inside the monitor",
        )
    finally:
        client.close()
    return _judged(version, url)


def _judged(version: str, url: str) -> Finding:
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_REDIS:
        return problem(f"{safe_url(url)}: Redis {version}", "Redis 6.2 or later is needed")
    return ok(f"{safe_url(url)}: Redis {version}")


def disk(settings: Settings) -> Iterator[Finding]:
    """Room for three times a night, and the right to write, wherever nights go."""
    stores = [each.store for each in settings.sleeper] or [None]
    folders = [
        default_nights_folder() if store is None else store.absolute().parent for store in stores
    ]
    for folder in sorted(set(folders)):
        need = 3 * NIGHT_BYTES * CHANNELS * folders.count(folder)
        if folder != default_nights_folder() and not folder.is_dir():
            yield problem(f"there is no folder {folder}", "make it, or choose another with store")
            continue
        # The default folder is made when it is needed, in the nearest one that exists.
        there = next(path for path in (folder, *folder.parents) if path.is_dir())
        try:
            with tempfile.TemporaryFile(dir=there):
                pass
        except OSError as exc:
            yield problem(
                f"cannot write in {there}: {exc.strerror}",
                "give the permission, or choose another place with store",
            )
            continue
        free = shutil.disk_usage(there).free
        found = f"{folder}: {free / 1e9:.1f} GB free, {need / 1e9:.1f} GB is plenty for a night"
        if free >= need:
            yield ok(found)
        else:
            yield problem(found, "make room, or choose another place with store")


def clock() -> Iterator[Finding]:
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
    """Whether a time service disciplines the clock; None if the system does not say."""
    if not sys.platform.startswith("linux"):
        return None
    # struct timex is 208 bytes at most; modes = 0 only reads.
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))
    time_error = 5
    return None if state < 0 else bool(state != time_error)


def suspend(sys_folder: Path = Path("/sys"), etc: Path = Path("/etc")) -> Iterator[Finding]:
    if not sys.platform.startswith("linux"):
        tip = " (macOS: begin with caffeinate -i)" if sys.platform == "darwin" else ""
        yield unchecked(f"see that the machine stays awake all night{tip}")
        return
    batteries = [
        supply
        for supply in (sys_folder / "class/power_supply").glob("*")
        # A mouse has a battery too.
        if _text(supply / "type") == "Battery" and _text(supply / "scope") != "Device"
    ]
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


def _print(console: Console, name: str, finding: Finding) -> None:
    style = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.PROBLEM: "bold red"}
    row = Table.grid(padding=(0, 2))
    row.add_column(width=len(Verdict.UNCHECKED))
    row.add_column(width=13)
    row.add_column()
    what = Text(finding.found)
    if finding.advice:
        what.append(f"\n-> {finding.advice}", style="dim")
    row.add_row(Text(finding.verdict, style=style.get(finding.verdict, "dim")), Text(name), what)
    console.print(row)


def _line(error: object) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
