"""Headbands for the live benchmark: LSL outlets that send real sleep EEG on a schedule."""

from __future__ import annotations

import os
import time
import uuid
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from deploy.benchmark import tiled_excerpt
from models.contract import EPOCH_S
from monitor.types import F32

CHANNELS = ("TP9", "AF7", "AF8", "TP10")
SFREQ_HZ = 256
PACKET = 12
"""Samples that a headband sends at once: 12 as in a Muse, which is 47 ms."""

SPREAD_S = EPOCH_S
"""The headbands start spread over this time, so that their epochs end one after another."""


def confined_lsl(folder: Path, session: str | None = None) -> dict[str, str]:
    """Return an environment in which LSL finds only streams of this machine and this ``session``.

    It writes a configuration file into ``folder``. The default ``session`` is a new one.
    """
    config = folder / "lsl_api.cfg"
    config.write_text(
        "[ports]\nIPv6 = disable\nPortRange = 512\n"
        "[multicast]\nResolveScope = machine\n"
        "[log]\nlevel = -2\n"
        f"[lab]\nKnownPeers = {{127.0.0.1}}\nSessionID = {session or uuid.uuid4().hex}\n",
        encoding="ascii",
    )
    return {"LSLAPICFG": str(config)}


def source_id(number: int) -> str:
    """Return the LSL source id of headband ``number``."""
    return f"benchmark-{number}"


def send(parent: Connection, environment: dict[str, str], sleepers: int) -> None:
    """Be ``sleepers`` headbands, from a message of ``parent`` until the process is killed.

    The outlets exist, and "ready" is sent, before that message.
    """
    os.environ.update(environment)  # liblsl reads it when it is loaded.
    import pylsl

    outlets = [pylsl.StreamOutlet(_stream(pylsl, number)) for number in range(sleepers)]
    data = _sleep_uv()
    parent.send("ready")
    parent.recv()
    starts_s = pylsl.local_clock() + SPREAD_S * np.arange(sleepers) / sleepers
    period_s = PACKET / SFREQ_HZ
    sent = np.zeros(sleepers, np.int64)  # Packets that each headband has sent.
    while True:
        # The schedule is absolute: a late turn sends more, so that no delay adds up.
        due = np.floor((pylsl.local_clock() - starts_s) / period_s).astype(np.int64)
        for number in np.flatnonzero(sent < due):
            while sent[number] < due[number]:
                at = int(sent[number] * PACKET) % (data.shape[0] - PACKET)
                sent[number] += 1
                last_s = starts_s[number] + sent[number] * period_s
                outlets[number].push_chunk(data[at : at + PACKET], float(last_s))
        next_s = float(np.min(starts_s + (np.maximum(sent, 0) + 1) * period_s))
        time.sleep(max(0.0005, next_s - pylsl.local_clock()))


def _sleep_uv() -> F32:
    """Return 15 min of sleep EEG, (n_samples, n_channels)."""
    sleep = tiled_excerpt(0.25, SFREQ_HZ)
    # Every channel has another stretch of sleep: the difference of two equal channels is flat.
    shifted = [np.roll(sleep, 60 * SFREQ_HZ * n) for n in range(len(CHANNELS))]
    return np.ascontiguousarray(np.stack(shifted, axis=1), np.float32)


def _stream(pylsl: Any, number: int) -> Any:
    info = pylsl.StreamInfo(
        f"Headband {number}", "EEG", len(CHANNELS), SFREQ_HZ, "float32", source_id(number)
    )
    channels = info.desc().append_child("channels")
    for name in CHANNELS:
        channel = channels.append_child("channel")
        channel.append_child_value("label", name)
        channel.append_child_value("unit", "microvolts")
    return info
