"""The rows of the fault table: faults of the signal, and accidents of the programs."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from monitor.sinks.redis_server import RedisServer
from tests.live.processes import HeadbandProgram, MonitorProgram, epochs_stored, wait_for

CHANNELS = ("TP9", "AF7", "AF8", "TP10")
RATE_HZ = 256.0
COMPRESSED = 40.0
AWAY_S = 20.0
"""Time for which server or disk is away: at `COMPRESSED` speed more than 10 min of the night."""

STEADY_S = 10.0
"""Time for which the night runs undisturbed before an accident."""


@dataclass(slots=True)
class NightPrograms:
    """The programs of a night that is running. An accident stops or disturbs one of them."""

    folder: Path
    env: dict[str, str]
    server: RedisServer
    store: Path
    monitor: MonitorProgram
    headband: HeadbandProgram
    headband_arguments: tuple[str, ...]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class FaultCase:
    """A row of the table: faults of the signal, or an accident of the programs."""

    name: str
    faults: str = ""
    minutes: float = 40.0
    speed: float = COMPRESSED
    accident: Callable[[NightPrograms], None] | None = None
    small_disk: bool = False


def fault_cases() -> list[FaultCase]:
    """Return all rows of the table, in their order."""
    return [
        FaultCase("nothing"),
        FaultCase("loss 5 %", "loss=0.05"),
        FaultCase("gap 1 s", "gap=1@605"),
        FaultCase("gap 60 s", "gap=60@605"),
        FaultCase("gap 20 min", "gap=1200@605"),
        FaultCase("gap 60 s, real time", "gap=60@35", minutes=3.2, speed=1.0),
        FaultCase("duplicates 5 %", "duplicate=0.05"),
        FaultCase("reordering 5 %", "reorder=0.05"),
        FaultCase("drift +200 ppm", "drift=200", minutes=60.0),
        FaultCase("drift -200 ppm", "drift=-200", minutes=60.0),
        FaultCase("jitter 10 ms rms", "jitter=0.01"),
        FaultCase("clock step +2.5 s", "step=2.5@35", minutes=2.7, speed=1.0),
        FaultCase("clock step -2.5 s", "step=-2.5@35", minutes=2.7, speed=1.0),
        FaultCase("clock step +1 h", "step=3600@35", minutes=2.7, speed=1.0),
        FaultCase("NaN, half of 10 min", "nan=0.5@605/600"),
        FaultCase("NaN, all of 2 min", "nan=1@605/120"),
        FaultCase("one channel flat", "flat=AF7@605/900"),
        FaultCase("one channel railed", "railed=AF7@605/900"),
        FaultCase("every channel flat", ";".join(f"flat={name}@605/600" for name in CHANNELS)),
        FaultCase("hum 50 Hz, all channels", "hum50=80@605/600"),
        FaultCase("hum 60 Hz, all channels", "hum60=80@605/600"),
        FaultCase("hum 50 Hz, one channel", "hum50=AF7:800@605/900"),
        FaultCase("hum 50 Hz, beyond the limit", "hum50=3000@605/600"),
        FaultCase(
            "loss, jitter, drift, reordering", "loss=0.05;reorder=0.02;drift=200;jitter=0.01"
        ),
        FaultCase("outlet killed and started again, 20 times", accident=kill_outlet, minutes=60.0),
        FaultCase("event server stopped for 10 min", accident=stop_server),
        FaultCase("event server hangs for 10 min", accident=hang_server),
        FaultCase("store's disk full for 10 min", accident=fill_disk, small_disk=True),
    ]


def kill_outlet(night: NightPrograms, times: int = 20) -> None:
    """Kill the headband, and start it again in the same night, ``times`` times.

    A headband that is back sends once somebody listens. Samples due before count as not sent.
    """
    wait_for(lambda: epochs_stored(night.store) > 0, "the night", 60.0, night.monitor)
    (start,) = night.headband.lines("start")
    again = (*night.headband_arguments, "--t0", repr(start["t0"]), "--wait-consumer")
    for _ in range(times):
        time.sleep(2.5)
        night.headband.kill()
        time.sleep(0.7)
        night.headband = HeadbandProgram(night.folder, night.env, *again)
    night.notes.append(f"{times} kills")


def stop_server(night: NightPrograms) -> None:
    """Stop the event server, and start it again with its data."""
    time.sleep(STEADY_S)
    night.server.stop()
    time.sleep(AWAY_S)
    night.server.start()


def hang_server(night: NightPrograms) -> None:
    """Suspend the event server: it accepts connections and never answers."""
    time.sleep(STEADY_S)
    server = psutil.Process(night.server.pid)
    server.suspend()
    time.sleep(AWAY_S)
    server.resume()


def fill_disk(night: NightPrograms) -> None:
    """Fill the store's disk, and make room again."""
    time.sleep(STEADY_S)
    ballast = night.store.with_name("ballast")
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(65536))
    full = epochs_stored(night.store)
    time.sleep(AWAY_S)
    kept = epochs_stored(night.store)
    ballast.unlink()
    time.sleep(8.0)
    night.notes.append(
        f"{full} epochs stored when full, {kept} after {AWAY_S:g} s, "
        f"{epochs_stored(night.store)} 8 s after there was room"
    )
