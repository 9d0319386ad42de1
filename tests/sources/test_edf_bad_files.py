"""Files that cannot be staged, and the one-line message for each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monitor.errors import InputError
from monitor.sources.derivation import choose_derivation
from monitor.sources.edf import EdfRecording
from tests.edf_files import (
    Signal,
    make_discontinuous,
    patch_header,
    patch_signal,
    ramp,
    write_edf,
)

ROOM = [(0.0, None, "widens the annotation field")]


def whole(path: Path) -> Path:
    return write_edf(path, [Signal("EEG", ramp(1000), 100)], annotations=ROOM)


def two_channels(path: Path, *, bdf: bool = False) -> Path:
    signals = [Signal("EMG", ramp(1000), 100), Signal("Fz", 1000 + ramp(1000), 100)]
    return write_edf(path, signals, bdf=bdf)


def cut(path: Path, n_bytes: int) -> Path:
    path.write_bytes(path.read_bytes()[:n_bytes])
    return path


def directory(path: Path) -> Path:
    path.mkdir()
    return path


def text(path: Path) -> Path:
    path.write_text("epoch,stage\n1,N2\n")
    return path


def hypnogram(path: Path) -> Path:
    """Write a hypnogram of two data records."""
    write_edf(path, [], annotations=[(0, 30, "Sleep stage W")])
    content = path.read_bytes()
    path.write_bytes(content + content[512:])
    return patch_header(path, n_records="2")


CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: path, "does not exist: check the name"),
    "directory": (directory, "is a folder: give one recording"),
    "folder is a file": (
        lambda path: text(path.parent),
        "cannot be read: Not a directory",
    ),
    "empty": (Path.touch, "is empty (0 bytes): copy or export it again"),
    "text": (
        text,
        "has no format that the monitor reads (EDF, BDF, Muse, OpenBCI, BrainFlow, "
        "XDF, BrainVision, EEGLAB, FIF, GDF): convert it to EDF first",
    ),
    "only a version": (
        lambda path: cut(whole(path), 8),
        "is damaged: it ends inside its header, at the patient. Copy or export it again",
    ),
    "half a header": (
        lambda path: cut(whole(path), 300),
        "is damaged: it ends inside its header, at the transducer. Copy or export it again",
    ),
    "text instead of a number": (
        lambda path: patch_header(whole(path), n_records="many"),
        "is damaged: its header gives the number of records as 'many', not as a number. "
        "Copy or export it again",
    ),
    "fraction instead of a count": (
        lambda path: patch_header(whole(path), n_records="9.5"),
        "is damaged: its header gives the number of records as 9.5, not as a whole number. "
        "Copy or export it again",
    ),
    "no samples in a record": (
        lambda path: patch_signal(whole(path), 0, samples_per_record="0"),
        "is damaged: its header gives the samples per record of EEG as 0. Copy or export it again",
    ),
    "no signals": (
        lambda path: patch_header(whole(path), n_signals="0"),
        "is damaged: its header claims 0 signals in 768 bytes. Copy or export it again",
    ),
    "records without length": (
        lambda path: patch_header(whole(path), record_s="0"),
        "is damaged: its data records last 0 s. Copy or export it again",
    ),
    "truncated before the first record ends": (
        lambda path: cut(whole(path), 768 + 100),
        "holds a header but no samples: the recorder stopped before its first data record",
    ),
    "a hypnogram is truncated": (
        lambda path: cut(hypnogram(path), -1),
        "is truncated: its header states 2 data records, the file holds 1. Copy or export it again",
    ),
    "a pipe": (os.mkfifo, "is a device or a pipe: give a file"),
    "other digits": (
        lambda path: patch_header(whole(path), record_s="1_0"),
        "is damaged: its header gives the record duration as '1_0', not as a number. "
        "Copy or export it again",
    ),
    "negative samples": (
        lambda path: patch_signal(whole(path), 0, samples_per_record="-5"),
        "is damaged: its header gives the samples per record of EEG as -5, not as 0 or more. "
        "Copy or export it again",
    ),
    "a negative number of signals": (
        lambda path: patch_header(whole(path), n_signals="-1", header_bytes="0"),
        "is damaged: its header claims -1 signals in 0 bytes. Copy or export it again",
    ),
    "more signals than the file has bytes": (
        lambda path: patch_header(whole(path), n_signals="9999", header_bytes="2560000"),
        "is damaged: it ends inside its header, at the label. Copy or export it again",
    ),
    "short records": (
        lambda path: patch_header(whole(path), record_s="5e-324"),
        "is damaged: its data records last 4.94066e-324 s. Copy or export it again",
    ),
    "long records": (
        lambda path: patch_header(whole(path), record_s="1e300"),
        "is damaged: its data records last 1e+300 s. Copy or export it again",
    ),
    "large records": (
        lambda path: patch_signal(
            patch_signal(two_channels(path, bdf=True), 0, samples_per_record="99999999"),
            1,
            samples_per_record="99999999",
        ),
        "claims data records of 572 MiB: export it with records of some seconds",
    ),
    "a number of records without end": (
        lambda path: patch_header(whole(path), n_records="1e300"),
        "is damaged: its header gives the number of records as 1e+300, not as a whole number. "
        "Copy or export it again",
    ),
    "a start in another age": (
        lambda path: make_discontinuous(whole(path), [0, 1, 9e9, *range(3, 10)]),
        "is damaged: it is discontinuous (EDF+D) and its data record 3 has no start time. "
        "Export it again",
    ),
    "header alone": (
        lambda path: cut(patch_header(whole(path), n_records="-1"), 768),
        "holds a header but no samples: the recorder stopped before its first data record",
    ),
    "annotations alone": (
        lambda path: write_edf(path, [], annotations=[(0, 30, "Sleep stage W")]),
        "holds annotations and no signals: give the recording itself, and this file with "
        "--hypnogram if it holds the sleep stages",
    ),
    "no onset": (
        lambda path: make_discontinuous(whole(path), [0, 1, None, *range(3, 10)]),
        "is damaged: it is discontinuous (EDF+D) and its data record 3 has no start time. "
        "Export it again",
    ),
    "time runs backwards": (
        lambda path: make_discontinuous(whole(path), [0, 1, 7, 3, 8, 9, 10, 11, 12, 13]),
        "is damaged: its data record 4 begins at 3 s, not after the one before it (7 s)."
        " Export it again",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_message_names_the_file_the_fault_and_the_remedy(tmp_path: Path, case: str) -> None:
    make, message = CASES[case]
    path = tmp_path / "folder" / "night.edf"
    if case != "folder is a file":
        path.parent.mkdir()
    make(path)
    with pytest.raises(InputError) as caught:
        EdfRecording.open(path)
    assert str(caught.value) == f"{path} {message}"
    assert caught.value.exit_code == 2


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="file permissions of POSIX")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = whole(tmp_path / "night.edf")
    path.chmod(0)
    user = os.geteuid()
    if user == 0:  # root may read everything: become the user nobody for a moment
        os.seteuid(65534)
    try:
        with pytest.raises(InputError) as caught:
            EdfRecording.open(path)
    finally:
        os.seteuid(user)
    assert str(caught.value) == f"{path} may not be read: ask its owner for permission"


@pytest.mark.parametrize("kind", ["physical", "digital"])
def test_a_channel_without_a_scale(tmp_path: Path, kind: str) -> None:
    path = whole(tmp_path / "night.edf")
    patch_signal(path, 0, **{f"{kind}_min": "0", f"{kind}_max": "0"})
    recording = EdfRecording.open(path)
    with pytest.raises(InputError) as caught:
        recording.chunks(choose_derivation(recording.channels))
    assert str(caught.value) == (
        f"{path} does not define the scale of EEG: its physical or digital minimum and maximum are "
        "the same. Choose another --channel"
    )


@pytest.mark.parametrize("limit", ["physical_min", "digital_max"])
@pytest.mark.parametrize("text", ["", "****", "nan", "1e999", "- 5"])
def test_a_limit_that_cannot_be_read_matters_to_its_channel_alone(
    tmp_path: Path, limit: str, text: str
) -> None:
    path = two_channels(tmp_path / "night.edf")
    patch_signal(path, 0, **{limit: text})
    recording = EdfRecording.open(path)
    chunks = recording.chunks(choose_derivation(recording.channels, "Fz"))
    assert sum(chunk.times_s.size for chunk in chunks) == 1000
    name = limit.replace("_min", " minimum").replace("_max", " maximum")
    with pytest.raises(InputError) as caught:
        recording.chunks(choose_derivation(recording.channels, "EMG"))
    assert str(caught.value) == (
        f"{path}: its header gives the {name} of EMG as '{text}', not as a number. "
        "Choose another --channel"
    )


@pytest.mark.parametrize("n_samples", ["0", "-0"])
def test_a_channel_without_samples_matters_to_nobody_else(tmp_path: Path, n_samples: str) -> None:
    path = two_channels(tmp_path / "night.edf")
    content = path.read_bytes()
    rows = [content[768 + 400 * i :][:400] for i in range(10)]
    path.write_bytes(content[:768] + b"".join(row[200:] for row in rows))
    recording = EdfRecording.open(patch_signal(path, 0, samples_per_record=n_samples))
    (chunk,) = recording.chunks(choose_derivation(recording.channels, "Fz"), chunk_s=60.0)
    assert chunk.data_uv[0].tolist() == list(range(1000, 2000))
    with pytest.raises(InputError, match="EMG is sampled at 0 Hz"):
        choose_derivation(recording.channels, "EMG")


def test_a_recorder_that_died_leaves_what_it_recorded(tmp_path: Path) -> None:
    path = cut(whole(tmp_path / "night.edf"), 768 + 3 * (200 + 42) + 100)
    recording = EdfRecording.open(path)
    derivation = choose_derivation(recording.channels)
    assert recording.notes(derivation) == [
        "The recording ends early: its header states 10 data records (10 s), the file holds 3 "
        "(3 s). The last 7 s are missing."
    ]
    assert recording.duration_s == 3.0
    (chunk,) = recording.chunks(derivation, chunk_s=60.0)
    assert chunk.data_uv[0].tolist() == list(range(300))


@pytest.mark.parametrize(
    ("fields", "notes"),
    [
        ({"physical_min": "-160000", "physical_max": "160000"}, []),
        (
            {"physical_min": "-200000", "physical_max": "200000"},
            ["One digital step of channel EEG is 6.1 uV: small waves are lost."],
        ),
        (
            {"physical_min": "200", "physical_max": "-200", "unit": "mV"},
            ["One digital step of channel EEG is 6.1 uV: small waves are lost."],
        ),
        (
            {"digital_min": "0", "digital_max": "65535"},
            [
                "The digital limits of channel EEG, 0 to 65535, do not fit 16 bits: check its "
                "amplitude."
            ],
        ),
    ],
)
def test_a_note_names_a_scale_that_is_coarse_or_odd(
    tmp_path: Path, fields: dict[str, str], notes: list[str]
) -> None:
    path = patch_signal(whole(tmp_path / "night.edf"), 0, **fields)
    recording = EdfRecording.open(path)
    assert recording.notes(choose_derivation(recording.channels)) == notes


def test_a_thousand_equal_labels_open_at_once(tmp_path: Path) -> None:
    signals = [Signal("EEG", ramp(1), 1)] * 3000
    path = write_edf(tmp_path / "night.edf", signals)
    patch_header(path, record_s="0.01")
    began_s = time.process_time()
    recording = EdfRecording.open(path)
    assert time.process_time() - began_s < 2.0
    assert [c.name for c in recording.channels] == [f"EEG-{i}" for i in range(3000)]


def test_a_rate_that_no_amplifier_has_is_refused(tmp_path: Path) -> None:
    path = patch_header(whole(tmp_path / "night.edf"), record_s="0.0001")
    recording = EdfRecording.open(path)
    with pytest.raises(InputError) as caught:
        choose_derivation(recording.channels, "EEG")
    assert str(caught.value) == (
        "EEG is sampled at 1e+06 Hz, above 50000 Hz, which no EEG has: choose another --channel"
    )


def test_header_texts_are_one_clean_line(tmp_path: Path) -> None:
    path = patch_signal(two_channels(tmp_path / "night.edf"), 0, label=b"E\x9bM\nG\x1b[2J")
    patch_signal(path, 1, label="Fz réf".encode())
    recording = EdfRecording.open(path)
    assert [c.name for c in recording.channels] == ["E?M G?[2J", "Fz réf"]


def test_a_name_that_no_file_can_have() -> None:
    with pytest.raises(InputError) as caught:
        EdfRecording.open("night\0.edf")
    assert str(caught.value) == "'night?.edf' is no file name: check it"


@pytest.mark.parametrize(
    ("physical_min", "physical_max", "unit"),
    [
        ("-1e308", "1e308", "uV"),  # the range is infinite
        ("0", "1e308", "uV"),
        ("0", "1e34", "V"),  # only in microvolts too large for float32
        ("1e307", "1.1e307", "V"),
    ],
)
def test_a_scale_too_large_is_refused_before_the_first_chunk(
    tmp_path: Path, physical_min: str, physical_max: str, unit: str
) -> None:
    path = whole(tmp_path / "night.edf")
    patch_signal(path, 0, physical_min=physical_min, physical_max=physical_max, unit=unit)
    recording = EdfRecording.open(path)
    with pytest.raises(InputError) as caught:
        recording.chunks(choose_derivation(recording.channels))
    assert str(caught.value) == (
        f"{path} does not define the scale of EEG: its physical range, "
        f"{float(physical_min):g} to {float(physical_max):g}, is too large for its digital range, "
        "-32768 to 32767. Choose another --channel"
    )


def test_a_count_with_a_decimal_point_is_a_count(tmp_path: Path) -> None:
    path = patch_header(whole(tmp_path / "night.edf"), n_records="10.0")
    recording = EdfRecording.open(path)
    chunks = recording.chunks(choose_derivation(recording.channels))
    assert sum(chunk.times_s.size for chunk in chunks) == 1000


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return whole(tmp_path_factory.mktemp("sound") / "night.edf").read_bytes()


@settings(deadline=None, max_examples=100)
@given(at=st.integers(0, 767), junk=st.binary(min_size=1, max_size=8))
@example(at=244, junk=b"1e-300  ")
@example(at=244, junk=b"1e300   ")
@example(at=236, junk=b"99999999")
@example(at=688, junk=b"99999999")
@example(at=464, junk=b"1e308   ")
@example(at=496, junk=b"-32768.0")
def test_a_damaged_header_gives_a_one_line_error_or_works(
    tmp_path_factory: pytest.TempPathFactory, sound: bytes, at: int, junk: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.edf"
    path.write_bytes((sound[:at] + junk + sound[at + len(junk) :])[: len(sound)])
    try:
        recording = EdfRecording.open(path)
        derivation = choose_derivation(recording.channels)
        assert all("\n" not in note for note in recording.notes(derivation))
        for chunk in recording.chunks(derivation):
            assert chunk.data_uv.shape == (1, chunk.times_s.size)
    except InputError as exc:
        assert "\n" not in str(exc)
