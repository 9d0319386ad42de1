"""Checks of the sources of samples and their links: LSL, BrainFlow, Bluetooth, serial ports."""

from __future__ import annotations

import os
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from monitor.config import BrainflowConfig, Settings
from monitor.doctor.files import read_text
from monitor.doctor.finding import Finding, ok, problem, unchecked, warning
from monitor.errors import InputError, one_line
from monitor.text import clean

RESOLVE_S = 3.0
"""Time limit for LSL to find a stream of this machine."""

LONGEST_NAME = 40
"""Letters of a stream's name in the list."""

LSL_GROUP = "239.255.172.215"
"""Multicast group in which LSL looks for streams of the local network (liblsl: SiteAddresses)."""


def lsl() -> Iterator[Finding]:
    """Check that LSL finds a stream that is made here, and list the streams that it sees."""
    from monitor.lsl_library import load_pylsl
    from monitor.sources.lsl import list_streams
    from monitor.sources.lsl.metadata import listing

    pylsl = load_pylsl()
    others = [
        f"{clean(each.name, LONGEST_NAME)} ({clean(each.type, LONGEST_NAME)})"
        for each in list_streams(1.0)
    ]
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
    yield ok(f"streams now: {listing(others) or 'none'}")


def multicast() -> Iterator[Finding]:
    """Check that the system can send multicast: LSL finds streams of other machines with it."""
    packet = uuid.uuid4().bytes
    try:
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as peer:
            peer.settimeout(1.0)
            peer.bind(("", 0))
            group = socket.inet_aton(LSL_GROUP) + socket.inet_aton("0.0.0.0")
            peer.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
            # TTL 0: the packet does not leave the machine.
            peer.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
            peer.sendto(packet, (LSL_GROUP, peer.getsockname()[1]))
            while peer.recv(64) != packet:  # other programs may send to this group too
                pass
    except OSError as exc:
        yield warning(
            f"does not work here: {one_line(exc)}",
            "streams of this machine are found without it; for streams of others, join their "
            "network, leave the VPN, open the firewall, or set KnownPeers in lsl_api.cfg",
        )
    else:
        yield ok("works on this machine; a router may still hold it back")


def brainflow(settings: Settings) -> Iterator[Finding]:
    """Check that BrainFlow loads and delivers samples, and that the sleepers' boards exist."""
    from monitor.sources.brainflow.boards import find_board
    from monitor.sources.brainflow.library import board_shim

    library = board_shim()
    synthetic = library.BoardIds.SYNTHETIC_BOARD.value
    board = library.BoardShim(synthetic, library.BrainFlowInputParams())
    board.prepare_session()
    try:
        board.start_stream()
        deadline_s = time.monotonic() + 3.0
        while not (n_samples := board.get_board_data_count()) and time.monotonic() < deadline_s:
            time.sleep(0.05)
        board.stop_stream()
    finally:
        board.release_session()
    if n_samples:
        yield ok(f"{library.BoardShim.get_version()}: its synthetic board delivers samples")
    else:
        yield problem("its synthetic board delivers no samples", "install brainflow again")
    for number, sleeper in enumerate(settings.sleeper, start=1):
        if isinstance(sleeper, BrainflowConfig):
            try:
                find_board(sleeper)
            except InputError as exc:
                yield problem(f"sleeper[{number}]", str(exc))


def bluetooth(sys_folder: Path = Path("/sys"), proc: Path = Path("/proc")) -> Iterator[Finding]:
    """Check that a Bluetooth adapter is there, switched on and served by bluetoothd."""
    if not sys.platform.startswith("linux"):
        yield unchecked("only on Linux: see in the system's settings that Bluetooth is on")
        return
    adapters = sorted(path.name for path in (sys_folder / "class/bluetooth").glob("hci*"))
    if not adapters:
        yield warning(
            "no adapter",
            "a headband over Bluetooth needs one; a headband with a dongle, or LSL, does not",
        )
        return
    blocked = [
        kind
        for switch in (sys_folder / "class/rfkill").glob("*")
        if read_text(switch / "type") == "bluetooth"
        for kind in ("soft", "hard")
        if read_text(switch / kind) == "1"
    ]
    if "hard" in blocked:
        yield warning(f"{', '.join(adapters)} switched off", "press the switch or key for it")
    elif blocked:
        yield warning(f"{', '.join(adapters)} switched off", "run: rfkill unblock bluetooth")
    if not any(read_text(path) == "bluetoothd" for path in proc.glob("[0-9]*/comm")):
        yield warning(
            f"{', '.join(adapters)}, but bluetoothd does not run",
            "install bluez and run: sudo systemctl enable --now bluetooth",
        )
    elif not blocked:
        yield ok(", ".join(adapters))


def serial_ports(dev: Path = Path("/dev")) -> Iterator[Finding]:
    """List the serial ports, and check that the user may use them."""
    if sys.platform == "win32":
        yield unchecked("see the device manager for the COM port of a dongle")
        return
    patterns = ("ttyUSB*", "ttyACM*", "cu.usb*")
    ports = sorted(path for pattern in patterns for path in dev.glob(pattern))
    if not ports:
        yield ok("none; only boards with a dongle need one")
    for port in ports:
        if os.access(port, os.R_OK | os.W_OK):
            yield ok(str(port))
        else:
            yield warning(
                f"{port}: no permission",
                "run: sudo usermod -aG dialout $USER (on Arch: uucp), and log in again",
            )
