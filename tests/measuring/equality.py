"""A live night against a replay of the same samples: the same stages, to what a clock's noise does.

    python -m tests.live.equality excerpt --minutes 12 --out FOLDER
    python -m tests.live.equality night --hours 8 --speed 60 --out FOLDER

The samples go through a real LSL outlet into the real `sleep-monitor live lsl`, and as a file into
the real `sleep-monitor replay`, both on a grid that begins with the first sample. What differs
between the two nights' files is measured, and what of it a small constant delay explains.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from edfio import Bdf, BdfSignal, Edf, EdfSignal, read_edf

from deploy.live_benchmark import usage
from models.contract import SFREQ_HZ, Gain
from monitor.conditioning.conditioner import Conditioner
from monitor.night.store import NightStore
from monitor.sources.derivation import choose_derivation
from monitor.sources.edf import EdfRecording
from monitor.types import Epoch, Montage, Session, StagePrediction, Track
from tests.live.faults import F64
from tests.live.processes import (
    ROOT,
    HeadbandProgram,
    MonitorProgram,
    environment,
    wait_for,
    wait_until_idle,
)
from tests.live.signals import MadeUpNight
from tests.live.truth import lag_samples

CHANNELS = ("TP9", "AF7", "AF8", "TP10")
RATE_HZ = 256.0
DERIVATION = "AF7-TP9"
DELAYS_US = (-20, -5, 5, 20)
RANGE_UV = 1024.0
"""A made-up night stays within; 24 bits of it are steps of 0.12 nV."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What the live monitor took: of the wall clock, of a core, of memory at its most."""

    wall_s: float
    cpu_s: float
    peak_mb: float


