"""The words of a night for a person who sleeps, not for a researcher."""

from __future__ import annotations

from models.contract import Stage
from monitor.types import Reason

PLAIN_ROWS = {Stage.W: "Awake", Stage.R: "Dreaming", Stage.N2: "Light", Stage.N3: "Deep"}
"""Kinds of sleep that a person tells apart, top to bottom. N1 and N2 are both light sleep."""

_SENTENCES = {
    Stage.W: "Awake",
    Stage.R: "Dreaming (REM)",
    Stage.N2: "Light sleep",
    Stage.N3: "Deep sleep",
}

NO_READING = {
    Reason.MISSING: "the signal was lost",
    Reason.FLAT: "electrode off",
    Reason.RAILED: "electrode off or loose",
    Reason.MAINS: "electrode off, mains hum",
    Reason.AMPLITUDE: "too much movement",
    Reason.NOISE: "poor contact",
}
"""Words for the reason why an epoch is unscored."""


def plain_stage(stage: Stage | None) -> Stage | None:
    """Return the stage that stands for ``stage`` in `PLAIN_ROWS`; None is no reading."""
    return Stage.N2 if stage is Stage.N1 else stage


def stage_words(stage: Stage | None, reason: Reason | None = None) -> str:
    """Return ``stage`` in words, "Light sleep"; None with its ``reason``."""
    plain = plain_stage(stage)
    if plain is None:
        return f"No reading: {NO_READING[reason]}" if reason else "No reading"
    return _SENTENCES[plain]
