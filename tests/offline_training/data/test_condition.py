"""Training reads the same samples as the monitor, bit for bit."""

from __future__ import annotations

from datetime import date, time
from pathlib import Path

import numpy as np
import pytest

from monitor.clock import ManualClock
from monitor.conditioning.conditioner import Conditioner
from monitor.config import ReplayOptions
from monitor.replay import Replay
from monitor.staging.stager import Stager
from monitor.types import F32, Bool, Montage, Reason
from offline_training.data.condition import ConditionedNight, SourceRecording, condition
from offline_training.data.licences import PRIVATE
from tests.edf_files import Signal, make_discontinuous, write_edf
from tests.nights import EXCERPT, backend
from tests.offline_training.data.nights import eeg, stages


class RecordingBackend:
    """The default backend; it keeps every epoch that it encodes."""

    def __init__(self) -> None:
        self._backend = backend()
        self.contract = self._backend.contract
        self.encoded: list[F32] = []

    def encode(self, epochs_uv: F32) -> F32:
        self.encoded.append(epochs_uv[0].copy())
        return self._backend.encode(epochs_uv)

    def stage(self, embeddings: F32, scored: Bool) -> tuple[F32, F32]:
        return self._backend.stage(embeddings, scored)


def staged(recording: Path, hypnogram: Path | None) -> list[F32 | Reason]:
    """Replay at 60x; return each epoch's network input, or the reason why it is not staged."""
    clock = ManualClock()
    run = Replay.prepare(ReplayOptions(recording, hypnogram=hypnogram, speed=60.0))
    session = run.session
    conditioner = Conditioner(
        Montage.of_one(session.derivation),
        session.sfreq_hz,
        session.start_s,
        session.start_utc,
        run.options.gain,
    )
    recorder = RecordingBackend()
    stager = Stager(recorder, clock)
    inputs: list[F32 | Reason] = []
    epochs = [e for chunk in run.chunks(clock, from_s=0.0) for e in conditioner.push(chunk)]
    for epoch in epochs + conditioner.finish():
        stager.push([epoch])
        inputs.append(epoch.quality.reason or recorder.encoded[-1])
    return inputs


def prepared(
    recording: Path, hypnogram: Path | None = None, wake_min: float | None = None
) -> ConditionedNight:
    return condition(
        SourceRecording("folder", "night", "folder-1", PRIVATE, recording, hypnogram, (), wake_min)
    )


def assert_same(night: ConditionedNight, replayed: list[F32 | Reason]) -> None:
    assert len(night.epochs_uv) == len(night.stages) == len(replayed)
    reasons = {epoch: reason for reason, epochs in night.unusable.items() for epoch in epochs}
    for epoch, expected in enumerate(replayed):
        if isinstance(expected, Reason):
            assert reasons[epoch] == expected.value
            assert not night.epochs_uv[epoch].any()
        else:
            assert epoch not in reasons
            assert np.array_equal(night.epochs_uv[epoch], expected)


def test_real_sleep() -> None:
    night = prepared(EXCERPT)
    assert night.origin_s == pytest.approx(10.01)
    assert_same(night, staged(EXCERPT, None))


@pytest.mark.parametrize("sfreq_hz", [100.0, 125.0, 256.0])
def test_any_rate_with_losses_and_a_dead_electrode(tmp_path: Path, sfreq_hz: float) -> None:
    """The recording has two gaps and two bad stretches, and another grid than its hypnogram.

    The gaps last 6 s (bridged) and 20 s (unusable). One stretch is flat, one is beyond 500 uV.
    """
    signal = eeg("EEG Fpz-Cz", 10, sfreq_hz)
    signal.digital[round(130 * sfreq_hz) : round(165 * sfreq_hz)] = 3
    signal.digital[round(240 * sfreq_hz) : round(280 * sfreq_hz)] *= 15
    path = write_edf(
        tmp_path / "night.edf",
        [signal],
        annotations=[(7.0, 60.0, "Sleep stage W"), (67.0, 200.0, "Sleep stage N2")],
        record_s=1.0,
    )
    onsets_s = [i + 6 * (i >= 50) + 20 * (i >= 190) for i in range(300)]
    make_discontinuous(path, onsets_s)
    night = prepared(path)
    assert night.origin_s == 7.0
    assert set(night.unusable) == {"flat", "missing", "amplitude"}
    assert len(night.stages) == 10
    assert 1 not in [epoch for epochs in night.unusable.values() for epoch in epochs]
    assert np.isfinite(night.epochs_uv).all()
    assert_same(night, staged(path, None))


def test_a_trimmed_night_is_a_slice_of_the_whole(tmp_path: Path) -> None:
    annotations = stages((4, "Sleep stage W"), (2, "Sleep stage 2"), (4, "Sleep stage W"))
    signal: Signal = eeg("EEG Fpz-Cz", 10)
    path = write_edf(tmp_path / "night.edf", [signal], annotations=annotations)
    whole, trimmed = prepared(path), prepared(path, wake_min=0.5)
    assert trimmed.first_epoch == 3
    assert trimmed.stages == whole.stages[3:7] == (0, 2, 2, 0)
    assert np.array_equal(trimmed.epochs_uv, whole.epochs_uv[3:7])


def test_a_hypnogram_may_cover_a_part_and_start_later(tmp_path: Path) -> None:
    night = write_edf(tmp_path / "a.edf", [eeg("EEG Fpz-Cz", 10)])
    scored = write_edf(
        tmp_path / "a-Hypnogram.edf",
        [],
        annotations=stages((1, "Sleep stage W"), (2, "Sleep stage N3")),
        start=(date(2024, 3, 9), time(22, 32)),
    )
    assert prepared(night, scored).stages == (-1, -1, -1, -1, 0, 3, 3, -1, -1, -1)