@dataclass(frozen=True, slots=True)
class Equality:
    """Two nights, live and replayed, epoch by epoch.

    - ``origin_off_us``: live grid origin after the first sample's time, as the sender knows it.
    - ``differing_*``: epochs; ``largest_p_*``: difference of a probability.
    - ``rms_of_delay_uv``: what a constant delay of the samples, in microseconds, would make of a
      replay: clock noise of that size explains a difference of this size.
    - Of the stored signal, microvolts: ``rms_uv`` of all, ``worst_rms_uv`` of an epoch, and
      ``rest_rms_uv`` of all once every epoch is delayed by what fits it best; of that delay
      ``delay_us`` is the median and the largest. ``lag_samples``: the largest by correlation.
    """

    what: str
    epochs: tuple[int, int]
    arrived: tuple[int, int]
    filled: tuple[int, int]
    lost: tuple[int, int]
    origin_off_us: float
    differing_live: list[int]
    differing_revised: list[int]
    differing_reasons: list[int]
    differing_derivations: list[int]
    largest_p_live: float
    largest_p_revised: float
    scored: int
    signal_rms_uv: float
    rms_uv: float
    worst_rms_uv: float
    rest_rms_uv: float
    delay_us: tuple[float, float]
    lag_samples: float
    rms_of_delay_uv: dict[int, float]
    cost: Cost

    def markdown(self) -> str:
        rows = (
            ("epochs, live and replayed (scored)", f"{_pair(self.epochs)} ({self.scored})"),
            ("samples arrived", _pair(self.arrived)),
            ("grid samples filled; lost", f"{_pair(self.filled)}; {_pair(self.lost)}"),
            ("grid origin after the first sample", f"{self.origin_off_us:+.1f} us"),
            ("live stages that differ", _told(self.differing_live)),
            ("revised stages that differ", _told(self.differing_revised)),
            ("reasons that differ", _told(self.differing_reasons)),
            ("derivations that differ", _told(self.differing_derivations)),
            ("largest difference of a live probability", f"{self.largest_p_live:.2e}"),
            ("largest difference of a revised probability", f"{self.largest_p_revised:.2e}"),
            ("rms of the signal", f"{self.signal_rms_uv:.2f} uV"),
            (
                "rms of the difference; of the worst epoch",
                f"{self.rms_uv:.2e} uV; {self.worst_rms_uv:.2e} uV",
            ),
            (
                "live later by, median; largest",
                f"{self.delay_us[0]:+.1f} us; {self.delay_us[1]:+.1f} us",
            ),
            ("rms of the difference without that delay", f"{self.rest_rms_uv:.2e} uV"),
            ("largest lag by correlation, in samples", f"{self.lag_samples:+.4f}"),
            (
                "what a constant delay would make",
                ", ".join(f"{us:+d} us: {rms:.1e} uV" for us, rms in self.rms_of_delay_uv.items()),
            ),
            (
                "live monitor",
                f"{self.cost.wall_s:.0f} s, {self.cost.cpu_s:.1f} s of CPU, "
                f"{self.cost.peak_mb:.0f} MB",
            ),
        )
        lines = [f"| {self.what} | |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True, eq=False)
class Night:
    """What a night's file holds."""

    session: Session
    epochs: list[Epoch]
    predictions: dict[Track, list[StagePrediction]]

    @classmethod
    def read(cls, path: Path) -> Night:
        store = NightStore.open(path)
        try:
            session = store.session()
            assert session is not None, f"no night was begun in {path}"
            tracks = {track: store.predictions(track) for track in Track}
            return cls(session, list(store.epochs()), tracks)
        finally:
            store.close()


def compare(
    live: Night,
    again: Night,
    what: str,
    first_utc_s: float,
    rms_of_delay_uv: dict[int, float],
    cost: Cost,
) -> Equality:
    """Epoch by epoch. ``first_utc_s``: when the first sample of ``live`` was measured."""
    both = list(zip(live.epochs, again.epochs, strict=False))
    rms: list[float] = []
    rest: list[float] = []
    power: list[float] = []
    delays: list[float] = []
    lags: list[float] = []
    for a, b in both:
        x, y = (each.staged_uv.astype(np.float64) for each in (b, a))
        seen = np.isfinite(x) & np.isfinite(y)
        if a.derivation.name != again.session.derivation or not seen.all():
            continue
        delay_s, left = small_delay(x, y)
        delays.append(delay_s)
        rms.append(float(np.mean((y - x) ** 2)))
        rest.append(float(np.mean(left**2)))
        power.append(float(np.mean(x**2)))
        lags.append(lag_samples(y, x)[0])
    differing = {
        track: _differing(live.predictions[track], again.predictions[track]) for track in Track
    }
    largest = {
        track: _largest(live.predictions[track], again.predictions[track]) for track in Track
    }
    ledgers = [[epoch.ledger for epoch in night.epochs[: len(both)]] for night in (live, again)]
    arrived, filled, lost = (
        (sum(getattr(one, key) for one in ledgers[0]), sum(getattr(one, key) for one in ledgers[1]))
        for key in ("arrived", "filled", "lost")
    )
    return Equality(
        what=what,
        epochs=(len(live.epochs), len(again.epochs)),
        arrived=arrived,
        filled=filled,
        lost=lost,
        origin_off_us=1e6 * (live.session.start_s - first_utc_s),
        differing_live=differing[Track.LIVE],
        differing_revised=differing[Track.REVISED],
        differing_reasons=[a.index for a, b in both if a.quality.reason is not b.quality.reason],
        differing_derivations=[
            a.index for a, _ in both if a.derivation.name != again.session.derivation
        ],
        largest_p_live=largest[Track.LIVE],
        largest_p_revised=largest[Track.REVISED],
        scored=sum(a.quality.reason is None for a, _ in both),
        signal_rms_uv=_root(power),
        rms_uv=_root(rms),
        worst_rms_uv=float(np.sqrt(max(rms))),
        rest_rms_uv=_root(rest),
        delay_us=(1e6 * float(np.median(delays)), 1e6 * max(delays, key=abs)),
        lag_samples=max(lags, key=abs),
        rms_of_delay_uv=rms_of_delay_uv,
        cost=cost,
    )


def small_delay(x: F64, y: F64) -> tuple[float, F64]:
    """By how many seconds ``y`` is later than ``x``, for delays far below a sample, and what that
    does not explain of ``y``."""
    slope = np.gradient(x) * SFREQ_HZ
    delay_s = -float(slope @ (y - x) / (slope @ slope)) if slope.any() else 0.0
    return delay_s, y - x + delay_s * slope


def delayed(recording: Path, again: Night, delay_s: float) -> float:
    """The rms that a constant delay of all samples makes, microvolts: the conditioning alone, on
    the first half hour."""
    file = EdfRecording.open(recording)
    derivation = choose_derivation(file.channels, again.session.derivation)
    path = Conditioner(
        Montage.of_one(derivation.name),
        derivation.sfreq_hz,
        again.session.start_s,
        again.session.start_utc,
        Gain(again.session.gain),
    )
    epochs: list[Epoch] = []
    for chunk in file.chunks(derivation):
        if len(epochs) >= min(60, len(again.epochs) - 1):
            break
        epochs += path.push(replace(chunk, times_s=chunk.times_s + delay_s))
    pairs = zip(epochs, again.epochs, strict=False)
    return _root([float(np.nanmean((a.staged_uv - b.staged_uv) ** 2)) for a, b in pairs])


def _differing(one: Sequence[StagePrediction], two: Sequence[StagePrediction]) -> list[int]:
    return [a.epoch_index for a, b in zip(one, two, strict=False) if a.stage is not b.stage]


def _largest(one: Sequence[StagePrediction], two: Sequence[StagePrediction]) -> float:
    pairs = [
        (a.probabilities, b.probabilities)
        for a, b in zip(one, two, strict=False)
        if a.probabilities and b.probabilities
    ]
    return float(np.max(np.abs(np.subtract(*np.array(pairs).swapaxes(0, 1))))) if pairs else 0.0


def _root(squares: Sequence[float]) -> float:
    return float(np.sqrt(np.mean(squares)))


def _pair(numbers: tuple[int, int]) -> str:
    return " and ".join(map(str, numbers))


def _told(epochs: Sequence[int]) -> str:
    return f"{len(epochs)}: {', '.join(map(str, epochs))}" if epochs else "0"


def excerpt(minutes: float, folder: Path, speed: float = 1.0) -> Equality:
    """The beginning of the shipped recording of real sleep, sent at its true rate."""
    recording = folder / "excerpt.edf"
    with as_file(files("monitor") / "demo" / "excerpt.edf") as whole:
        signal = read_edf(whole).signals[0]
    part = EdfSignal.from_digital(
        signal.digital[: round(minutes * 60 * signal.sampling_frequency)],
        signal.sampling_frequency,
        label=signal.label,
        physical_dimension=signal.physical_dimension,
        physical_range=signal.physical_range,
        digital_range=signal.digital_range,
    )
    Edf([part]).write(recording)
    sent = ("--edf", str(recording), "--speed", f"{speed:g}")
    what = f"{minutes:g} min of real sleep, {signal.sampling_frequency:g} Hz, speed {speed:g}"
    return _both(what, folder, recording, sent, ())


def night(hours: float, folder: Path, speed: float, seed: int = 1) -> Equality:
    """A made-up night of a headband, compressed."""
    recording = folder / "night.bdf"
    made = MadeUpNight(3600.0 * hours, CHANNELS, RATE_HZ, seed)
    _write_bdf(made, recording)
    sent = (
        *("--night", f"{3600.0 * hours:g}", "--rate", f"{RATE_HZ:g}"),
        *("--channels", ",".join(CHANNELS), "--seed", str(seed), "--speed", f"{speed:g}"),
    )
    what = f"{hours:g} h made up, {len(CHANNELS)} channels at {RATE_HZ:g} Hz, speed {speed:g}"
    return _both(what, folder, recording, sent, ("--channel", DERIVATION))


def _write_bdf(made: MadeUpNight, path: Path) -> None:
    """24 bits, or quantisation would be all that differs."""
    step_uv = 2.0 * RANGE_UV / 2**24
    digital = np.empty((len(made.channels), made.n_samples), np.int32)
    for start in range(0, made.n_samples, 1 << 18):
        part = made.read(start, min(start + (1 << 18), made.n_samples)).astype(np.float64)
        assert np.abs(part).max() < RANGE_UV
        digital[:, start : start + part.shape[1]] = np.rint(part / step_uv)
    signals = [
        BdfSignal.from_digital(
            row,
            made.rate_hz,
            label=name,
            physical_dimension="uV",
            physical_range=(-RANGE_UV, RANGE_UV - step_uv),
            digital_range=(-(2**23), 2**23 - 1),
        )
        for name, row in zip(made.channels, digital, strict=True)
    ]
    Bdf(signals).write(path)


def _both(
    what: str, folder: Path, recording: Path, sent: Sequence[str], replayed: Sequence[str]
) -> Equality:
    env = environment(folder)
    store, again = folder / "live.sqlite", folder / "replay.sqlite"
    peak_mb = cpu_s = 0.0
    began_s = time.monotonic()
    # An id of its own: LSL looks for a stream that is gone in all sessions.
    own = ("--source-id", f"equality-{os.getpid()}")
    with MonitorProgram(folder, env, store, "none", *own) as monitor:
        arguments = (*own, *sent, "--wait-consumer", "--until-killed")
        with HeadbandProgram(folder, env, *arguments) as headband:

            def ended() -> bool:
                nonlocal peak_mb, cpu_s
                if (now := usage(monitor.process.pid)) is not None:
                    peak_mb, cpu_s = max(peak_mb, now.rss_mb), now.cpu_s
                return bool(headband.told("end"))

            wait_for(lambda: bool(headband.told("start")), "a start", 90.0, monitor)
            (start,) = headband.told("start")
            seconds = start["n_samples"] / start["rate_hz"] / start["speed"] + 120.0
            wait_for(
                ended,
                "the end",
                seconds,
                monitor,
            )
            if start["speed"] > 1.0:
                wait_until_idle(store, 3.0, 300.0)
            else:
                time.sleep(2.0)
            ended()
            assert monitor.end() == 0, monitor.said()
    cost = Cost(time.monotonic() - began_s, cpu_s, peak_mb)
    command = ("replay", str(recording), "--grid", "start", "--store", str(again), *replayed)
    done = subprocess.run(
        [sys.executable, "-m", "monitor.cli", *command, "--no-redis", "--no-dashboard"],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (folder / "replay.out").write_text(done.stdout)
    (folder / "replay.err").write_text(done.stderr)
    replayed_night = Night.read(again)
    noise = {us: delayed(recording, replayed_night, 1e-6 * us) for us in DELAYS_US}
    return compare(Night.read(store), replayed_night, what, start["t0_utc"], noise, cost)


def main() -> None:
    parser = argparse.ArgumentParser(prog="equality", description=__doc__)
    parser.add_argument("what", choices=("excerpt", "night"))
    parser.add_argument("--minutes", type=float, default=12.0, help="of the excerpt")
    parser.add_argument("--hours", type=float, default=8.0, help="of the night")
    parser.add_argument("--speed", type=float, help="default: 1 for the excerpt, 60 for the night")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    folder = options.out / options.what
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if options.what == "excerpt":
        result = excerpt(options.minutes, folder, options.speed or 1.0)
    else:
        result = night(options.hours, folder, options.speed or 60.0)
    (folder / "equality.json").write_text(json.dumps(asdict(result), indent=2) + "\n")
    (folder / "equality.md").write_text(result.markdown())
    print(result.markdown())


if __name__ == "__main__":
    main()
