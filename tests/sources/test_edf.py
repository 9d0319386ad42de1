"""Every sample of a recording comes once, at its true time, in microvolts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.errors import InputError, MonitorError
from monitor.sources.derivation import RecordedDerivation, choose_derivation
from monitor.sources.edf import EdfRecording
from monitor.sources.recording import Annotation, StartDate
from monitor.types import EegChunk
from tests.edf_files import (
    Signal,
    make_discontinuous,
    patch_header,
    patch_signal,
    ramp,
    write_edf,
)

EXCERPT = Path(__file__).parents[2] / "monitor" / "demo" / "excerpt.edf"
ONSETS_S = [0.0, 1.0, 2.0, 2.5e3, 2501.0, 2502.125, 2503.125, 9000.0, 9001.0, 9002.0]
ROOM = [(0.0, None, "widens the annotation field")]


def joined(chunks: Iterable[EegChunk]) -> tuple[np.ndarray, np.ndarray]:
    """Return samples (n,) and times (n,) of a stream."""
    parts = list(chunks)
    return (
        np.concatenate([part.data_uv[0] for part in parts]),
        np.concatenate([part.times_s for part in parts]),
    )


def stream(path: Path, channel: str) -> tuple[np.ndarray, np.ndarray]:
    recording = EdfRecording.open(path)
    return joined(recording.chunks(choose_derivation(recording.channels, channel)))


@pytest.mark.parametrize("bdf", [False, True], ids=["EDF", "BDF"])
@pytest.mark.parametrize("annotated", [False, True], ids=["plain", "plus"])
def test_every_sample_comes_once_at_its_time(tmp_path: Path, bdf: bool, annotated: bool) -> None:
    n = 256 * 40
    path = write_edf(
        tmp_path / "night.edf",
        [Signal("EOG", ramp(n // 2), 128), Signal("EEG Fpz-Cz", ramp(n), 256)],
        annotations=ROOM if annotated else None,
        bdf=bdf,
    )
    recording = EdfRecording.open(path)
    assert [(c.name, c.sfreq_hz, c.unit, c.n_samples) for c in recording.channels] == [
        ("EOG", 128.0, "uV", n // 2),
        ("EEG Fpz-Cz", 256.0, "uV", n),
    ]
    assert recording.duration_s == 40.0
    assert recording.first_sample_s == 0.0
    assert recording.start_utc == datetime(2024, 3, 9, 22, 30, tzinfo=UTC)
    chunks = list(recording.chunks(choose_derivation(recording.channels)))
    assert {c.data_uv.shape for c in chunks} == {(1, 256)}
    assert {c.data_uv.dtype for c in chunks} == {np.dtype(np.float32)}
    assert {(c.channels, c.sfreq_hz) for c in chunks} == {(("EEG Fpz-Cz",), 256.0)}
    data_uv, times_s = joined(chunks)
    np.testing.assert_array_equal(data_uv, np.arange(n))
    np.testing.assert_array_equal(times_s, np.arange(n) / 256)


def test_24_bit_values_keep_their_last_bit(tmp_path: Path) -> None:
    values = np.arange(-(2**23), 2**23, 4099)[:4000]
    path = write_edf(tmp_path / "night.bdf", [Signal("EEG", values, 100)], bdf=True)
    np.testing.assert_array_equal(stream(path, "EEG")[0], values)


def test_slower_channels_keep_their_rate(tmp_path: Path) -> None:
    signals = [Signal("EMG", ramp(5120), 512), Signal("EEG Fz", ramp(1000), 100)]
    signals.append(Signal("EEG Cz", 2 * ramp(2560), 256))
    path = write_edf(tmp_path / "night.edf", signals)
    for signal in signals:
        data_uv, times_s = stream(path, signal.label)
        np.testing.assert_array_equal(data_uv, signal.digital)
        np.testing.assert_array_equal(times_s, np.arange(len(data_uv)) / signal.sfreq_hz)


@pytest.mark.parametrize("bdf", [False, True], ids=["EDF+D", "BDF+D"])
def test_a_discontinuous_recording_keeps_its_true_times(tmp_path: Path, bdf: bool) -> None:
    path = write_edf(
        tmp_path / "night.edf",
        [Signal("EEG Fz", ramp(1000), 100), Signal("EOG", ramp(500), 50)],
        annotations=ROOM,
        bdf=bdf,
    )
    make_discontinuous(path, ONSETS_S)
    recording = EdfRecording.open(path)
    derivation = choose_derivation(recording.channels)
    chunks = list(recording.chunks(derivation, chunk_s=0.7))
    data_uv, times_s = joined(chunks)
    np.testing.assert_array_equal(data_uv, np.arange(1000))
    np.testing.assert_allclose(
        times_s, np.repeat(ONSETS_S, 100) + np.tile(np.arange(100) / 100, 10), atol=1e-9
    )
    for chunk in chunks:  # no chunk spans a gap
        np.testing.assert_allclose(np.diff(chunk.times_s), 0.01, atol=1e-9)
    assert recording.duration_s == 9003.0
    assert recording.notes(derivation) == [
        "The recording is interrupted 3 times, for 2 h 29 min in all."
    ]


def test_the_onsets_decide_in_a_file_wrongly_marked_as_continuous(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "night.edf", [Signal("EEG", ramp(300), 100)], annotations=ROOM)
    patch_header(make_discontinuous(path, [0.0, 1.0, 61.0]), reserved="EDF+C")
    assert stream(path, "EEG")[1][[199, 200]].tolist() == [1.99, 61.0]
    recording = EdfRecording.open(path)
    assert recording.notes(choose_derivation(recording.channels)) == [
        "The recording is interrupted once, for 59 s in all."
    ]


@pytest.mark.parametrize("label", ["EDF annotations", "EDF Annotations2", "EDFAnnotations"])
def test_the_label_of_annotations_in_other_spellings(tmp_path: Path, label: str) -> None:
    notes = [(1.0, None, "Lights off")]
    path = write_edf(tmp_path / "n.edf", [Signal("EEG", ramp(300), 100)], annotations=notes)
    recording = EdfRecording.open(patch_signal(path, 1, label=label))
    assert [channel.name for channel in recording.channels] == ["EEG"]
    assert [each.text for each in recording.annotations] == ["Lights off"]


def test_a_continuous_file_may_lack_onsets(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "night.edf", [Signal("EEG", ramp(300), 100)], annotations=ROOM)
    patch_header(make_discontinuous(path, [0.0, None, 2.0]), reserved="EDF+C")
    np.testing.assert_array_equal(stream(path, "EEG")[1], np.arange(300) / 100)


def test_the_first_sample_may_come_a_fraction_of_a_second_after_the_start(tmp_path: Path) -> None:
    path = write_edf(
        tmp_path / "night.edf",
        [Signal("EEG", ramp(300), 100)],
        annotations=[(1.0, None, "Lights off")],
        start=(date(2024, 3, 9), time(22, 30, 5, 250_000)),
    )
    recording = EdfRecording.open(path)
    assert recording.start_utc == datetime(2024, 3, 9, 22, 30, 5, tzinfo=UTC)
    assert (recording.first_sample_s, recording.duration_s) == (0.25, 3.25)
    assert recording.annotations == (Annotation(1.25, 0.0, "Lights off"),)
    np.testing.assert_array_equal(stream(path, "EEG")[1], 0.25 + np.arange(300) / 100)


@pytest.fixture(scope="module")
def gapped(tmp_path_factory: pytest.TempPathFactory) -> EdfRecording:
    path = tmp_path_factory.mktemp("gapped") / "night.edf"
    write_edf(path, [Signal("EEG Fz", ramp(1280), 128)], annotations=ROOM)
    return EdfRecording.open(make_discontinuous(path, ONSETS_S))


@settings(deadline=None)
@given(chunk_s=st.floats(1e-3, 20.0), start_s=st.one_of(st.just(0.0), st.floats(-5.0, 9004.0)))
def test_how_the_recording_is_cut_changes_nothing(
    gapped: EdfRecording, chunk_s: float, start_s: float
) -> None:
    derivation = choose_derivation(gapped.channels)
    data_uv, times_s = joined(gapped.chunks(derivation))
    wanted = times_s >= start_s - 1e-8
    cut = [*gapped.chunks(derivation, chunk_s, start_s)]
    n = sum(chunk.times_s.size for chunk in cut)
    assert n == np.count_nonzero(wanted)
    if n:
        np.testing.assert_array_equal(joined(cut), (data_uv[wanted], times_s[wanted]))


def test_no_sample_is_lost_between_blocks_of_the_file(tmp_path: Path) -> None:
    n = 2_000_000  # 4 MB: the reader needs several blocks
    path = write_edf(tmp_path / "night.edf", [Signal("EEG", ramp(n, 29989), 250)], record_s=0.8)
    recording = EdfRecording.open(path)
    chunks = recording.chunks(choose_derivation(recording.channels), chunk_s=7.3)
    np.testing.assert_array_equal(joined(chunks)[0], np.arange(n) % 29989)


def test_a_derivation_is_the_difference_of_its_channels(tmp_path: Path) -> None:
    path = write_edf(
        tmp_path / "night.edf",
        [Signal("F3", ramp(1000), 100), Signal("M2", 4 + 0 * ramp(1000), 100, "mV", 0.125)],
    )
    recording = EdfRecording.open(path)
    chunk = next(recording.chunks(choose_derivation(recording.channels, "F3-M2"), chunk_s=10))
    assert chunk.channels == ("F3-M2",)
    np.testing.assert_allclose(chunk.data_uv[0], np.arange(1000) - 500, atol=1e-3)


@pytest.mark.parametrize(
    ("unit", "uv"),
    [
        ("uV", 1.0),
        ("UV", 1.0),
        ("\xb5V", 1.0),
        ("µV".encode(), 1.0),
        ("μV".encode(), 1.0),
        (b"\x83\xcaV", 1.0),
        ("mV", 1e3),
        ("V", 1e6),
        ("nV", 1e-3),
        ("", 1.0),
        ("MV", 1.0),
        ("counts", 1.0),
    ],
)
def test_the_result_is_microvolts(tmp_path: Path, unit: str | bytes, uv: float) -> None:
    path = write_edf(tmp_path / "night.edf", [Signal("EEG", ramp(200), 100, step=0.5)])
    data_uv, _ = stream(patch_signal(path, 0, unit=unit), "EEG")
    np.testing.assert_allclose(data_uv, np.arange(200) * 0.5 * uv, rtol=1e-6, atol=1e-6 * uv)


@pytest.mark.parametrize(
    ("unit", "problem"), [("", "has no unit"), ("%", "has the unit '%', which is not a voltage")]
)
def test_a_note_names_a_unit_that_is_guessed(tmp_path: Path, unit: str, problem: str) -> None:
    path = write_edf(tmp_path / "night.edf", [Signal("EEG", ramp(200), 100, unit)])
    recording = EdfRecording.open(path)
    assert recording.notes(choose_derivation(recording.channels)) == [
        f"Channel EEG {problem}: its values are taken as microvolts."
    ]


def test_an_inverted_channel_is_inverted_back(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "night.edf", [Signal("EEG", ramp(200), 100)])
    patch_signal(path, 0, physical_min="32768", physical_max="-32767")
    np.testing.assert_array_equal(stream(path, "EEG")[0], -np.arange(200))


def test_channels_with_the_same_label_get_numbers(tmp_path: Path) -> None:
    labels, names = ["EEG", "EEG", "EEG-1", "", "0"], ["EEG-0", "EEG-1", "EEG-1-0", "", "0"]
    signals = [Signal(label, (i + 1) * ramp(200), 100) for i, label in enumerate(labels)]
    path = write_edf(tmp_path / "night.edf", signals)
    assert [c.name for c in EdfRecording.open(path).channels] == names
    for name, signal in zip(names, signals, strict=True):
        np.testing.assert_array_equal(stream(path, name)[0], signal.digital)


def test_odd_texts_in_the_header_do_no_harm(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "night.edf", [Signal("EEG", ramp(200), 100)])
    patch_header(path, patient="X X X X weight=1=2 caf\xe9", startdate="........")
    patch_signal(path, 0, reserved=b"\xff\0\xff")
    np.testing.assert_array_equal(stream(path, "EEG")[0], np.arange(200))


def test_trigger_channels_are_not_offered(tmp_path: Path) -> None:
    signals = [Signal("A1", ramp(512), 256), Signal("Status", ramp(512), 256, "Boolean")]
    recording = EdfRecording.open(write_edf(tmp_path / "night.bdf", signals, bdf=True))
    assert [c.name for c in recording.channels] == ["A1"]


def test_a_file_that_the_recorder_never_closed(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "night.edf", [Signal("EEG", ramp(1000), 100)])
    patch_header(path, n_records="-1")
    path.write_bytes(path.read_bytes()[:-150])  # the last record is half written
    recording = EdfRecording.open(path)
    assert recording.duration_s == 9.0
    assert recording.notes(choose_derivation(recording.channels)) == [
        "The recorder did not close this file: its length, 9 s, is taken from the file's size."
    ]
    np.testing.assert_array_equal(stream(path, "EEG")[0], np.arange(900))


def test_a_note_reports_bytes_after_the_last_record(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "night.edf", [Signal("EEG", ramp(1000), 100)])
    path.write_bytes(path.read_bytes() + bytes(205))
    recording = EdfRecording.open(path)
    assert recording.notes(choose_derivation(recording.channels)) == [
        "205 bytes after the last data record are ignored."
    ]
    np.testing.assert_array_equal(stream(path, "EEG")[0], np.arange(1000))


@pytest.mark.parametrize(
    ("recording", "startdate", "starttime", "start", "known"),
    [
        ("Startdate 24-APR-1989 X X X", "24.04.89", "16.13.00", "1989-04-24T16:13:00", True),
        ("Startdate 24-apr-2091 X X X", "24.04.yy", "16.13.00", "2091-04-24T16:13:00", True),
        ("startdate 4-April-2021 X X X", "04.04.21", "16.13.00", "2021-04-04T16:13:00", True),
        ("Startdate 24-DEZ-2021 X X X", "24.12.21", "16.13.00", "2021-12-24T16:13:00", True),
        ("Startdate 31-FEB-2021 X X X", "24.12.21", "16.13.00", "2021-12-24T16:13:00", True),
        ("Startdate 31-DEC-9999 X X X", "24.12.21", "16.13.00", "2021-12-24T16:13:00", True),
        ("Startdate 31-DEC-9999 X X X", "31.12.yy", "16.13.00", "1985-01-01T16:13:00", False),
        ("Startdate 01-JAN-0001 X X X", "", "00.00.00", "1985-01-01T00:00:00", False),
        ("Startdate X X X X", "01.01.85", "22.05.00", "1985-01-01T22:05:00", False),
        ("a plain EDF", "31.12.84", "23.59.59", "2084-12-31T23:59:59", True),
        ("a plain EDF", "01.01.86", "23.59.59", "1986-01-01T23:59:59", True),
        ("a plain EDF", "2/3/2021", "22.30.15", "2021-03-02T22:30:15", True),
        ("a plain EDF", "2021-3-2", "22.30.15", "2021-03-02T22:30:15", True),
        ("a plain EDF", " 2. 3.21", " 9. 5. 3", "2021-03-02T09:05:03", True),
        ("a plain EDF", "02/03/21", "22/30/15", "2021-03-02T22:30:15", True),
        ("a plain EDF", "02-03-21", "22-30-15", "2021-03-02T22:30:15", True),
        ("a plain EDF", "02 03 21", "22 30 15", "2021-03-02T22:30:15", True),
        ("a plain EDF", "02.03.21", "22h30m15", "2021-03-02T22:30:15", True),
        ("a plain EDF", "020321", "223015", "2021-03-02T22:30:15", True),
        ("a plain EDF", "02.03.21", "22.30.75", "2021-03-02T22:30:00", False),
        ("a plain EDF", "02.03.21", "22:30", "2021-03-02T22:30:00", False),
        ("a plain EDF", "02.03.21", "22.61.00", "2021-03-02T22:00:00", False),
        ("a plain EDF", "02.03.21", "", "2021-03-02T00:00:00", False),
        ("a plain EDF", "02.03.21", "later", "2021-03-02T00:00:00", False),
        ("a plain EDF", "00.00.00", "22.30.15", "1985-01-01T22:30:15", False),
        ("a plain EDF", "31.02.21", "22.30.15", "1985-01-01T22:30:15", False),
        ("a plain EDF", "xx.xx.xx", "22.30.15", "1985-01-01T22:30:15", False),
        ("a plain EDF", "00.00.00", "00.00.00", "1985-01-01T00:00:00", False),
        ("a plain EDF", "", "", "1985-01-01T00:00:00", False),
        ("a plain EDF", "02:03:24", "25.00.00", "2024-03-02T00:00:00", False),
    ],
)
def test_start_dates(
    tmp_path: Path, recording: str, startdate: str, starttime: str, start: str, known: bool
) -> None:
    path = write_edf(tmp_path / "night.edf", [Signal("EEG", ramp(200), 100)])
    patch_header(path, recording=recording, startdate=startdate, starttime=starttime)
    opened = EdfRecording.open(path)
    assert opened.start_utc == datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert opened.start_known is known
    notes = opened.notes(choose_derivation(opened.channels))
    assert bool(notes) is not known
    np.testing.assert_array_equal(stream(path, "EEG")[0], np.arange(200))


@pytest.mark.parametrize(
    ("recording", "startdate", "starttime", "date_kind", "time_known", "notes"),
    [
        ("", "02.03.21", "22.30.15", StartDate.REAL, True, []),
        (
            "",
            "01.01.85",
            "00.00.00",
            StartDate.DUMMY,
            True,
            [
                "The recording carries no start date: its clock times count from "
                "01 January 1985, 00:00."
            ],
        ),
        (
            "",
            "00.00.00",
            "00.00.00",
            StartDate.UNKNOWN,
            False,
            [
                "The recording carries no start date: its clock times count from "
                "01 January 1985, 00:00."
            ],
        ),
        (
            "",
            "31.02.21",
            "22.30.15",
            StartDate.UNKNOWN,
            True,
            [
                "The header's start date, '31.02.21', is no date: its clock times count from "
                "01 January 1985, 22:30."
            ],
        ),
        (
            "",
            "02.03.21",
            "22.30.75",
            StartDate.REAL,
            False,
            [
                "The header's start time, '22.30.75', is no time of day: the recording counts as "
                "beginning at 22:30:00."
            ],
        ),
        (
            "",
            "",
            "",
            StartDate.UNKNOWN,
            False,
            [
                "The recording carries no start time: it counts as beginning at 00:00:00.",
                "The recording carries no start date: its clock times count from "
                "01 January 1985, 00:00.",
            ],
        ),
        (
            "Startdate 02-MAR-2021 X X X",
            "03.03.21",
            "22.30.15",
            StartDate.REAL,
            True,
            [
                "The header states two start dates, 02 March 2021 and '03.03.21': "
                "the first one counts."
            ],
        ),
    ],
)
def test_what_is_known_of_the_start(
    tmp_path: Path,
    recording: str,
    startdate: str,
    starttime: str,
    date_kind: StartDate,
    time_known: bool,
    notes: list[str],
) -> None:
    path = write_edf(tmp_path / "night.edf", [Signal("EEG", ramp(200), 100)])
    patch_header(path, recording=recording, startdate=startdate, starttime=starttime)
    opened = EdfRecording.open(path)
    assert (opened.start.date, opened.start.time_known) == (date_kind, time_known)
    assert opened.notes(choose_derivation(opened.channels)) == notes


def test_annotations_in_any_encoding(tmp_path: Path) -> None:
    path = write_edf(
        tmp_path / "night.edf",
        [Signal("EEG", ramp(300), 100)],
        annotations=[(2.5, 0.5, "réveil"), (1.0, None, "zz~zzz"), (0.5, None, "one\x14two")],
    )
    path.write_bytes(path.read_bytes().replace(b"zz~zzz", b"r\xe9veil"))
    assert EdfRecording.open(path).annotations == (
        Annotation(0.5, 0.0, "one"),
        Annotation(0.5, 0.0, "two"),
        Annotation(1.0, 0.0, "réveil"),
        Annotation(2.5, 0.5, "réveil"),
    )
    np.testing.assert_array_equal(stream(path, "EEG")[0], np.arange(300))


def test_the_fingerprint_depends_on_the_content_and_not_on_the_name(tmp_path: Path) -> None:
    values = ramp(1000)
    path = write_edf(tmp_path / "a.edf", [Signal("EEG", values, 100)])
    fingerprint = EdfRecording.open(path).fingerprint
    assert fingerprint == hashlib.sha256(path.read_bytes()).hexdigest()
    renamed = path.rename(tmp_path / "b.edf")
    assert EdfRecording.open(str(renamed)).fingerprint == fingerprint
    values[500] += 1
    other = write_edf(tmp_path / "c.edf", [Signal("EEG", values, 100)])
    assert EdfRecording.open(other).fingerprint != fingerprint


def test_the_demo_excerpt() -> None:
    recording = EdfRecording.open(EXCERPT)
    derivation = choose_derivation(recording.channels)
    assert derivation.name == "EEG"
    assert (recording.duration_s, recording.start_known) == (5026.0, False)
    assert len(recording.annotations) == 28
    assert recording.notes(derivation) == [
        "The recording carries no start date: its clock times count from 01 January 1985, 00:00."
    ]
    data_uv, times_s = joined(recording.chunks(derivation))
    assert data_uv.shape == times_s.shape == (502_600,)
    raw = np.frombuffer(EXCERPT.read_bytes()[768:], "<i2").reshape(5026, 120)[:, :100].ravel()
    np.testing.assert_allclose(data_uv, (raw + 32768.0) * 2000 / 65535 - 1000, atol=1e-3)


@pytest.mark.parametrize("change", ["removed", "shortened"])
def test_a_file_that_changes_while_it_is_read(tmp_path: Path, change: str) -> None:
    path = write_edf(tmp_path / "night.edf", [Signal("EEG", ramp(2_000_000), 250)])
    recording = EdfRecording.open(path)
    chunks = recording.chunks(choose_derivation(recording.channels))
    next(chunks)
    if change == "removed":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:3_000_000])
    with pytest.raises(MonitorError) as caught:
        list(chunks)
    assert str(caught.value) == (
        f"{path} was moved or changed while it was read: put it back and start again"
    )
    assert not isinstance(caught.value, InputError)


def test_refuses_chunks_without_length(gapped: EdfRecording) -> None:
    derivation = RecordedDerivation("EEG Fz", ("EEG Fz",), 128.0, "")
    with pytest.raises(ValueError, match="chunk_s must be more than 0, got 0"):
        gapped.chunks(derivation, chunk_s=0)
