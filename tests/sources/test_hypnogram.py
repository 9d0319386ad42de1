"""The expert's stages on the epoch grid, and hypnograms of other recordings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract import Stage
from monitor.config import Grid
from monitor.errors import InputError
from monitor.sources.edf import EdfRecording
from monitor.sources.expert import expert_hypnogram, read_hypnogram
from monitor.sources.hypnogram import (
    Hypnogram,
    StageSpan,
    grid_origin_s,
    stages_on_grid,
)
from tests.edf_files import Signal, ramp, write_edf

EXCERPT = Path(__file__).parents[2] / "monitor" / "demo" / "excerpt.edf"
DATA = Path(__file__).parents[1] / "data"
NIGHT = (date(2024, 3, 9), time(22, 30))
W, N1, N2, N3, R = Stage


def hypnogram(*spans: tuple[float, float, Stage | None]) -> Hypnogram:
    return Hypnogram(Path("h.edf"), tuple(StageSpan(*span) for span in spans), None)


def recording(
    path: Path,
    duration_s: int,
    start: tuple[date, time] | None = NIGHT,
    annotations: Sequence[tuple[float, float | None, str]] | None = None,
) -> EdfRecording:
    signal = Signal("EEG", ramp(duration_s), 1)
    return EdfRecording.open(write_edf(path, [signal], start=start, annotations=annotations))


def test_the_expert_of_the_excerpt_begins_at_10_s() -> None:
    hypnogram = expert_hypnogram(EdfRecording.open(EXCERPT))
    assert hypnogram is not None
    origin_s = grid_origin_s("auto", hypnogram)
    assert origin_s == pytest.approx(10.01, abs=1e-9)
    stages = stages_on_grid(hypnogram, origin_s, 167)
    assert Counter(stages) == {W: 2, N1: 7, N2: 95, N3: 37, R: 26}
    assert stages[:4] == [R, W, N1, N2]


@pytest.mark.parametrize(
    ("name", "duration_s", "n_spans", "counts"),
    [
        ("SC4061EC", 83_100, 78, {W: 2069, N1: 56, N2: 407, N3: 136, R: 102}),
        ("SC4002EC", 84_900, 152, {W: 1885, N1: 59, N2: 373, N3: 297, R: 215, None: 1}),
    ],
)
def test_hypnograms_of_sleep_edf(
    tmp_path: Path, name: str, duration_s: int, n_spans: int, counts: dict[Stage | None, int]
) -> None:
    path = DATA / f"{name}-Hypnogram.edf"
    alone = read_hypnogram(path)
    assert len(alone.spans) == n_spans
    assert alone.start_utc is not None
    psg = recording(
        tmp_path / "psg.edf", duration_s, (alone.start_utc.date(), alone.start_utc.time())
    )
    matched = expert_hypnogram(psg, path)
    assert matched == alone
    assert grid_origin_s("auto", matched) == 0.0
    stages = stages_on_grid(alone, 0.0, duration_s // 30)
    assert Counter(stages) == counts
    assert stages_on_grid(alone, 0.0, 2880)[duration_s // 30 :] == [None] * (2880 - len(stages))


def test_every_wording_of_a_stage(tmp_path: Path) -> None:
    words: list[tuple[str, Stage | None]] = [
        ("Sleep stage W", W),
        ("Sleep stage 1", N1),
        ("Sleep stage 2", N2),
        ("Sleep stage 3", N3),
        ("Sleep stage 4", N3),
        ("Sleep stage N1", N1),
        ("Sleep stage N2@@EEG F4-A1", N2),
        ("sleep stage n3", N3),
        ("Sleep stage R", R),
        ("Sleep stage ?", None),
        ("Movement time", None),
        ("Sleep stage X", None),
    ]
    annotations = [(30.0 * i, 30.0, text) for i, (text, _) in enumerate(words)]
    annotations += [(45.0, 3.0, "Arousal"), (0.0, 0.0, "Lights off@@EEG F4-A1")]
    night = recording(tmp_path / "night.edf", 30 * len(words), annotations=annotations)
    found = expert_hypnogram(night)
    assert found is not None
    assert [span.stage for span in found.spans] == [stage for _, stage in words]


def test_a_stage_without_duration_lasts_until_the_next(tmp_path: Path) -> None:
    annotations = [(0.0, None, "Sleep stage W"), (90.0, None, "Sleep stage N1")]
    found = expert_hypnogram(recording(tmp_path / "night.edf", 120, annotations=annotations))
    assert found is not None
    assert found.spans == (StageSpan(0.0, 90.0, W), StageSpan(90.0, 30.0, N1))


def test_a_recording_may_have_no_stages(tmp_path: Path) -> None:
    night = recording(tmp_path / "night.edf", 120, annotations=[(0.0, None, "Lights off")])
    assert expert_hypnogram(night) is None


@pytest.mark.parametrize(
    ("grid", "first_sample_s", "origin_s"),
    [
        ("start", 0.0, 0.0),
        ("start", 0.25, 0.25),
        ("auto", 0.0, 10.0),
        ("auto", 10.0, 10.0),
        ("auto", 10.5, 40.0),
        (0, 0.0, 0.0),
        (12.5, 0.0, 12.5),
        (3612.5, 0.0, 12.5),
        (30, 0.0, 0.0),
        (30, 0.25, 30.0),
    ],
)
def test_the_grid_options(grid: Grid, first_sample_s: float, origin_s: float) -> None:
    stages = hypnogram((0, 40, W), (40, 300, N2), (340, 30, R), (370, 17, None))
    assert grid_origin_s(grid, stages, first_sample_s) == pytest.approx(origin_s, abs=1e-9)


def test_without_a_hypnogram_the_grid_starts_with_the_first_sample() -> None:
    assert grid_origin_s("auto", None, 0.25) == 0.25


@given(
    phase_s=st.integers(0, 2999).map(lambda tick: tick / 100),
    epochs=st.lists(st.integers(1, 90), min_size=3, max_size=40),
)
def test_the_grid_follows_the_expert(phase_s: float, epochs: list[int]) -> None:
    spans: list[tuple[float, float, Stage | None]] = []
    at_s = 0.0
    for i in range(len(epochs)):
        end_s = phase_s + 30.0 * sum(epochs[: i + 1])
        spans.append((at_s, end_s - at_s, (W, N2, None)[i % 3]))
        at_s = end_s
    origin_s = grid_origin_s("auto", hypnogram(*spans))
    assert origin_s == pytest.approx(phase_s, abs=1e-6)
    stages = stages_on_grid(hypnogram(*spans), origin_s, sum(epochs))
    assert stages == [(W, N2, None)[i % 3] for i, n in enumerate(epochs) for _ in range(n)]


@pytest.mark.parametrize(
    ("spans", "stage"),
    [
        ([(0, 16, W), (16, 14, N1)], W),
        ([(0, 14, W), (14, 16, N1)], N1),
        ([(0, 10, W), (10, 12, N1), (22, 8, W)], W),
        ([(0, 15, N1), (15, 15, N2)], N1),
        ([(0, 14, N2)], None),
        ([(0, 16, None), (16, 14, R)], None),
        ([(0, 10, None), (10, 11, R)], None),
        ([(-300, 1000, N3)], N3),
        ([(30, 30, N3)], None),
    ],
)
def test_an_epoch_gets_the_stage_that_fills_most_of_it(
    spans: list[tuple[float, float, Stage | None]], stage: Stage | None
) -> None:
    assert stages_on_grid(hypnogram(*spans), 0.0, 1) == [stage]
    shifted = [(onset_s + 12345.67, duration_s, s) for onset_s, duration_s, s in spans]
    assert stages_on_grid(hypnogram(*shifted), 12345.67, 1) == [stage]


def scored(path: Path, *spans: tuple[float, float, str], start: object = NIGHT) -> Path:
    annotations = [(onset_s, length_s, f"Sleep stage {s}") for onset_s, length_s, s in spans]
    return write_edf(path, [], annotations=annotations, start=start)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spans", "start", "covers"),
    [
        ([(0, 7200, "N2")], NIGHT, "2 h 0 min from its start"),
        ([(0, 3660, "N2")], NIGHT, "61 min from its start"),
        ([(0, 3600, "?"), (3600, 60, "W")], None, "61 min from its start"),
        ([(0, 3600, "N2")], (NIGHT[0], time(22, 40)), "60 min from 10 min after its start"),
        (
            [(0, 3600, "N2")],
            (date(2024, 3, 8), NIGHT[1]),
            "60 min from 24 h 0 min before its start",
        ),
    ],
)
def test_refuses_the_hypnogram_of_another_recording(
    tmp_path: Path, spans: list[tuple[float, float, str]], start: object, covers: str
) -> None:
    night = recording(tmp_path / "night.edf", 3600)
    path = scored(tmp_path / "h.edf", *spans, start=start)
    with pytest.raises(InputError) as caught:
        expert_hypnogram(night, path)
    assert str(caught.value) == (
        f"{path} does not belong to {night.path}: it covers {covers}, the recording lasts 60 min. "
        "Give the hypnogram of this recording"
    )


@pytest.mark.parametrize(
    "spans",
    [
        [(0, 3600, "N2")],
        [(0, 3630, "N2")],
        [(0, 3570, "N2")],
        [(0, 3540, "N2")],
        [(1800, 600, "N2")],
        [(0, 3600, "N2"), (3600, 86400, "?")],
    ],
)
def test_a_hypnogram_may_be_shorter_or_one_epoch_longer(
    tmp_path: Path, spans: list[tuple[float, float, str]]
) -> None:
    night = recording(tmp_path / "night.edf", 3600)
    assert expert_hypnogram(night, scored(tmp_path / "h.edf", *spans)) is not None


def test_a_hypnogram_may_start_at_another_time(tmp_path: Path) -> None:
    night = recording(tmp_path / "night.edf", 3600)
    earlier = (NIGHT[0], time(22, 29, 50))
    path = scored(tmp_path / "h.edf", (0, 40, "?"), (40, 3570, "N2"), start=earlier)
    found = expert_hypnogram(night, path)
    assert found is not None
    assert found.spans == (StageSpan(-10.0, 40.0, None), StageSpan(30.0, 3570.0, N2))
    assert found.start_utc == datetime(2024, 3, 9, 22, 30, tzinfo=UTC)


def test_without_a_real_date_the_stages_are_not_shifted(tmp_path: Path) -> None:
    night = recording(tmp_path / "night.edf", 3600)
    path = scored(tmp_path / "h.edf", (0, 3600, "N2"), start=None)
    found = expert_hypnogram(night, path)
    assert found is not None
    assert (found.spans, found.start_utc) == ((StageSpan(0.0, 3600.0, N2),), None)


def test_refuses_a_file_without_stages(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "h.edf", [], annotations=[(0.0, None, "Lights off")])
    with pytest.raises(InputError) as caught:
        read_hypnogram(path)
    assert str(caught.value) == (
        f"{path} holds no sleep stages: give an EDF+ hypnogram, whose annotations read "
        "'Sleep stage W', 'Sleep stage N2' and so on"
    )
