"""Stages among the annotations of a file: no event becomes one, and no stage is lost unseen."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.contract import Stage
from monitor.errors import InputError
from monitor.sources.hypnogram import StageSpan, contradiction_note
from monitor.sources.recording import Annotation
from monitor.sources.stage_annotations import StageAnnotations, pick_stages

W, N1, N2, N3, R = Stage


def pick(*annotations: tuple[float, float, str]) -> StageAnnotations:
    return pick_stages(Path("h.edf"), [Annotation(*each) for each in annotations])


def each_epoch(*texts: str, duration_s: float = 30.0) -> list[tuple[float, float, str]]:
    return [(30.0 * i, duration_s, text) for i, text in enumerate(texts)]


@pytest.mark.parametrize("duration_s", [0.0, 30.0])
@pytest.mark.parametrize(
    "texts",
    [
        ["W", "1", "2", "4", "5"],
        ["W", "S1", "S2", "S3", "R"],
        ["0", "1", "2", "3", "5"],
        ["Wach", "N1", "N2", "N3", "Rem"],
    ],
)
def test_words_without_prefix_are_stages(texts: list[str], duration_s: float) -> None:
    picked = pick(*each_epoch(*texts, duration_s=duration_s))
    assert [span.stage for span in picked.spans] == [W, N1, N2, N3, R]
    assert not picked.unknown


def test_triggers_are_no_stages() -> None:
    assert pick((12.1, 0, "1"), (13.3, 0, "2"), (60, 0, "S1"), (90, 0, "R")).spans == ()
    assert pick((0, 10, "1"), (10, 10, "2"), (20, 10, "W")).spans == ()


def test_events_between_stages_change_nothing() -> None:
    stages = each_epoch("Sleep stage N2", "Sleep stage R", duration_s=0)
    events = [(7, 3, "R"), (12, 0, "Movement"), (33, 15, "Arousal (REM)"), (40, 30, "Hypopnea")]
    picked = pick(*sorted([*stages, *events]))
    assert picked.spans == (StageSpan(0, 30, N2), StageSpan(30, 30, R))
    assert not picked.unknown


def test_numbers_up_to_4_are_refused() -> None:
    """YASA writes REM as 4, Rechtschaffen & Kales their deepest stage."""
    with pytest.raises(InputError, match="4, which is N3 in some programs and REM in others"):
        pick(*each_epoch("0", "1", "2", "3", "4"))
    assert [s.stage for s in pick(*each_epoch("0", "1", "2", "3", "4", "5")).spans][-2:] == [N3, R]
    assert [s.stage for s in pick(*each_epoch("0", "1", "2", "3")).spans] == [W, N1, N2, N3]


def test_epochs_without_a_stage_do_not_tell_what_4_is() -> None:
    with pytest.raises(InputError, match="4, which is N3 in some programs and REM in others"):
        pick(*each_epoch("0", "1", "2", "3", "4", "?", "unscored", "-1"))


def test_numbers_below_0_are_no_stages() -> None:
    """YASA writes -1 for an artefact and -2 for an epoch that is not scored."""
    picked = pick(*each_epoch("W", "-1", "-2", "Sleep stage -1", "Sleep stage 2"))
    assert [span.stage for span in picked.spans] == [W, None, None, None, N2]
    assert not picked.unknown
    assert pick(*each_epoch("Sleep stage W", "Sleep stage -3")).unknown == {"Sleep stage -3": 1}


@pytest.mark.parametrize(
    "word", ["Wake (eyes open)", "\u00c9veil", "Veille", "NREM stage 2 ?", "N1?", "N1? (light)"]
)
def test_a_word_that_looks_like_a_stage_ends_the_one_before(word: str) -> None:
    picked = pick((0, 0, "Sleep stage N2"), (300, 0, word), (600, 0, "Sleep stage N3"))
    assert [(s.onset_s, s.end_s, s.stage) for s in picked.spans] == [
        (0, 300, N2),
        (300, 600, picked.spans[1].stage),
        (600, 630, N3),
    ]
    assert picked.spans[1].stage is not N2 and picked.spans[1].stage is not N3
    assert picked.unknown == {word: 1} or picked.spans[1].stage is N1


def test_an_event_ends_no_stage() -> None:
    events = [(90, 0, "Arousal (REM)"), (120, 0, "REM density"), (150, 0, "Sleep onset")]
    picked = pick((0, 0, "Sleep stage N2"), *events, (600, 0, "Sleep stage N3"))
    assert picked.spans[0] == StageSpan(0, 600, N2)
    assert not picked.unknown


def test_stages_that_contradict_each_other_are_noted() -> None:
    spans = (StageSpan(0, 1200, W), StageSpan(300, 300, N2), StageSpan(1200, 30, N2))
    assert contradiction_note(Path("h.edf"), spans) == (
        "h.edf: 1 stage lies on others that differ; of each two the first counts.",
    )
    assert contradiction_note(Path("h.edf"), spans[::2]) == ()


def test_unknown_words_are_counted() -> None:
    picked = pick(*each_epoch("Sleep stage W", *["Sleep stage X"] * 3, "NREM", "Sleep stage ?"))
    assert [span.stage for span in picked.spans] == [W, None, None, None, None, None]
    assert picked.unknown_words == "'Sleep stage X' (3 times), 'NREM' (once)"


def test_words_of_another_language_are_counted_where_they_fill_epochs() -> None:
    texts = ["Sleep stage W", "Paradoxal", "Paradoxal", "Sleep stage N2", "Paradoxal"]
    assert pick(*each_epoch(*texts)).unknown == {"Paradoxal": 3}
    assert pick(*each_epoch("Eveil", "Stade 2", "Eveil")).unknown == {"Eveil": 2, "Stade 2": 1}


def test_a_list_of_epochs_without_durations_keeps_its_holes() -> None:
    picked = pick((0, 0, "N2"), (30, 0, "N2"), (60, 0, "Paradoxal"), (150, 0, "R"))
    assert picked.spans == (StageSpan(0, 30, N2), StageSpan(30, 30, N2), StageSpan(150, 30, R))
