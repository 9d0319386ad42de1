"""Snapshots of an invented night of eight hours, with plausible stages, to test the views."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from models.contract import EPOCH_SAMPLES, STAGES, Stage
from monitor.night.state import NightState, SleeperState
from monitor.night.statistics import sleep_statistics
from monitor.types import (
    F32,
    ChannelState,
    Contact,
    Delivery,
    Quality,
    Reason,
    SampleLedger,
    Session,
    SignalState,
    StagePrediction,
    Track,
)

START = datetime(2026, 1, 14, 22, 31, 0, tzinfo=UTC)

# Minutes of each stage, in order; "?" is unscored. Four cycles: N3 early, R late.
NIGHT = (
    "W12 ?1 W3 N1:3 N2:12 N3:24 N2:4 N1:1 R8 W1 N1:2 N2:31 N3:18 N2:9 W2 N1:2 N2:6 R17 N1:2 ?6 "
    "N2:38 N3:7 N2:11 R24 W4 N1:3 N2:42 W1 N1:1 N2:14 R31 N1:2 N2:26 W2 N1:4 N2:22 R22 N1:3 W18"
)


def night_stages() -> list[Stage | None]:
    """Return the hypnogram of `NIGHT`, one entry an epoch."""
    stages: list[Stage | None] = []
    for part in NIGHT.split():
        name, minutes = part.split(":") if ":" in part else (part[0], part[1:])
        stages += [None if name == "?" else Stage(name)] * (2 * int(minutes))
    return stages


def prediction(index: int, stage: Stage | None, track: Track = Track.LIVE) -> StagePrediction:
    """Return a prediction for one epoch; its confidence depends on ``index`` alone."""
    scored = stage is not None
    probabilities = None
    confidence = None
    if stage is not None:
        confidence = 0.62 + 0.07 * (index * 7 % 6)
        near = {Stage.W: "N1", Stage.N1: "N2", Stage.N2: "N1", Stage.N3: "N2", Stage.R: "N1"}
        rest = (1.0 - confidence) / 10.0
        values = dict.fromkeys(STAGES, rest)
        values[Stage(near[stage])] = 7.0 * rest
        values[stage] = confidence
        probabilities = tuple(values[s] for s in STAGES)
    return StagePrediction(
        epoch_index=index,
        track=track,
        revision=0 if track is Track.LIVE else 1,
        final=True,
        stage=stage,
        reason=None if scored else Reason.MAINS,
        probabilities=probabilities,
        confidence=confidence,
        model="example",
        latency_s=0.02,
    )


def example_eeg(seed: int = 1) -> F32:
    """Return 30 s of slow waves, a spindle and noise, (3000,) in microvolts; 1.2 s are missing."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(EPOCH_SAMPLES) / 100.0
    slow = np.sin(2 * np.pi * 0.9 * time_s) * (20 + 25 * np.sin(2 * np.pi * time_s / 17) ** 2)
    spindle = 25 * np.exp(-(((time_s - 12) / 0.5) ** 2)) * np.sin(2 * np.pi * 13.2 * time_s)
    signal = slow + spindle + np.cumsum(rng.normal(0, 1.5, EPOCH_SAMPLES)) * 0.3
    signal += rng.normal(0, 4, EPOCH_SAMPLES)
    signal[2100:2220] = np.nan
    return signal.astype(np.float32)


def good_quality() -> Quality:
    """Return the quality of a quiet electrode with good contact."""
    return Quality(
        reason=None,
        std_uv=31.24,
        peak_to_peak_uv=182.0,
        flat_fraction=0.0,
        railed_fraction=0.0,
        high_amplitude_fraction=0.0,
        mains_fraction=0.03,
        missing_fraction=0.0,
    )


