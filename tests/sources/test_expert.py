"""The expert's stages of a recording: which file, at which time, and what is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.contract import Stage
from monitor.errors import InputError
from monitor.sources.edf import EdfRecording
from monitor.sources.expert import expert_hypnogram, read_hypnogram
from monitor.sources.hypnogram import Hypnogram, stages_on_grid
from tests.edf_files import Signal, patch_header, ramp, write_edf

W, N1, N2, N3, R = Stage
MINUTES = 60


def night(
    folder: Path,
    start: tuple[str, str] = ("09.03.24", "22.30.00"),
    plus: str = "a plain EDF",
    annotations: list[tuple[float, float | None, str]] | None = None,
) -> EdfRecording:
    path = write_edf(folder / "night.edf", [Signal("EEG", ramp(3600), 1)], annotations=annotations)
    patch_header(path, startdate=start[0], starttime=start[1], recording=plus)
    return EdfRecording.open(path)


def scored(
    path: Path,
    start: tuple[str, str] = ("09.03.24", "22.30.00"),
    *texts: str,
    plus: str = "a plain EDF",
    minutes: float = 10,
) -> Path:
    """Write a hypnogram that scores ``minutes`` with each of ``texts``, from its start on."""
    bouts = [(60.0 * minutes * i, 60.0 * minutes, text) for i, text in enumerate(texts)]
    write_edf(path, [], annotations=bouts)
    return patch_header(path, startdate=start[0], starttime=start[1], recording=plus)


def minute_of(hypnogram: Hypnogram | None, stage: Stage) -> float:
    assert hypnogram is not None
    return next(s.onset_s for s in hypnogram.spans if s.stage is stage) / 60


ANON = "Startdate X X X X"


@pytest.mark.parametrize(
    ("recorded", "hypnogram", "minute", "told"),
    [
        # the same dummy date in both: clocks compare
        (("01.01.85", "22.00.00"), ("01.01.85", "22.10.00"), 10, None),
        (("01.01.85", "22.00.00"), ("01.01.85", "21.50.00"), -10, None),
        (("01.01.85", "23.55.00"), ("01.01.85", "00.05.00"), 10, None),
        (("01.01.85", "00.05.00"), ("01.01.85", "23.55.00"), -10, None),
        (("01.01.00", "22.00.00"), ("01.01.00", "22.10.00"), 10, None),
        (("01.01.00", "23.55.00"), ("01.01.00", "00.05.00"), 10, None),
        # real dates
        (("09.03.24", "23.55.00"), ("10.03.24", "00.05.00"), 10, None),
        # one file anonymised: the clocks compare, and that is told
        (("01.01.85", "22.00.00"), ("09.03.24", "22.10.00"), 10, "no dates that compare"),
        (("09.03.24", "22.00.00"), ("01.01.85", "22.10.00"), 10, "no dates that compare"),
        (("01.01.85", "23.55.00"), ("10.03.24", "00.05.00"), 10, "no dates that compare"),
        (("00.00.00", "22.00.00"), ("01.01.85", "22.10.00"), 10, "no dates that compare"),
        # no time of day
        (("01.01.85", "00.00.00"), ("01.01.85", "22.10.00"), 0, "no start times that compare"),
        (("09.03.24", "22.00.00"), ("01.01.85", "00.00.00"), 0, "no start times that compare"),
        (("09.03.24", "22.00.00"), ("09.03.24", "xx.xx.xx"), 0, "no start times that compare"),
        (("01.01.85", "00.00.00"), ("01.01.85", "00.00.00"), 0, None),
    ],
)
@pytest.mark.parametrize("plus", ["a plain EDF", ANON])
def test_the_clocks_of_two_files(
    tmp_path: Path,
    recorded: tuple[str, str],
    hypnogram: tuple[str, str],
    minute: int,
    told: str | None,
    plus: str,
) -> None:
    recording = night(tmp_path, recorded, plus)
    path = scored(tmp_path / "h.edf", hypnogram, "Sleep stage ?", "Sleep stage N2", plus=plus)
    found = expert_hypnogram(recording, path)
    assert minute_of(found, N2) == minute + 10
    assert found is not None
    assert len(found.notes) == (told is not None)
    assert all(told is not None and told in note for note in found.notes)


def test_a_dummy_date_in_the_words_of_edf_plus(tmp_path: Path) -> None:
    plus = "Startdate 01-JAN-1985 X X X"
    recording = night(tmp_path, ("01.01.85", "22.00.00"), plus)
    path = scored(tmp_path / "h.edf", ("01.01.85", "22.10.00"), "Sleep stage N2", plus=plus)
    assert minute_of(expert_hypnogram(recording, path), N2) == 10


def test_real_dates_that_differ_are_another_recording(tmp_path: Path) -> None:
    path = scored(tmp_path / "h.edf", ("10.03.24", "22.30.00"), "Sleep stage N2")
    with pytest.raises(InputError, match="24 h 0 min after its start"):
        expert_hypnogram(night(tmp_path), path)


def test_a_hypnogram_from_lights_off_to_lights_on(tmp_path: Path) -> None:
    recording = night(tmp_path)
    path = scored(tmp_path / "h.edf", ("09.03.24", "22.40.00"), "Sleep stage W", "Sleep stage N2")
    found = expert_hypnogram(recording, path)
    assert found is not None
    assert stages_on_grid(found, 0.0, 120) == [None] * 20 + [W] * 20 + [N2] * 20 + [None] * 60


@pytest.mark.parametrize(
    "name", ["night-Hypnogram.edf", "NIGHT-hypnogram.EDF", "night-nsrr.xml", "night-profusion.xml"]
)
def test_the_hypnogram_beside_a_recording_is_found(tmp_path: Path, name: str) -> None:
    recording = night(tmp_path, annotations=[(0.0, 3600.0, "Sleep stage W")])
    assert expert_hypnogram(recording).path == recording.path  # type: ignore[union-attr]
    path = tmp_path / name
    if name.endswith("nsrr.xml"):
        path.write_text(NSRR)
    elif name.endswith("xml"):
        path.write_text(PROFUSION)
    else:
        scored(path, ("09.03.24", "22.30.00"), "Sleep stage N2")
    found = expert_hypnogram(recording)
    assert found is not None
    assert (found.path, found.spans[0].stage) == (path, N2)
    # The recording itself can be named too.
    own = expert_hypnogram(recording, recording.path)
    assert own is not None
    assert own.spans[0].stage is W


NSRR = (
    "<PSGAnnotation><EpochLength>30</EpochLength><ScoredEvents><ScoredEvent>"
    "<EventType>Stages|Stages</EventType><EventConcept>Stage 2 sleep|2</EventConcept>"
    "<Start>0</Start><Duration>60</Duration></ScoredEvent></ScoredEvents></PSGAnnotation>"
)
PROFUSION = (
    "<CMPStudyConfig><EpochLength>30</EpochLength><SleepStages><SleepStage>2</SleepStage>"
    "</SleepStages></CMPStudyConfig>"
)


def test_unknown_words_are_named(tmp_path: Path) -> None:
    texts = ["Sleep stage N2", "Sleep stage X", "Sleep stage X"]
    path = scored(tmp_path / "h.edf", ("09.03.24", "22.30.00"), *texts)
    assert read_hypnogram(path).notes == (
        "h.edf has stages in words that are not known, 'Sleep stage X' (2 times): these epochs "
        "count as unscored.",
    )


def test_a_file_with_unknown_words_only_is_refused(tmp_path: Path) -> None:
    path = scored(tmp_path / "h.edf", ("09.03.24", "22.30.00"), "Eveil", "Stade 2", "Eveil")
    with pytest.raises(InputError, match=r"but 'Eveil' \(2 times\), 'Stade 2' \(once\)"):
        read_hypnogram(path)
