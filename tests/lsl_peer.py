"""A real LSL sender for the time of a test, and LSL confined to this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CONFIG = """[ports]
IPv6 = disable
BasePort = {base_port}
MulticastPort = {multicast_port}
[multicast]
ResolveScope = machine
[lab]
KnownPeers = {{127.0.0.1}}
SessionID = {session}
[tuning]
TimeProbeInterval = 0.008
MulticastMaxRTT = 1
UnicastMaxRTT = 1
[log]
level = -3
"""


def configuration(session: str) -> str:
    """Return an ``lsl_api.cfg`` that keeps LSL to this machine and to ``session``.

    Each process has ports of its own. liblsl searches 32 of them; if others take them all, it does
    not find the senders. The clock is probed quickly, because on one machine it needs no patience.
    """
    port = 17000 + os.getpid() % 370 * 40
    return CONFIG.format(session=session, base_port=port + 1, multicast_port=port)


def confine(folder: Path) -> None:
    """Keep LSL of this process and its children to this machine, and to a session of its own.

    Call it before LSL is used: liblsl reads its configuration once.
    """
    if "LSLAPICFG" not in os.environ:
        path = folder / "lsl_api.cfg"
        path.write_text(configuration(f"test{os.getpid()}"))
        os.environ["LSLAPICFG"] = str(path)


@contextmanager
def peer(**options: object) -> Iterator[subprocess.Popen[str]]:
    """Run `tests.lsl_sender` for the block. ``options`` are those of its command line."""
    arguments: list[str] = []
    for name, value in options.items():
        arguments += [f"--{name.replace('_', '-')}", str(value)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.lsl_sender", *arguments],
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
