"""EDF, EDF+ and BDF recordings: fields, lengths, onsets, annotation lists and blind changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.sources.derivation import choose_derivation
from monitor.sources.edf import EdfRecording
from monitor.sources.expert import expert_hypnogram
from monitor.sources.hypnogram import grid_origin_s, stages_on_grid, whole_epochs
from monitor.sources.marks import recorded_marks
from tests.fuzz import nasty
from tests.fuzz.bounds import check_line
from tests.fuzz.case import Case, Kind
from tests.fuzz.edf_layout import (
    GLOBAL_FIELDS,
    SIGNAL_FIELDS,
    EdfFile,
    annotation,
    new_file,
    new_signal,
    numbered,
)

STAGED = "EEG Fpz-Cz"
FILE = "night.edf"
PER_RECORD = 100

UNITS = {
    b"uV": 1.0,
    b"\xb5V": 1.0,
    "µV".encode(): 1.0,
    b"uv": 1.0,
    b"mV": 1e3,
    b"V": 1e6,
    b"nV": 1e-3,
    b"mVolt": 1e3,
    b"Volts": 1e6,
    b"uVolt": 1.0,
}
"""Microvolts in a unit, in spellings that recorders use."""

CLOCKS = {
    b"22.30.15": time(22, 30, 15),
    b"22:30:15": time(22, 30, 15),
    b"22/30/15": time(22, 30, 15),
    b"22-30-15": time(22, 30, 15),
    b"2.03.04": time(2, 3, 4),
    b" 2.03.04": time(2, 3, 4),
    b"02. 3. 4": time(2, 3, 4),
    b"22h30m15": time(22, 30, 15),
}
"""Spellings of a start time."""

Change = Callable[[Random, EdfFile], str]


@dataclass(frozen=True, kw_only=True)
class EdfCase(Case):
    """A recording.

    - ``uv``: the samples of the staged channel in microvolts; None: the bytes decide.
    - ``onset_s``: the start of each record; None: the bytes decide.
    - ``texts``: annotations that must be found, as (onset, text).
    - ``clock``: the start's time of day, if the file states it.
    """

    uv: npt.NDArray[np.float64] | None = None
    onsets_s: tuple[float, ...] | None = None
    texts: tuple[tuple[float, str], ...] = ()
    clock: time | None = None


class EdfKind(Kind):
    """Recordings of some seconds, sound and broken."""

    name = "edf"

    def generate(self, random: Random) -> EdfCase:
        match random.randrange(4):
            case 0:
                return _sound(random)
            case 1:
                return _with_odd_lists(random)
            case 2:
                return _with_odd_fields(random)
            case _:
                return _blindly_changed(random)

    def check(self, case: EdfCase, folder: Path) -> None:
        path = folder / FILE
        recording = EdfRecording.open(path)
        derivation = choose_derivation(recording.channels, STAGED if case.sound else None)
        chunks = list(recording.chunks(derivation, chunk_s=2.0))
        uv = np.concatenate([each.data_uv for each in chunks], axis=1)[0]
        times_s = np.concatenate([each.times_s for each in chunks])
        for note in [*recording.notes(derivation), derivation.why]:
            check_line(note, "a note")
        _check_signal(recording, uv, times_s)
        content = case.files[FILE]
        if len(derivation.recorded) == 1:
            expected = case.uv
            if expected is None:
                expected = decoded_uv(content, derivation.recorded[0], uv.size)
            if expected is not None:
                np.testing.assert_allclose(uv, expected, rtol=1e-5, atol=1e-4 + _step(expected))
        if case.onsets_s is not None:
            expected_s = np.add.outer(case.onsets_s, np.arange(PER_RECORD) / PER_RECORD).ravel()
            np.testing.assert_allclose(times_s, expected_s, atol=0.006)
        found = [(round(each.onset_s, 3), each.text) for each in recording.annotations]
        for each in case.texts:
            assert each in found, f"the annotation {each} is not among {found}"
        if case.clock is not None:
            assert recording.start_utc.time() == case.clock, f"it starts at {recording.start_utc}"
        _use_annotations(recording)


def _step(uv: npt.NDArray[np.float64]) -> float:
    return 1e-6 * float(np.abs(uv).max(initial=0.0))


def _check_signal(
    recording: EdfRecording, uv: npt.NDArray[Any], times_s: npt.NDArray[np.float64]
) -> None:
    """Check what holds for every recording, whatever its bytes are."""
    assert uv.size == times_s.size > 0, "samples and times differ in number, or there are none"
    assert np.isfinite(uv).all(), "a sample is not finite"
    assert np.isfinite(times_s).all(), "a time is not finite"
    assert (np.diff(times_s) > 0).all(), "the times do not rise"
    assert recording.first_sample_s == times_s[0], "first_sample_s is not the first sample's time"
    assert recording.duration_s >= times_s[-1], "duration_s is less than the last sample's time"
    assert len({c.name for c in recording.channels}) == len(recording.channels), "names repeat"
    for channel in recording.channels:
        check_line(f"'{channel.name}' '{channel.unit}'", "a channel's name or unit")
        assert np.isfinite(channel.sfreq_hz), f"the rate is {channel.sfreq_hz}"
        assert channel.sfreq_hz >= 0, f"the rate is {channel.sfreq_hz}"


def _use_annotations(recording: EdfRecording) -> None:
    """Do with the annotations what a replay does."""
    for each in recording.annotations:
        assert np.isfinite([each.onset_s, each.duration_s]).all(), f"{each} is at no time"
        check_line(f"'{each.text}'", "an annotation")
    marks = recorded_marks(recording.annotations, recording.start_utc)
    assert all(isinstance(mark.time_utc, datetime) for mark in marks)
    expert = expert_hypnogram(recording)
    origin_s = grid_origin_s("auto", expert, recording.first_sample_s)
    n_epochs = whole_epochs(recording.duration_s, origin_s)
    if expert is not None and n_epochs > 0:
        assert len(stages_on_grid(expert, origin_s, n_epochs)) == n_epochs


def decoded_uv(content: bytes, name: str, n: int) -> npt.NDArray[np.float64] | None:
    """Decode ``n`` samples of channel ``name``, as the bytes of the file say.

    This is an independent decoder, strict and slow. Returns None if the file does not have exactly
    one signal of this name, because another name was given to it, or if its unit is not in `UNITS`.
    """
    n_signals = int(_value(content[252:256]))
    offsets, at = {}, 256
    for key, width in SIGNAL_FIELDS.items():
        offsets[key] = (at, width)
        at += width * n_signals

    def text(key: str, index: int) -> bytes:
        start, width = offsets[key]
        return content[start + index * width : start + (index + 1) * width]

    labels = [_label(text("label", index)) for index in range(n_signals)]
    if labels.count(name) != 1:
        return None
    index = labels.index(name)
    size = 3 if content[:1] == b"\xff" else 2
    per_record = [int(_value(text("samples", i))) for i in range(n_signals)]
    record_bytes = size * sum(per_record)
    first = size * sum(per_record[:index])
    limits = [
        _value(text(key, index))
        for key in ("physical_min", "physical_max", "digital_min", "digital_max")
    ]
    assert np.isfinite(limits).all(), f"{name} is staged with the limits {limits}"
    n_records, rest = divmod(n, per_record[index])
    assert rest == 0, "a part of a record is staged"
    pieces = []
    for record in range(n_records):
        start = 256 * (n_signals + 1) + record * record_bytes + first
        piece = content[start : start + size * per_record[index]]
        assert len(piece) == size * per_record[index], "more samples are staged than the file holds"
        pieces.append(piece)
    rows = np.frombuffer(b"".join(pieces), np.uint8).reshape(-1, size)
    wide = np.zeros((rows.shape[0], 4), np.uint8)
    wide[:, 4 - size :] = rows
    digital = (wide.view("<i4")[:, 0] >> (32 - 8 * size)).astype(np.float64)
    low, high, digital_low, digital_high = limits
    unit = UNITS.get(text("unit", index).split(b"\0")[0].strip())
    if unit is None:  # an odd text, which may be a spelling of a voltage too
        return None
    gain = (high - low) / (digital_high - digital_low)
    uv: npt.NDArray[np.float64] = (low + (digital - digital_low) * gain) * unit
    return uv


def _value(field: bytes) -> float:
    return float(field.decode("latin-1").split("\0")[0].strip().replace(",", "."))


def _label(field: bytes) -> str:
    return field.decode("latin-1").split("\0")[0].strip()


# --- files that the monitor must understand


def _plain(random: Random, *, bdf: bool | None = None) -> tuple[EdfFile, npt.NDArray[np.float64]]:
    """Return a sound file of two or three signals, and the microvolts of the staged one."""
    n_records = random.randrange(2, 8)
    bdf = random.random() < 0.2 if bdf is None else bdf
    unit = random.choice(list(UNITS))
    physical = random.choice((("-3276.8", "3276.7"), ("-500", "500"), ("200", "-200")))
    if UNITS[unit] > 1:
        physical = ("-0.2", "0.2") if UNITS[unit] == 1e3 else ("-0.0002", "0.0002")
    digital = numbered(random, n_records, PER_RECORD)
    staged = new_signal(STAGED, digital, unit=unit, physical=physical, bdf=bdf)
    others = [
        new_signal("EOG horizontal", numbered(random, n_records, PER_RECORD), bdf=bdf),
        new_signal("Temp rectal", numbered(random, n_records, 1), unit=b"DegC", bdf=bdf),
    ]
    signals = [staged, *others[: random.randrange(3)]]
    random.shuffle(signals)
    low, high = (float(each) for each in physical)
    limit = 2**23 if bdf else 2**15
    uv = (low + (digital.ravel() + limit) * (high - low) / (2 * limit - 1)) * UNITS[unit]
    return new_file(signals, bdf=bdf), uv


def _sound(random: Random) -> EdfCase:
    """Return a recording with what careless recorders write, and readers understand."""
    match random.randrange(6):
        case 0:
            return _with_onsets(random)
        case 1:
            return _with_clock(random)
    file, uv = _plain(random)
    changes: dict[str, Change] = {
        "nothing": lambda random, file: "",
        "texts": _odd_texts,
        "unstaged": _unsound_unstaged,
        "spelling": _other_spelling,
        "not closed": _not_closed,
        "longer": _longer,
    }
    story = random.choice(list(changes))
    detail = changes[story](random, file)
    content = file.content() + (b"\0" * random.choice((1, 3, 7)) if story == "longer" else b"")
    return EdfCase(
        story=f"sound: {story} {detail}",
        files={FILE: content},
        sound=True,
        uv=uv,
        clock=time(22, 30, 15),
    )


def _odd_texts(random: Random, file: EdfFile) -> str:
    """Put junk into the fields that nobody reads."""
    value = nasty.text(random).encode("utf-8", "surrogatepass")
    target = random.choice(("patient", "transducer", "prefiltering", "own"))
    if target == "patient":
        file.fields[target] = value
    else:
        random.choice(file.signals).fields[target] = value
    return f"{target} is {value[:40]!r}"


def _unsound_unstaged(random: Random, file: EdfFile) -> str:
    """Break a field of a channel that nobody stages."""
    others = [s for s in file.signals if s.fields["label"] != STAGED.encode()]
    if not others:
        return ""
    key = random.choice(("physical_min", "physical_max", "digital_min", "digital_max", "unit"))
    value = nasty.field(random, SIGNAL_FIELDS[key])
    random.choice(others).fields[key] = value
    return f"{key} is {value!r}"


def _other_spelling(random: Random, file: EdfFile) -> str:
    """Write a number as some recorders do."""
    key = random.choice(("physical_min", "physical_max", "samples", "digital_max"))
    signal = random.choice(file.signals)
    value = signal.fields[key].decode()
    spelling = random.choice(
        (
            lambda v: v.replace(".", ",") if "." in v else v,
            lambda v: f" {v}" if len(v) < 8 else v,
            lambda v: v.rjust(8),
            lambda v: f"{v}." if "." not in v and len(v) < 8 else v,
            lambda v: f"{v}\0\0" if len(v) < 7 else v,
            lambda v: f"+{v}" if v[0] != "-" and len(v) < 8 else v,
        )
    )(value)
    signal.fields[key] = spelling.encode()
    return f"{key} is {spelling!r}"


def _not_closed(random: Random, file: EdfFile) -> str:
    file.fields["n_records"] = b"-1"
    return ""


def _longer(random: Random, file: EdfFile) -> str:
    return "some bytes follow the last record"


def _with_onsets(random: Random) -> EdfCase:
    """Return an EDF+ file: continuous with rounded onsets, or with real gaps."""
    n_records, gaps = random.randrange(3, 12), random.random() < 0.5
    record_s = random.choice(("1", "1.0"))
    onsets = [0.0]
    for _ in range(n_records - 1):
        gap_s = random.choice((0, 0, 0.5, 30, 3600)) if gaps else 0
        onsets.append(onsets[-1] + 1 + gap_s)
    rounding = 0.0 if gaps else random.choice((0.0, 0.0004, 0.004))
    lists = [annotation(f"+{at + random.uniform(-1, 1) * rounding:.7g}"[:9], "") for at in onsets]
    lists[0] = annotation("+0", "")
    digital = numbered(random, n_records, PER_RECORD)
    file = new_file(
        [new_signal(STAGED, digital, physical=("-32768", "32767"))],
        record_s=record_s,
        lists=lists,
        discontinuous=gaps,
    )
    return EdfCase(
        story=f"sound: onsets {'with gaps' if gaps else f'rounded by {rounding} s'}",
        files={FILE: file.content()},
        sound=True,
        uv=digital.ravel().astype(np.float64),
        onsets_s=tuple(onsets),
    )


def _with_clock(random: Random) -> EdfCase:
    """Return a file whose start is written in another way; the date may be missing."""
    file, uv = _plain(random)
    spelling = random.choice(list(CLOCKS))
    file.fields["starttime"] = spelling
    file.fields["startdate"] = random.choice((b"09.03.24", b"9.3.24", b"00.00.00", b"", b"X"))
    return EdfCase(
        story=f"sound: the start is {file.fields['startdate']!r} {spelling!r}",
        files={FILE: file.content()},
        sound=True,
        uv=uv,
        clock=CLOCKS[spelling],
    )


# --- files with something wrong in them


def _with_odd_lists(random: Random) -> EdfCase:
    """Return an EDF+ file with one odd annotation list among good ones, which must be found."""
    n_records = random.randrange(2, 6)
    good = [(0.5 + i, f"Sleep stage {random.choice('W123R?')}") for i in range(n_records)]
    odd = _odd_list(random)
    place = random.randrange(n_records)
    lists = [
        annotation(f"+{i}", "")
        + (odd if i == place else b"")
        + annotation(f"+{good[i][0]}", good[i][1], duration=random.choice((None, "30", "0.5")))
        for i in range(n_records)
    ]
    digital = numbered(random, n_records, PER_RECORD)
    file = new_file([new_signal(STAGED, digital, physical=("-32768", "32767"))], lists=lists)
    return EdfCase(
        story=f"the annotation list {odd[:60]!r}",
        files={FILE: file.content()},
        uv=digital.ravel().astype(np.float64),
        onsets_s=tuple(range(n_records)),
        texts=tuple(good),
    )


def _odd_list(random: Random) -> bytes:
    onset = random.choice(("+", "-", "")) + nasty.number(random)[:40]
    duration = random.choice((None, nasty.number(random)[:40], "-1", "+30", "30,5", ""))
    words = ("Lights off", "Sleep stage W", "", nasty.text(random)[:300])
    whole = annotation(
        random.choice((onset, "+1", "+0.25")), random.choice(words), duration=duration
    ).replace(b"\0", b"")
    if random.random() < 0.3:
        whole, _ = nasty.changed(random, whole)
    return whole.replace(b"\0", b"") + b"\0"


def _with_odd_fields(random: Random) -> EdfCase:
    """Return a file with one or two nasty fields; its own bytes say what is right."""
    file, _ = _plain(random) if random.random() < 0.5 else (_with_lists(random), None)
    story = []
    for _ in range(random.choice((1, 1, 1, 2))):
        if random.random() < 0.4:
            key = random.choice(list(GLOBAL_FIELDS))
            fields, width = file.fields, GLOBAL_FIELDS[key]
        else:
            key = random.choice(list(SIGNAL_FIELDS))
            fields, width = random.choice(file.signals).fields, SIGNAL_FIELDS[key]
        fields[key] = random.choice((nasty.field, nasty.field, _other_number))(random, width)
        story.append(f"{key} is {fields[key].strip()!r}")
    if random.random() < 0.05:
        n = random.choice((300, 2000))
        label = random.choice(("EEG Fpz-Cz", "A-0", ""))
        extra = new_signal(label, numbered(random, 2, 1))
        file = new_file([extra] * n)
        story = [f"{n} signals are called {label!r}"]
    return EdfCase(story=", ".join(story), files={FILE: file.content()})


def _other_number(random: Random, width: int) -> bytes:
    return str(random.choice((0, 1, 2, 3, 7, 99, 100, 101, 256, 512, 9999, -1))).encode()[:width]


def _with_lists(random: Random) -> EdfFile:
    n_records = random.randrange(2, 6)
    start_s = random.choice((0, 0, 0.25, 1e9, 1e11, 253402300800))
    lists = [
        annotation(f"+{start_s + i}", "")
        + annotation(f"+{start_s + i}", "Sleep stage W", duration="30")
        + annotation(f"+{start_s + i}", random.choice(("Lights off", "Lights on@@EEG", "Arousal")))
        for i in range(n_records)
    ]
    signal = new_signal(STAGED, numbered(random, n_records, PER_RECORD))
    return new_file([signal], lists=lists, discontinuous=random.random() < 0.5)


def _blindly_changed(random: Random) -> EdfCase:
    """Return a file with one to three changes that know nothing of its format."""
    file = _with_lists(random) if random.random() < 0.5 else _plain(random)[0]
    content, story = file.content(), []
    for _ in range(random.choice((1, 1, 2, 3))):
        # Most bytes are samples, where a change is harmless: most changes go into the header.
        head = content[: 256 * (len(file.signals) + 1)]
        if random.random() < 0.7:
            head, what = nasty.changed(random, head)
            content = head + content[256 * (len(file.signals) + 1) :]
        else:
            content, what = nasty.changed(random, content)
        story.append(what)
    return EdfCase(story=", ".join(story), files={FILE: content})