def night_state(n_epochs: int | None = None, **changes: object) -> NightState:
    """Return the night after ``n_epochs`` (None: all), replayed at 60x, with ``changes``."""
    night = night_stages()
    stages = night[:n_epochs]
    expected = 3000 * len(stages)
    live = tuple(prediction(i, s) for i, s in enumerate(stages))
    state = NightState(
        session=Session(
            id="example",
            source="SC4001E0-PSG.edf",
            derivation="EEG Fpz-Cz",
            channels=("EEG Fpz-Cz",),
            start_s=0.0,
            start_utc=START,
            sfreq_hz=100.0,
            gain="known",
            model="example",
        ),
        clock_utc=START + timedelta(seconds=30 * len(stages)),
        live=live,
        revised=live,
        statistics=sleep_statistics(stages),
        lights_off_utc=None,
        lights_on_utc=None,
        derivations=("EEG Fpz-Cz",) * len(stages),
        recent_uv=example_eeg(),
        channels=(),
        last_sample_utc=START + timedelta(seconds=30 * len(stages)),
        worn=(0, len(stages)) if stages else None,
        unstored=0,
        quality=good_quality(),
        signal=SignalState.GOOD,
        ledger=SampleLedger(
            expected=expected,
            received=expected - 120 if expected else 0,
            filled=120 if expected else 0,
            arrived=expected,
            duplicate=12,
            late=3,
        ),
        delivery=Delivery("redis://127.0.0.1:6379/0", True, 1204, 0),
        n_epochs_total=len(night),
        is_live=False,
        speed=60.0,
        ended=False,
    )
    return replace(state, **changes)


MUSE = ("TP9", "AF7", "AF8", "TP10")


def channel(
    name: str,
    contact: Contact = Contact.GOOD,
    reason: Reason | None = None,
    std_uv: float | None = 24.0,
) -> ChannelState:
    """Return the state of a channel."""
    return ChannelState(name, contact, reason, std_uv)


def muse_channels() -> tuple[ChannelState, ...]:
    """Return four channels: two good ones, one that moves, one that came off."""
    return (
        channel("TP9", Contact.OFF, Reason.RAILED, 640.0),
        channel("AF7", std_uv=31.0),
        channel("AF8", Contact.POOR, Reason.AMPLITUDE, 212.0),
        channel("TP10", std_uv=28.0),
    )


def live_state(n_epochs: int | None = None, sleeper: str = "", **changes: object) -> NightState:
    """Return the night after ``n_epochs`` of a headband that was put on ten epochs late."""
    state = night_state(n_epochs)
    n = len(state.live)
    session = replace(
        state.session,
        source="lsl:Muse-2E6F",
        derivation="AF7-TP9",
        channels=MUSE,
        sfreq_hz=256.0,
        sleeper=sleeper,
    )
    stages = [prediction.stage for prediction in state.revised]
    worn = (10, n) if n > 10 else None
    statistics = sleep_statistics(stages, *(worn or ()))
    live = {
        "session": session,
        "statistics": replace(statistics, bounds="worn"),
        "derivations": ("AF7-TP9",) * n,
        "channels": good_channels(),
        "worn": worn,
        "n_epochs_total": None,
        "is_live": True,
        "speed": None,
    }
    return replace(state, **{**live, **changes})


def silent_state(n_epochs: int = 830, **changes: object) -> NightState:
    """Return the night of a headband that sent its last sample 42 s ago."""
    state = live_state(n_epochs, signal=SignalState.LOST, recent_uv=silence())
    last = state.clock_utc - timedelta(seconds=42)
    gone = tuple(
        replace(c, contact=Contact.OFF, reason=Reason.MISSING, std_uv=None) for c in state.channels
    )
    return replace(state, **{"last_sample_utc": last, "channels": gone, **changes})


def silence() -> F32:
    """Return 30 s without a sample, (3000,)."""
    return np.full(EPOCH_SAMPLES, np.nan, np.float32)


def four_sleepers() -> tuple[SleeperState, ...]:
    """Return sleepers who are well, silent, still waiting, and failed."""
    return (
        SleeperState("anna", "streaming", live_state(830, "anna")),
        SleeperState("ben", "trying again in 4 s: the board is silent", silent_state(640)),
        SleeperState("chloe", "waiting for an LSL stream of type EEG", None),
        SleeperState("dan", "no room on the disk for dan.sqlite", live_state(300, "dan"), True),
    )


def good_channels() -> tuple[ChannelState, ...]:
    """Return four channels with good contact."""
    return tuple(channel(name, std_uv=20.0 + i) for i, name in enumerate(MUSE))


def many_sleepers(n: int = 64) -> tuple[SleeperState, ...]:
    """Return ``n`` sleepers. Every sixteenth needs a look, for one of three reasons in turn."""
    troubled = four_sleepers()[1:]
    sleepers = []
    for i in range(n):
        name = f"bed-{i + 1:02d}"
        state = SleeperState(name, "streaming", live_state(400 + 5 * i, name))
        if i % 16 == 7:
            state = replace(troubled[i // 16 % 3], sleeper=name)
        sleepers.append(state)
    return tuple(sleepers)
