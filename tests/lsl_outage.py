"""A network outage so long that the sender drops the connection; the receiver is not notified.

    unshare -rn python -m tests.lsl_outage FOLDER      (in a network namespace of its own)

This program switches its network off and on again, and prints as JSON how many samples a
`LslSource` received before, during and after the outage.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from monitor.clock import SystemClock, Timeline
from monitor.config import LslConfig
from monitor.sources.lsl import LslSource
from tests.lsl_peer import confine, peer

RETRIES = Path("/proc/sys/net/ipv4/tcp_retries2")


def _samples(source: LslSource, duration_s: float, enough: int) -> int:
    count, end_s = 0, time.monotonic() + duration_s
    while time.monotonic() < end_s and count < enough:
        count += sum(chunk.times_s.size for chunk in source.poll())
        time.sleep(0.02)
    return count


def _main(folder: Path) -> dict[str, int]:
    def loopback(state: str) -> None:
        subprocess.run(["ip", "link", "set", "lo", state], check=True)

    loopback("up")
    RETRIES.write_text("2")  # the sender gives up after 2 s, not after 15 minutes
    confine(folder)
    source = LslSource(LslConfig(source_id="Band"), Timeline(SystemClock()))
    with peer(name="Band"):
        before = _samples(source, 15.0, 1000)
        loopback("down")
        during = _samples(source, 10.0, 10_000)
        loopback("up")
        after = _samples(source, 50.0, 1000)
        source.close()
    return {"before": before, "during": during, "after": after}


if __name__ == "__main__":
    print(json.dumps(_main(Path(sys.argv[1]))))
