"""The start times of data records: rounding is no gap, and a gap is no rounding."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from monitor.errors import InputError
from monitor.sources.derivation import choose_derivation
from monitor.sources.edf import EdfRecording
from tests.edf_files import Signal, make_discontinuous, patch_header, ramp, write_edf

WIDE = "widens the annotation field"
RECORD_S = 0.3125
PER_RECORD = 80
N_RECORDS = 600
EVEN_S = RECORD_S * np.arange(N_RECORDS)
LATE_S = EVEN_S + 12000.0  # eight characters leave two decimals here


def eight_characters(at_s: float) -> float:
    return float(f"{at_s:.8f}"[:8])


def gap(after: int, length_s: float) -> np.ndarray:
    """Return what a gap adds to the start time of each record."""
    return np.where(np.arange(N_RECORDS) >= after, length_s, 0.0)


def recorded(path: Path, onsets_s: Sequence[float | None], *, kind: str = "EDF+C") -> EdfRecording:
    """Open a recording whose data records state ``onsets_s``."""
    write_edf(
        path,
        [Signal("EEG", ramp(len(onsets_s) * PER_RECORD), PER_RECORD / RECORD_S)],
        annotations=[(0.0, None, WIDE)],
        record_s=RECORD_S,
        bdf=kind.startswith("BDF"),
    )
    # The text made the field wide; without it, there is room for any start time.
    text = f"+0\x14{WIDE}\x14".encode()
    path.write_bytes(path.read_bytes().replace(text, bytes(len(text))))
    return EdfRecording.open(patch_header(make_discontinuous(path, onsets_s), reserved=kind))


def times_of(recording: EdfRecording) -> np.ndarray:
    """Return the times (n,) of all samples; every sample comes once."""
    chunks = [*recording.chunks(choose_derivation(recording.channels), chunk_s=60.0)]
    data_uv = np.concatenate([chunk.data_uv[0] for chunk in chunks])
    np.testing.assert_array_equal(data_uv, ramp(data_uv.size))
    return np.concatenate([chunk.times_s for chunk in chunks])


def notes_of(recording: EdfRecording) -> list[str]:
    return recording.notes(choose_derivation(recording.channels))


@pytest.mark.parametrize("first_s", [-0.75, None], ids=["stated", "not stated"])
def test_the_samples_before_time_zero_are_read(tmp_path: Path, first_s: float | None) -> None:
    onsets_s = [first_s, *(-0.75 + EVEN_S[1:]).tolist()]
    recording = recorded(tmp_path / "night.edf", onsets_s)
    times_s = times_of(recording)
    assert times_s.size == N_RECORDS * PER_RECORD
    assert recording.first_sample_s == times_s[0] == -0.75


INEXACT: dict[str, Callable[[float], float]] = {
    "eight characters": eight_characters,
    "two decimals": lambda at_s: round(at_s, 2),
    "a tenth": lambda at_s: round(at_s, 1),
    "whole seconds": math.floor,
    "whole seconds, rounded up": math.ceil,
    "zero": lambda at_s: 0.0,
    "from zero every minute": lambda at_s: at_s % 60.0,
}


@pytest.mark.parametrize("kind", ["EDF+C", "BDF+C"])
@pytest.mark.parametrize("rounding", INEXACT)
def test_inexact_start_times_cut_no_continuous_recording(
    tmp_path: Path, rounding: str, kind: str
) -> None:
    onsets_s = [INEXACT[rounding](at_s) for at_s in LATE_S]
    recording = recorded(tmp_path / "night.edf", onsets_s, kind=kind)
    times_s = times_of(recording)
    expected_s = onsets_s[0] + np.arange(times_s.size) * RECORD_S / PER_RECORD
    np.testing.assert_allclose(times_s, expected_s, atol=1e-6)
    notes = notes_of(recording)
    assert len(notes) == 1
    assert "interrupted" not in notes[0]


@pytest.mark.parametrize("kind", ["EDF+C", "EDF+D", "BDF+D"])
@pytest.mark.parametrize("rounding", ["eight characters", "two decimals", "a tenth"])
def test_a_gap_counts_among_rounded_start_times(tmp_path: Path, rounding: str, kind: str) -> None:
    true_s = LATE_S + gap(100, 2.0) + gap(400, 5.0)
    recording = recorded(
        tmp_path / "night.edf", [INEXACT[rounding](at_s) for at_s in true_s], kind=kind
    )
    expected_s = true_s[:, np.newaxis] + np.arange(PER_RECORD) * RECORD_S / PER_RECORD
    np.testing.assert_allclose(times_of(recording), expected_s.ravel(), atol=0.101)
    assert notes_of(recording)[-1].startswith("The recording is interrupted 2 times, for 7")


def test_a_gap_counts_among_whole_seconds(tmp_path: Path) -> None:
    onsets_s = np.floor(EVEN_S + gap(100, 60.0))
    times_s = times_of(recorded(tmp_path / "night.edf", onsets_s.tolist()))
    assert np.max(np.diff(times_s)) == pytest.approx(60.0, abs=1.0)
    assert np.count_nonzero(np.diff(times_s) > 0.1) == 1


def test_a_gap_counts_where_start_times_count_anew(tmp_path: Path) -> None:
    onsets_s = (EVEN_S + gap(100, 10.0)) % 90.0
    recording = recorded(tmp_path / "night.edf", onsets_s.tolist())
    steps_s = np.diff(times_of(recording))
    assert np.flatnonzero(steps_s > 0.1).tolist() == [100 * PER_RECORD - 1]
    assert notes_of(recording) == [
        "The start times of the data records count anew 2 times: the recording counts as "
        "continuous there.",
        "The recording is interrupted once, for 10 s in all.",
    ]


# A last record that is late may be true.
@pytest.mark.parametrize(
    ("record", "wrong_s"),
    [(record, wrong_s) for record in (0, 300) for wrong_s in (0.0, 5000.0, 9e9, -9e9, 1.7e9)]
    + [(599, 0.0), (599, 9e9)],
)
def test_one_wrong_start_time_moves_nothing(tmp_path: Path, record: int, wrong_s: float) -> None:
    onsets_s = EVEN_S.tolist()
    onsets_s[record] = wrong_s
    times_s = times_of(recorded(tmp_path / "night.edf", onsets_s))
    np.testing.assert_allclose(times_s, np.arange(times_s.size) * RECORD_S / PER_RECORD, atol=1e-9)


@pytest.mark.parametrize("creep", [0.9999, 1.0001])
def test_a_rounded_record_duration_cuts_nothing(tmp_path: Path, creep: float) -> None:
    onsets_s = creep * RECORD_S * np.arange(3200)
    recording = recorded(tmp_path / "night.edf", onsets_s.tolist())
    np.testing.assert_allclose(np.diff(times_of(recording)), RECORD_S / PER_RECORD)
    assert notes_of(recording) == [
        "The start times of the data records are inexact, by up to 0.1 s: the sampling rate counts."
    ]


def test_every_record_may_follow_a_gap(tmp_path: Path) -> None:
    onsets_s = (4 * EVEN_S).tolist()
    recording = recorded(tmp_path / "night.edf", onsets_s)
    np.testing.assert_allclose(times_of(recording)[::PER_RECORD], onsets_s)
    assert "interrupted 599 times" in notes_of(recording)[0]


def test_start_times_beyond_a_year_do_not_count(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "night.edf", (EVEN_S + 1.7e9).tolist())
    assert (recording.first_sample_s, recording.duration_s) == (0.0, N_RECORDS * RECORD_S)
    assert notes_of(recording) == [
        "600 of 600 data records state no start time that can be read: the recording counts as "
        "continuous there."
    ]


@pytest.mark.parametrize("onsets_s", [[0.0] * N_RECORDS, (EVEN_S % 60.0).tolist()])
def test_a_discontinuous_recording_needs_its_start_times(
    tmp_path: Path, onsets_s: list[float]
) -> None:
    with pytest.raises(InputError, match="not after the one before it"):
        recorded(tmp_path / "night.edf", onsets_s, kind="EDF+D")
