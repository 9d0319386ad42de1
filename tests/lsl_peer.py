"""A real LSL sender in a process of its own, and LSL confined to this machine.

    python -m tests.lsl_peer --name Band --rate 256 --unit microvolts --seconds 3 --speed 20

The first channel holds the number of its sample, the others a sine of 10 uV: a lost or misplaced
sample shows.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
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
[log]
level = -3
"""


def configuration(session: str) -> str:
    """An ``lsl_api.cfg`` that keeps to this machine and to ``session``.

    With ports of its own too (liblsl takes up to 32): with all taken, senders are not found.
    """
    port = 17000 + os.getpid() % 370 * 40
    return CONFIG.format(session=session, base_port=port + 1, multicast_port=port)


def confine(folder: Path) -> None:
    """LSL of this process and its children keeps to this machine and this session. To be called
    before LSL is used."""
    if "LSLAPICFG" not in os.environ:
        path = folder / "lsl_api.cfg"
        path.write_text(configuration(f"test{os.getpid()}"))
        os.environ["LSLAPICFG"] = str(path)


@contextmanager
def peer(**options: object) -> Iterator[subprocess.Popen[str]]:
    """A sender with these options of the program, which has begun to send."""
    told = [part for key, value in options.items() for part in (f"--{key}", str(value))]
    told = [part.replace("_", "-") if part.startswith("--") else part for part in told]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.lsl_peer", *told],
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


def main() -> None:
    import numpy as np
    import pylsl

    parser = argparse.ArgumentParser()
    parser.add_argument("--name", default="Band")
    parser.add_argument("--type", default="EEG")
    parser.add_argument("--source-id", help="by default the name")
    parser.add_argument("--labels", default="TP9,AF7,AF8,TP10", help='"" describes no channel')
    parser.add_argument("--types", default="", help="of the channels")
    parser.add_argument("--unit", default="microvolts", help="of all channels, or one of each")
    parser.add_argument("--format", default="float32")
    parser.add_argument("--rate", type=float, default=256.0)
    parser.add_argument("--nominal", type=float, help="the rate it claims; 0 is irregular")
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--ago", type=float, default=3.6, help="seconds that are sent at once")
    parser.add_argument("--channels", type=int, help="if there are no labels")
    parser.add_argument("--clock", type=float, default=0.0, help="ahead of LSL's by, seconds")
    parser.add_argument("--step", type=float, default=0.0, help="the clock is set by this, seconds")
    parser.add_argument("--step-at", type=float, default=np.inf, help="after seconds of signal")
    parser.add_argument("--untimed", type=int, default=0, help="samples at first without a time")
    args = parser.parse_args()

    labels = args.labels.split(",") if args.labels else []
    n_channels = args.channels or len(labels)
    nominal = args.rate if args.nominal is None else args.nominal
    source_id = args.name if args.source_id is None else args.source_id
    info = pylsl.StreamInfo(args.name, args.type, n_channels, nominal, args.format, source_id)
    channels = info.desc().append_child("channels")
    units = args.unit.split(",") * (1 if "," in args.unit else len(labels))
    kinds = args.types.split(",") if args.types else [""] * len(labels)
    for label, kind, unit in zip(labels, kinds, units, strict=True):
        channel = channels.append_child("channel")
        channel.append_child_value("label", label)
        if unit:
            channel.append_child_value("unit", unit)
        if kind:
            channel.append_child_value("type", kind)
    outlet = pylsl.StreamOutlet(info, 0, 360)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    outlet.wait_for_consumers(60.0)

    start_s, sent = pylsl.local_clock() - args.ago, 0
    total = int(args.seconds * args.rate)
    while sent < total:
        since_s = pylsl.local_clock() - start_s - args.ago
        due = int((args.ago + since_s * args.speed) * args.rate)
        numbers = np.arange(sent, min(due, total))
        if numbers.size:
            sine = 10.0 * np.sin(2 * np.pi * 10.0 * numbers / args.rate)
            data = np.repeat(sine[:, None], n_channels, axis=1)
            data[:, 0] = numbers
            stamps = start_s + args.clock + numbers / args.rate
            stamps[numbers < args.untimed] = np.nan
            stamps += np.where(numbers >= args.step_at * args.rate, args.step, 0.0)
            if args.format == "string":
                outlet.push_chunk([[str(v) for v in row] for row in data], stamps.tolist())
            else:
                outlet.push_chunk(data.astype(args.format.replace("double64", "float64")), stamps)
            sent += numbers.size
        time.sleep(0.02)
    time.sleep(3600.0)


if __name__ == "__main__":
    main()
