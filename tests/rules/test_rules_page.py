"""The examples of RULES.md: each is read as a configuration and tried on a night."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from monitor.child_programs import PLAYERS
from monitor.config import Rule, read_settings
from monitor.config.rules import STAGE_GROUPS
from monitor.night.decision import HeldReason
from monitor.rules.actions import NAMES
from monitor.rules.trying import TriedNight, try_rules
from monitor.types import MarkKind
from tests.pages import ROOT, code_blocks
from tests.report.stored_night import store_stages
from tests.rules.scripted import Script, fired, held

PAGE = ROOT / "monitor" / "rules" / "RULES.md"
ALARM, LIGHTS, STUDY = code_blocks(PAGE, "toml")


def rules_of(text: str, folder: Path) -> tuple[Rule, ...]:
    path = folder / "rules.toml"
    path.write_text(text, encoding="utf-8")
    return read_settings(path).rule


def tried(text: str, folder: Path, stages: str, start: datetime) -> TriedNight:
    night = store_stages(folder / "night.sqlite", stages, start=start)
    return try_rules(rules_of(text, folder), night, UTC)


@pytest.mark.parametrize(
    ("stages", "rings"),
    [("3" * 240, "07:00"), ("3" * 80 + "2222" + "3" * 160, "06:41"), ("?" * 240, "07:00")],
)
def test_the_smart_alarm(stages: str, rings: str, tmp_path: Path) -> None:
    made = tried(ALARM, tmp_path, stages, datetime(2026, 11, 27, 6, 0, tzinfo=UTC))
    (rung,) = made.occasions(made.rules[0])
    assert f"{rung.time_utc:%H:%M}" == rings


def test_the_lights(tmp_path: Path) -> None:
    off, on = rules_of(LIGHTS, tmp_path)
    script = Script().sleep("W" * 4 + "2" * 30).mark(MarkKind.LIGHTS_ON).sleep("W")
    made = script.decide(off, on)
    assert [(each.rule, script.minute(each)) for each in fired(made)] == [
        ("asleep: lights off", 12.0),
        ("up: lights on", 17.0),
    ]


def test_the_study(tmp_path: Path) -> None:
    (cue,) = rules_of(STUDY, tmp_path)
    script = Script().sleep("W" * 4).mark(MarkKind.NOTE, "arm cues").sleep("2" * 30, 0.9)
    script.sleep("3" * 40, 0.9).sleep("3", 0.5).sleep("3" * 60, 0.9)
    made = script.decide(cue)
    assert len(fired(made)) + held(made).count("sham") == 60
    assert 15 < held(made).count("sham") < 45
    assert script.minute(made[0]) == 20.0
    assert set(held(Script().sleep("2" * 30 + "3" * 40, 0.9).decide(cue))) == {"not_armed"}


def test_the_page_names_every_key_word_and_reason() -> None:
    page = PAGE.read_text(encoding="utf-8")
    keys = [field.alias or name for name, field in Rule.model_fields.items() if name != "name"]
    words = [*keys, *STAGE_GROUPS, *HeldReason, *NAMES, *MarkKind, *(each[0] for each in PLAYERS)]
    assert [word for word in words if f"`{word}`" not in page] == []
