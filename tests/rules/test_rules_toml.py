"""The tables [[rule]] of the configuration: what they mean, and one clear line if one is wrong."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from pathlib import Path

import pytest

from models.contract import Stage
from monitor.config import Settings, read_settings
from monitor.errors import InputError

ACT = 'command = ["true"]'
SOURCE = '[[sleeper]]\nsource = "lsl"\nsleeper = "anna"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def settings(folder: Path, text: str) -> Settings:
    path = folder / "rules.toml"
    path.write_text(text, encoding="utf-8")
    return read_settings(path)


def test_every_key_of_a_rule(folder: Path) -> None:
    (rule,) = settings(
        folder,
        """
        [[rule]]
        name = "cue"
        sleeper = "anna"
        stage = ["N2", "deep"]
        track = "revised"
        confidence = 0.8
        for = "1.5 min"
        after_sleep = "1 h"
        after_n2 = "90 s"
        after_lights_off = "30min"
        between = ["23:00", 05:30:00]
        sound = "bell.wav"
        limit = "1 min"
        mqtt = { topic = "lamp/set", payload = "ON", retain = true }
        http = { url = "https://example.org/hook" }
        lsl = "cue"
        osc = { address = "/cue", values = [1, 0.5, "a"] }
        command = ["beep", "-f", "440"]
        every = "1 min"
        refractory = "30 s"
        cap = 20
        sham = 0.5
        seed = 42
        arm = { until = 2026-11-28T12:00:00 }
        dry_run = true
        fresh = "10 s"
        """,
    ).rule
    assert rule.stage == frozenset([Stage.N2, Stage.N3])
    assert (rule.for_, rule.after_lights_off) == (timedelta(seconds=90), timedelta(minutes=30))
    assert rule.between == (time(23), time(5, 30))
    assert rule.sound == folder / "bell.wav"  # relative to the file, from every working folder
    assert rule.osc is not None
    assert rule.osc.values == (1, 0.5, "a")
    assert rule.arm is not None
    assert rule.arm.until == datetime(2026, 11, 28, 12)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (f'{ACT}\nstage = "N5"', "rule[1].stage: must be one or several of W, N1"),
        (f"{ACT}\nstage = []", "rule[1].stage: must be one or several"),
        (f'{ACT}\nstage = "N2"\ntrack = "best"', "rule[1].track: must be 'live' or 'revised'"),
        (f'{ACT}\nstage = "N2"\nconfidence = 80', "rule[1].confidence: must be less than or equal"),
        (
            f'{ACT}\nstage = "N2"\nfor = 90',
            'rule[1].for: must be a time with its unit, such as "90',
        ),
        (f'{ACT}\nstage = "N2"\nfor = "0 s"', "rule[1].for: must be more than 0 s"),
        (
            f'{ACT}\nafter_sleep = "25 h"',
            "rule[1].after_sleep: must be more than 0 s and at most 24",
        ),
        (
            f'{ACT}\nbetween = ["7:00", "08:00"]',
            "rule[1].between[1]: must be a time of day such as",
        ),
        (f'{ACT}\nbetween = ["07:00", "07:00"]', "rule[1].between: must be two different times"),
        (f'{ACT}\nlatest = "24:00"', "rule[1].latest: must be a time of day"),
        (f'{ACT}\nstge = "N2"', "rule[1].stge: unknown key; did you mean 'stage'?"),
        (f'{ACT}\nfor_ = "1 min"', "rule[1].for_: unknown key; did you mean 'for'?"),
        (f'{ACT}\nmark = "tea"', "rule[1].mark: must be 'lights_off', 'lights_on' or 'note'"),
        (f'{ACT}\nmark = "lights_on"\nnote = "tea"', 'rule[1]: note needs mark = "note"'),
        (f'{ACT}\nfor = "1 min"\nmark = "note"', "rule[1]: for needs stage"),
        (f'{ACT}\nelectrode = "AF7"\nstage = "W"', "rule[1]: electrode needs electrode_off"),
        (f'{ACT}\nmark = "note"\nelectrode_off = "5 min"', "rule[1]: mark excludes electrode_off"),
        (
            f'{ACT}\nmark = "lights_off"\nafter_lights_off = "1 min"',
            "rule[1]: after_lights_off can never hold at the mark lights_off",
        ),
        (
            f'{ACT}\nstage = "unscored"\nconfidence = 0.5',
            "rule[1]: confidence can never be reached: an unscored epoch has none",
        ),
        (ACT, "rule[1]: has no condition: give stage"),
        ('stage = "N2"', "rule[1]: has no action: give command"),
        ('stage = "N2"\ncommand = [""]', "rule[1]: command must begin with a program"),
        ('stage = "N2"\ncommand = "beep"', "rule[1].command: must be a valid tuple"),
        (
            f'{ACT}\nstage = "N2"\nbetween = ["06:30", "07:00"]\nlatest = "07:30"',
            "rule[1]: latest must lie between the two times of between",
        ),
        (
            f'{ACT}\nbetween = ["23:30", "00:30"]\nlatest = "23:00"',
            "rule[1]: latest must lie between the two times of between",
        ),
        (f'{ACT}\nlatest = "07:00"\nsham = 0.5', "rule[1]: sham excludes latest: an alarm rings"),
        (f'{ACT}\nlatest = "07:00"\ncap = 2', "rule[1]: cap must be 1 with latest"),
        (f'{ACT}\nstage = "N2"\ncap = 0', "rule[1].cap: must be greater than or equal to 1"),
        (f'{ACT}\nstage = "N2"\nsham = 1', "rule[1].sham: must be less than 1"),
        (f'{ACT}\nstage = "N2"\nseed = 1', "rule[1]: seed needs sham"),
        (f'{ACT}\nmark = "note"\nevery = "1 min"', "rule[1]: every excludes mark"),
        (f'{ACT}\nstage = "W"\ncap = 1\nevery = "1 min"', "rule[1]: every excludes cap = 1"),
        (
            f'{ACT}\nstage = "W"\nevery = "1 min"\nrefractory = "2 min"',
            "rule[1]: every must be at least refractory",
        ),
        (f'{ACT}\nstage = "W"\narm = {{ note = "go" }}', "rule[1].arm: note and lasts belong"),
        (f'{ACT}\nstage = "W"\narm = {{ till = 1 }}', "rule[1].arm.till: unknown key"),
        (
            f'{ACT}\nstage = "W"\narm = {{ until = "soon" }}',
            "rule[1].arm.until: must be a local date",
        ),
        ('stage = "W"\nhttp = { url = "secret" }', "rule[1].http.url: is not valid: write http://"),
        ('stage = "W"\nosc = { address = "cue" }', 'rule[1].osc.address: must begin with "/"'),
        ('stage = "W"\nmqtt = { topic = "a/#" }', "rule[1].mqtt.topic: must be a topic without"),
        ('stage = "W"\nhttp = "https://secret.org"', "rule[1].http: must be a valid"),
        (f'{ACT}\nstage = "W"\nlimit = "2 h"', "rule[1]: limit must be at most 30 min"),
        (f'{ACT}\nstage = "W"\nname = "a\\nb"', "rule[1].name: must be one line"),
    ],
)
def test_a_rule_that_can_never_fire_or_contradicts_itself_is_one_line(
    keys: str, message: str, folder: Path
) -> None:
    name = "" if "name =" in keys else 'name = "a rule"\n'
    with pytest.raises(InputError) as raised:
        settings(folder, f"[[rule]]\n{name}{keys}\n")
    text = str(raised.value)
    assert text.startswith(f"{folder / 'rules.toml'}: {message}")
    assert "\n" not in text
    assert "secret" not in text


def test_two_rules_of_one_name_and_a_rule_without_one(folder: Path) -> None:
    table = f'[[rule]]\nname = "Wake"\nstage = "W"\n{ACT}\n'
    with pytest.raises(InputError, match=r"rule: two rules are called 'Wake'"):
        settings(folder, table + table)
    with pytest.raises(InputError, match=r"rule\[1\].name: is missing"):
        settings(folder, f'[[rule]]\nstage = "W"\n{ACT}\n')
    with pytest.raises(
        InputError, match=r"rule: must be tables: begin each with a line \[\[rule\]\]"
    ):
        settings(folder, 'rule = "W"\n')


def test_a_rule_for_nobody_is_refused_when_a_night_begins(folder: Path) -> None:
    text = f'{SOURCE}[[rule]]\nname = "a"\nsleeper = "ben"\nstage = "W"\n{ACT}\n'
    with pytest.raises(InputError, match=r"rule\[1\].sleeper: .* no sleeper 'ben' is monitored"):
        settings(folder, text).live()
    assert len(settings(folder, text.replace("ben", "anna")).live().rules) == 1
