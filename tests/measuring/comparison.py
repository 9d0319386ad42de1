"""A live night compared with a replay of the same samples, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.contract import SFREQ_HZ, Gain
from monitor.conditioning.conditioner import Conditioner
from monitor.sources.derivation import choose_derivation
from monitor.sources.edf import EdfRecording
from monitor.types import F64, Epoch, Montage, StagePrediction, Track
from tests.measuring.night_check import NightFile
from tests.measuring.truth import lag_samples

DELAY_EPOCHS = 60
"""The effect of a constant delay is measured on this many epochs, half an hour."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Resources that the live monitor used: wall clock, CPU time, and its largest memory."""

    wall_s: float
    cpu_s: float
    peak_mb: float


@dataclass(frozen=True, slots=True)
class Equality:
    """The differences of two nights, live and replayed. Pairs are (live, replayed).

    - ``origin_off_us``: live grid origin minus the time of the first sample, which the sender
      reports.
    - ``differing_*``: numbers of the epochs that differ. ``largest_p_*``: largest difference of a
      probability.
    - Microvolts of the stored signal: ``rms_uv`` of the difference, ``worst_rms_uv`` of the epoch
      that differs most, ``rest_rms_uv`` once every epoch is shifted by its best delay.
    - ``delay_us``: median and largest of those delays, microseconds. ``lag_samples``: the largest
      lag found by correlation.
    - ``rms_of_delay_uv``: the rms that a constant delay, in microseconds, makes in a replay. So a
      clock noise of that size explains a difference of this size.
    """

    title: str
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
        """Return the differences as a Markdown table."""
        rows = (
            ("epochs, live and replayed (scored)", f"{_pair(self.epochs)} ({self.scored})"),
            ("samples arrived", _pair(self.arrived)),
            ("grid samples filled; lost", f"{_pair(self.filled)}; {_pair(self.lost)}"),
            ("grid origin after the first sample", f"{self.origin_off_us:+.1f} us"),
            ("live stages that differ", _counted(self.differing_live)),
            ("revised stages that differ", _counted(self.differing_revised)),
            ("reasons that differ", _counted(self.differing_reasons)),
            ("derivations that differ", _counted(self.differing_derivations)),
            ("largest difference of a live probability", f"{self.largest_p_live:.2e}"),
            ("largest difference of a revised probability", f"{self.largest_p_revised:.2e}"),
            ("rms of the signal", f"{self.signal_rms_uv:.2f} uV"),
            (
                "rms of the difference; of the worst epoch",
                f"{self.rms_uv:.2e} uV; {self.worst_rms_uv:.2e} uV",
            ),
            (
                "live is later by, median; largest",
                f"{self.delay_us[0]:+.1f} us; {self.delay_us[1]:+.1f} us",
            ),
            ("rms of the difference without that delay", f"{self.rest_rms_uv:.2e} uV"),
            ("largest lag by correlation, in samples", f"{self.lag_samples:+.4f}"),
            (
                "rms that a constant delay makes",
                ", ".join(f"{us:+d} us: {rms:.1e} uV" for us, rms in self.rms_of_delay_uv.items()),
            ),
            (
                "live monitor",
                f"{self.cost.wall_s:.0f} s, {self.cost.cpu_s:.1f} s of CPU, "
                f"{self.cost.peak_mb:.0f} MB",
            ),
        )
        lines = [f"| {self.title} | |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)]
        return "\n".join(lines) + "\n"


@dataclass(slots=True)
class _SignalDifferences:
    """Mean squares, delays and lags of the epochs that both nights hold whole."""

    difference: list[float]
    rest: list[float]
    signal: list[float]
    delays_s: list[float]
    lags: list[float]


def compare(
    live: NightFile,
    replayed: NightFile,
    title: str,
    first_utc_s: float,
    rms_of_delay_uv: dict[int, float],
    cost: Cost,
) -> Equality:
    """Compare two nights. ``first_utc_s`` is when the first sample of ``live`` was measured."""
    both = list(zip(live.epochs, replayed.epochs, strict=False))
    signals = _compare_signals(both, replayed.session.derivation)
    tracks = {track: (live.predictions[track], replayed.predictions[track]) for track in Track}
    ledgers = [[epoch.ledger for epoch in night.epochs[: len(both)]] for night in (live, replayed)]
    arrived, filled, lost = (
        (sum(getattr(one, key) for one in ledgers[0]), sum(getattr(one, key) for one in ledgers[1]))
        for key in ("arrived", "filled", "lost")
    )
    return Equality(
        title=title,
        epochs=(len(live.epochs), len(replayed.epochs)),
        arrived=arrived,
        filled=filled,
        lost=lost,
        origin_off_us=1e6 * (live.session.start_s - first_utc_s),
        differing_live=_differing(*tracks[Track.LIVE]),
        differing_revised=_differing(*tracks[Track.REVISED]),
        differing_reasons=[a.index for a, b in both if a.quality.reason is not b.quality.reason],
        differing_derivations=[
            a.index for a, _ in both if a.derivation.name != replayed.session.derivation
        ],
        largest_p_live=_largest(*tracks[Track.LIVE]),
        largest_p_revised=_largest(*tracks[Track.REVISED]),
        scored=sum(a.quality.reason is None for a, _ in both),
        signal_rms_uv=_root(signals.signal),
        rms_uv=_root(signals.difference),
        worst_rms_uv=float(np.sqrt(max(signals.difference))),
        rest_rms_uv=_root(signals.rest),
        delay_us=(
            1e6 * float(np.median(signals.delays_s)),
            1e6 * max(signals.delays_s, key=abs),
        ),
        lag_samples=max(signals.lags, key=abs),
        rms_of_delay_uv=rms_of_delay_uv,
        cost=cost,
    )


def _compare_signals(both: Sequence[tuple[Epoch, Epoch]], derivation: str) -> _SignalDifferences:
    found = _SignalDifferences([], [], [], [], [])
    for a, b in both:
        live, replayed = a.staged_uv.astype(np.float64), b.staged_uv.astype(np.float64)
        whole = (np.isfinite(live) & np.isfinite(replayed)).all()
        if a.derivation.name != derivation or not whole:
            continue
        delay_s, rest_uv = small_delay(replayed, live)
        found.delays_s.append(delay_s)
        found.difference.append(float(np.mean((live - replayed) ** 2)))
        found.rest.append(float(np.mean(rest_uv**2)))
        found.signal.append(float(np.mean(replayed**2)))
        found.lags.append(lag_samples(live, replayed)[0])
    return found


def small_delay(x: F64, y: F64) -> tuple[float, F64]:
    """Return by how many seconds ``y`` is later than ``x``, and the part of ``y - x`` that this
    delay does not explain.

    Right for delays far below a sample: the slope of ``x`` stands for its difference.
    """
    slope = np.gradient(x) * SFREQ_HZ
    delay_s = -float(slope @ (y - x) / (slope @ slope)) if slope.any() else 0.0
    return delay_s, y - x + delay_s * slope


def rms_of_delay(recording: Path, replayed: NightFile, delay_s: float) -> float:
    """Return the rms, in microvolts, that a constant delay of all samples makes.

    Only the conditioning runs, on the first `DELAY_EPOCHS`.
    """
    file = EdfRecording.open(recording)
    derivation = choose_derivation(file.channels, replayed.session.derivation)
    conditioner = Conditioner(
        Montage.of_one(derivation.name),
        derivation.sfreq_hz,
        replayed.session.start_s,
        replayed.session.start_utc,
        Gain(replayed.session.gain),
    )
    epochs: list[Epoch] = []
    for chunk in file.chunks(derivation):
        if len(epochs) >= min(DELAY_EPOCHS, len(replayed.epochs) - 1):
            break
        epochs += conditioner.push(replace(chunk, times_s=chunk.times_s + delay_s))
    pairs = zip(epochs, replayed.epochs, strict=False)
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


def _counted(epochs: Sequence[int]) -> str:
    return f"{len(epochs)}: {', '.join(map(str, epochs))}" if epochs else "0"
