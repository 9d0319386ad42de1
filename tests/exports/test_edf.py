"""An exported EDF+ is the night: read back by edfio, MNE, pyedflib and our own reader."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import edfio
import mne
import numpy as np
import pytest

from models.contract import STAGES
from monitor.exports.edf_plus import DIGITAL_MAX, limit_uv
from monitor.sources.derivation import choose_derivation
from monitor.sources.edf import EdfRecording
from monitor.sources.expert import expert_hypnogram
from monitor.sources.hypnogram import stages_on_grid
from monitor.types import Mark, MarkKind, Track
from tests.exports.nights import (
    COMMAND,
    LOST,
    LOST_OF_ONE,
    N_EPOCHS,
    NOTE,
    WEIGHTS,
    ZONE,
    Made,
    exported,
    make_night,
)

STARTS = {
    "two hundredths before midnight": datetime(2026, 11, 26, 22, 59, 59, 980000, UTC),
    "a microsecond": datetime(2026, 1, 1, 21, 0, 0, 1, UTC),
    "a whole second": datetime(2026, 7, 1, 20, 30, tzinfo=UTC),
    "most of a second": datetime(2026, 11, 26, 22, 10, 7, 999999, UTC),
}


@pytest.fixture(params=STARTS.values(), ids=STARTS)
def night(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    return make_night(tmp_path / "n.sqlite", request.param)


def texts(night: Made) -> list[tuple[float, str]]:
    stages = [(30.0 * i, f"Sleep stage {stage or '?'}") for i, stage in enumerate(night.stages)]
    marks = [(-5.0, "Lights off"), (61.25, f"Note: {' '.join(NOTE.split())}")]
    return sorted([*stages, *marks, (90.0, "Note: Sleep stage N3"), (300.0, "Lights on")])


def test_edfio_reads_start_channels_samples_and_annotations(night: Made) -> None:
    edf = edfio.read_edf(exported(night, "edf", ".edf"))
    start = night.session.start_utc.astimezone(ZONE)
    assert (edf.startdate, edf.starttime) == (start.date(), start.time())
    assert [signal.label for signal in edf.signals] == ["EEG AF7-TP9", "AF8, a?\"&<>'"]
    assert {signal.sampling_frequency for signal in edf.signals} == {100.0}
    for signal, uv in zip(edf.signals, night.signal_uv, strict=True):
        lost = np.isnan(uv)
        assert np.all(np.abs(signal.data[lost]) < 1e-9)
        np.testing.assert_allclose(signal.data[~lost], uv[~lost], atol=0.06)
    found = [(round(a.onset, 5), a.text) for a in edf.annotations]
    assert set(texts(night)) < set(found)
    losses = [(a.onset, a.duration, a.text) for a in edf.annotations if "BAD_ACQ_SKIP" in a.text]
    channel = "@@AF8, a?\"&<>'"
    expected = [*((each, "") for each in LOST), (LOST_OF_ONE, channel)]
    for (onset, duration, text), ((first, stop), end) in zip(losses, expected, strict=True):
        assert text == f"BAD_ACQ_SKIP{end}"
        assert (onset, duration) == pytest.approx((first / 100, (stop - first) / 100), abs=1e-5)


def test_the_header_and_the_first_annotations_say_who_made_it(night: Made) -> None:
    edf = edfio.read_edf(exported(night, "edf", ".edf"))
    made = [a.text for a in edf.annotations if a.text.startswith("Provenance")]
    facts = json.loads(next(t for t in made if "{" in t).removeprefix("Provenance: "))
    assert facts["weights_sha256"] == WEIGHTS
    assert (facts["gain"], facts["derivation"], facts["track"]) == (
        "known",
        "EEG AF7-TP9",
        "revised",
    )
    assert facts["clock"] == "local time, UTC+01:00 at the start"
    assert f"Provenance, command: {COMMAND}" in made
    assert edf.patient.name == "Zoe_B."
    assert edf.recording.equipment_code.startswith("sleep-monitor_")
    assert edf.recording.additional == ("UTC+01:00",)


def test_mne_reads_the_night_and_leaves_out_what_is_lost(night: Made) -> None:
    raw = mne.io.read_raw_edf(exported(night, "edf", ".edf"), verbose="error")
    known = raw.get_data(picks=[0], reject_by_annotation="NaN")[0] * 1e6
    uv = night.signal_uv[0]
    np.testing.assert_array_equal(np.isnan(known), np.isnan(uv) | np.isnan(night.signal_uv[1]))
    np.testing.assert_allclose(known[~np.isnan(known)], uv[~np.isnan(known)], atol=0.06)
    found = [
        (round(float(a["onset"]), 4), str(a["description"]))
        for a in raw.annotations
        if "Sleep stage" in a["description"] or "Lights on" in a["description"]
    ]
    assert found == [each for each in texts(night) if "Sleep" in each[1] or "Lights on" in each[1]]


def test_mne_lays_the_hypnogram_on_the_recording(night: Made) -> None:
    raw = mne.io.read_raw_edf(exported(night, "edf", ".edf"), verbose="error")
    hypnogram = exported(night, "hypnogram-edf", "-Hypnogram.edf")
    raw.set_annotations(mne.read_annotations(hypnogram), emit_warning=False)
    found = [
        (round(float(a["onset"]), 4), str(a["description"]))
        for a in raw.annotations
        if str(a["description"]).startswith("Sleep stage")
    ]
    assert found == [each for each in texts(night) if each[1].startswith("Sleep stage")]


@pytest.mark.parametrize("name", ["edf", "hypnogram-edf"])
def test_pyedflib_reads_it(night: Made, name: str) -> None:
    pyedflib = pytest.importorskip("pyedflib")
    ending = ".edf" if name == "edf" else "-Hypnogram.edf"
    with pyedflib.EdfReader(str(exported(night, name, ending))) as edf:
        start = night.session.start_utc.astimezone(ZONE)
        found = edf.getStartdatetime().replace(microsecond=0)  # its microseconds are wrong (0.1.42)
        assert found == start.replace(microsecond=0, tzinfo=None)
        assert edf.starttime_subsecond == start.microsecond * 10
        onsets, durations, words = edf.readAnnotations()
        notes = zip(onsets.round(4).tolist(), map(str, words), strict=True)
        assert set(texts(night)) < set(notes)
        assert durations[[str(word) == "Sleep stage N1" for word in words]].tolist() == [30.0] * 3
        if name == "edf":
            for n, uv in enumerate(night.signal_uv):
                lost = np.isnan(uv)
                np.testing.assert_allclose(edf.readSignal(n)[~lost], uv[~lost], atol=0.06)


def test_wonambi_reads_the_samples(night: Made) -> None:
    """It takes the start in whole seconds, and lays the annotations that fraction too late."""
    wonambi = pytest.importorskip("wonambi")
    data = wonambi.Dataset(str(exported(night, "edf", ".edf")))
    assert data.header["n_samples"] == 3000 * N_EPOCHS
    read = data.read_data(begtime=0, endtime=30).data[0]
    np.testing.assert_allclose(read, night.signal_uv[:, :3000], atol=0.06)
    rest_s = night.session.start_utc.microsecond / 1e6
    stages = [each["start"] for each in data.read_markers() if "Sleep stage N2" in each["name"]]
    assert round(stages[0] - rest_s, 4) == 60.0


def test_our_own_reader_takes_lost_samples_for_lost(night: Made) -> None:
    recording = EdfRecording.open(exported(night, "edf", ".edf"))
    start = night.session.start_utc.astimezone(ZONE)
    assert recording.start_utc.replace(tzinfo=None) == start.replace(microsecond=0, tzinfo=None)
    assert recording.first_sample_s == pytest.approx(start.microsecond / 1e6)
    for n, channel in enumerate(recording.channels):
        derivation = choose_derivation(recording.channels, channel.name)
        uv = night.signal_uv[n]
        for chunk_s in (1.0, 1000.0):
            chunks = list(recording.chunks(derivation, chunk_s))
            places = np.concatenate([each.times_s for each in chunks]) - recording.first_sample_s
            kept = np.rint(places * 100).astype(int)
            np.testing.assert_array_equal(kept, np.flatnonzero(~np.isnan(uv)))
            read = np.concatenate([each.data_uv[0] for each in chunks])
            np.testing.assert_allclose(read, uv[kept], atol=0.06)
        assert any("interrupted" in note for note in recording.notes(derivation))


@pytest.mark.parametrize("track", Track)
def test_our_own_hypnogram_is_the_stages_on_the_epochs(night: Made, track: Track) -> None:
    end = "" if track is Track.REVISED else "-live"
    recording = EdfRecording.open(exported(night, "edf", f"{end}.edf", track=track))
    exported(night, "hypnogram-edf", "", track=track)
    for path in (recording.path, recording.path.with_name(f"n{end}-Hypnogram.edf"), None):
        hypnogram = expert_hypnogram(recording, path)
        assert hypnogram is not None
        found = stages_on_grid(hypnogram, recording.first_sample_s, N_EPOCHS)
        assert list(found) == (night.stages if track is Track.REVISED else night.live)


def test_many_marks_and_channels_fit(tmp_path: Path) -> None:
    """A thousand notes in one minute, 40 channels, and labels that repeat when they are cut."""
    start = datetime(2026, 11, 26, 22, 0, tzinfo=UTC)
    marks = [
        Mark(MarkKind.NOTE, start + timedelta(seconds=60 * i / 1000), f"{i} {'long ' * 30}".strip())
        for i in range(1000)
    ]
    names = tuple(f"an electrode of number {i}" for i in range(40))
    night = make_night(tmp_path / "n.sqlite", start, channels=names, n_epochs=3, marks=marks)
    edf = edfio.read_edf(exported(night, "edf", ".edf"))
    assert len({signal.label for signal in edf.signals}) == 40
    assert sum(a.text.startswith("Note: ") for a in edf.annotations) == 1000
    assert edf.data_record_duration == 5.0
    hypnogram = edfio.read_edf(exported(night, "hypnogram-edf", "-Hypnogram.edf"))
    assert hypnogram.num_data_records > 1
    assert sum(a.text.startswith("Note: ") for a in hypnogram.annotations) == 1000


@pytest.mark.parametrize(
    ("largest", "typical", "limit"),
    [
        (0.0, 0.0, 0.01),
        (512.34, 12.0, 512.4),
        (40_000.0, 12.0, 3276.0),
        (40_000_000.0, 1e6, 9_999_999.0),
        (123_456.7, 5000.0, 123_500.0),
        (0.012345, 0.001, 0.01235),
    ],
)
def test_limits_keep_a_tenth_of_a_microvolt_and_fit_the_header(
    largest: float, typical: float, limit: float
) -> None:
    assert limit_uv(largest, typical) == pytest.approx(limit)
    text = f"-{limit_uv(largest, typical):.8g}"
    assert len(text) <= 8
    assert float(text) == -limit_uv(largest, typical)
    if largest < 3276:
        assert limit_uv(largest, typical) / DIGITAL_MAX <= 0.1


def test_an_artefact_is_clipped_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    uv = np.full((1, 6000), 10.0, np.float32)
    uv[0, 100:110] = [-90_000.0, 90_000.0] * 5
    night = make_night(tmp_path / "n.sqlite", channels=("AF7",), n_epochs=2, signal_uv=uv)
    edf = edfio.read_edf(exported(night, "edf", ".edf"))
    assert edf.signals[0].data[100:102].tolist() == [-3276.0, 3276.0]
    assert edf.signals[0].data[99] == pytest.approx(10.0, abs=0.06)
    assert "Larger values are clipped in EDF: AF7 at 3276 uV" in caplog.text
    assert any("AF7 at 3276 uV" in a.text for a in edf.annotations)


def test_long_names_and_commands_are_whole_in_annotations_of_a_length_that_edflib_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = f"sleep-monitor live lsl {'x' * 900}"
    monkeypatch.setattr("tests.exports.nights.COMMAND", command)
    night = make_night(tmp_path / "n.sqlite", channels=("ü" * 200,), n_epochs=1)
    edf = edfio.read_edf(exported(night, "hypnogram-edf", "-Hypnogram.edf"))
    made = [a.text for a in edf.annotations if a.text.startswith("Provenance")]
    assert max(len(text.encode()) for text in made) <= 512
    pieces = [t.split(": ", 1)[1] for t in made if t.startswith("Provenance, command")]
    assert sorted("".join(pieces)) == sorted(command)


def test_a_replay_has_the_clock_of_its_recorder(tmp_path: Path) -> None:
    night = make_night(tmp_path / "n.sqlite", live=False, stages=[*STAGES] * 2, n_epochs=10)
    edf = edfio.read_edf(exported(night, "edf", ".edf"))
    assert (edf.startdate, edf.starttime) == (
        night.session.start_utc.date(),
        night.session.start_utc.time(),
    )
    assert edf.recording.additional == ()
