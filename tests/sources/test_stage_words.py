"""Stage words of scoring programs, and words that are not stages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract import Stage
from monitor.sources.stage_words import stage_word

W, N1, N2, N3, R = Stage
PROGRAMS: dict[str, list[tuple[str, Stage | None]]] = {
    "EDF+, Sleep-EDF": [
        *(
            ("Sleep stage W", W),
            ("Sleep stage 1", N1),
            ("Sleep stage 2", N2),
            ("Sleep stage 3", N3),
        ),
        *(("Sleep stage 4", N3), ("Sleep stage R", R), ("Sleep stage M", None)),
        *(("Sleep stage ?", None), ("Movement time", None), ("Sleep stage N2@@EEG F4-A1", N2)),
    ],
    "spelling": [
        *(("SLEEP STAGE n3", N3), (" Sleep  stage\tN1 ", N1), ("Sleep_stage_N2", N2)),
        *(("sleep.stage.2", N2), ("Stage: N2", N2), ("Stage-N3", N3), ("Sleep stage (R)", R)),
    ],
    "AASM": [
        *(("Sleep stage N1", N1), ("Stage N1", N1), ("N1", N1), ("N 2", N2), ("NREM1", N1)),
        *(("NREM 2", N2), ("NREM-3", N3), ("Non-REM 1", N1), ("Sleep stage REM", R), ("REM", R)),
        *(("Rem", R), ("Stage R", R), ("WAKE", W), ("Wake", W), ("Awake", W), ("Stage W", W)),
        *(("Stage Wake", W), ("N2 sleep", N2), ("REM sleep", R), ("R", R), ("W", W)),
    ],
    "R&K": [
        *(("S1", N1), ("S2", N2), ("S3", N3), ("S4", N3), ("SWS", N3), ("Sleep stage S1", N1)),
        *(("Stage 1", N1), ("Stage 4", N3), ("MT", None), ("Stage MT", None), ("N4", N3)),
    ],
    "NSRR, Profusion": [
        *(("Stage 1 sleep|1", N1), ("Stage 4 sleep|4", N3), ("REM sleep|5", R), ("Wake|0", W)),
        *(("Unscored|9", None), ("Movement|6", None), ("0", W), ("3", N3), ("5", R), ("9", None)),
        *(("Sleep stage 0", W), ("Sleep stage 5", R), ("Sleep stage 9", None)),
    ],
    "CAP": [
        *(("SLEEP-S0", W), ("SLEEP-S1", N1), ("SLEEP-S4", N3), ("SLEEP-REM", R), ("S0", W)),
        *(("SLEEP-MT", None), ("SLEEP-UNSCORED", None)),
    ],
    "Domino": [
        *(("Wach", W), ("Rem", R), ("Bewegung", None), ("Artefakt", None), ("Tiefschlaf", N3)),
        *(("Schlafstadium N2", N2), ("Stadium 2", N2), ("REM-Schlaf", R)),
    ],
    "unscored": [
        *((word, None) for word in ("Unscored", "Unknown", "Artefact", "artifact", "Not scored")),
        *((f"Sleep stage {word}", None) for word in ("Unscored", "UNKNOWN", "Artefact", "L")),
    ],
}


@pytest.mark.parametrize(("text", "stage"), [pair for pairs in PROGRAMS.values() for pair in pairs])
def test_stage_words(text: str, stage: Stage | None) -> None:
    word = stage_word(text)
    assert word is not None
    assert word.known
    assert word.stage == stage


@pytest.mark.parametrize(
    "text",
    [
        *("", "@@EEG", "Arousal", "Arousal (REM)", "REM density", "Rapid eye movement", "LM", "A"),
        *("Lights off", "Lights on", "L", "Sleep onset", "Sleep spindle", "Sleep apnea", "RERA"),
        *("Arousal|Arousal ()", "SDO|SDO", "Respiratory|5", "Hypopnea", "N2 spindle"),
        *("Recording starts", "W2", "R1", "12", "S 10", "PLM 2", "Limb movement", "K-complex"),
    ],
)
def test_other_annotations_are_no_stages(text: str) -> None:
    assert stage_word(text) is None


@pytest.mark.parametrize(
    "text", ["Sleep stage X", "Stage N5", "Sleep stage N", "Sleep stage", "NREM", "Light sleep"]
)
def test_a_stage_in_another_word_is_one_that_is_not_known(text: str) -> None:
    word = stage_word(text)
    assert word is not None
    assert not word.known
    assert word.stage is None


@given(st.text(max_size=60))
def test_any_text_is_read(text: str) -> None:
    word = stage_word(text)
    assert word is None or word.known or word.stage is None
