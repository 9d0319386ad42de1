"""A rule fires, or is held back with a reason; the same after a restart."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from models.contract import Stage
from monitor.night.decision import Cause, Decision, HeldReason
from monitor.night.events import decision_of, rule_event
from monitor.rules.engine import ClockReading
from monitor.rules.walking import walk
from monitor.types import Contact, Event, MarkKind, SignalState
from tests.rules.scripted import BERLIN, EVENING, Script, fired, held, in_zone, rule


def minutes(script: Script, **keys: object) -> list[float]:
    """Return the minutes of the night in which a rule fires."""
    return [script.minute(each) for each in fired(script.decide(rule(**keys)))]


# --- when: stages


def test_a_rule_fires_at_the_end_of_the_first_epoch_in_its_stage_once() -> None:
    script = Script().sleep("WW22222W22")
    (first, second) = script.decide(rule(stage="N2"))
    assert (script.minute(first), first.epoch_index, first.stage) == (1.5, 2, Stage.N2)
    assert first.sample_utc == first.time_utc == EVENING + timedelta(minutes=1.5)
    assert (script.minute(second), second.number, second.occasion) == (4.5, 2, 2)


@pytest.mark.parametrize(
    ("word", "letters"),
    [("asleep", "123R"), ("nrem", "123"), ("light", "12"), ("deep", "3"), ("rem", "R"), ("W", "W")],
)
def test_a_group_stands_for_its_stages(word: str, letters: str) -> None:
    for letter in "W123R?":
        assert bool(Script().sleep(letter).decide(rule(stage=word))) == (letter in letters)


def test_for_so_long_means_every_epoch_without_a_break() -> None:
    assert minutes(Script().sleep("W" + "2222" + "W" + "22222"), stage="N2", for_="2.5 min") == [
        5.5
    ]
    assert minutes(Script().sleep("222?22222"), stage="N2", for_="2 min") == [4.0]


def test_an_unsure_epoch_does_not_count() -> None:
    script = Script().sleep("22", 0.5).sleep("22", 0.9)
    assert minutes(script, stage="N2", confidence=0.8) == [1.5]


def test_nothing_fires_on_an_unscored_epoch_unless_asked() -> None:
    script = Script().sleep("?????")
    assert script.decide(rule(stage=["awake", "asleep"]), rule(name="b", after_sleep="30 s")) == []
    assert len(script.decide(rule(stage="unscored"))) == 1


def test_the_revised_track_sees_what_is_known_by_then() -> None:
    script = Script().sleep("22W").revise(2, "2").sleep("2")
    assert minutes(script, stage="N2", for_="2 min") == []
    assert minutes(script, stage="N2", for_="2 min", track="revised") == [2.0]


def test_after_so_much_sleep_or_n2() -> None:
    script = Script().sleep("W1" + "2" * 4 + "W" + "3R22")
    assert minutes(script, after_sleep="3 min") == [4.0]
    assert minutes(script, after_n2="3 min") == [5.5]
    assert minutes(script, after_n2="1 min", stage="rem") == [4.5]


# --- when: time, marks, electrodes


def test_since_lights_off() -> None:
    script = Script().sleep("WW").mark(MarkKind.LIGHTS_OFF).sleep("W" * 6)
    assert minutes(script, after_lights_off="2 min") == [3.0]
    assert minutes(script, after_lights_off="2 min", stage="N2") == []


@pytest.mark.parametrize(
    ("window", "zone", "expected"),
    [
        (["22:10", "22:20"], UTC, [10.0]),
        (["23:30", "00:30"], BERLIN, [30.0]),  # 22:30 UTC is 23:30 in Berlin
        (["23:30", "23:00"], UTC, [0.5, 90.0]),  # all but half an hour, across midnight
        (["06:00", "07:00"], UTC, []),
    ],
)
def test_between_clock_times_across_midnight(
    window: list[str], zone: object, expected: list[float]
) -> None:
    script = Script().sleep("2" * 240)
    made = fired(script.decide(rule(stage="N2", between=window), zone=zone))
    assert [script.minute(each) for each in made] == expected


def test_a_clock_time_alone_fires_at_that_second() -> None:
    (made,) = Script().sleep("W" * 30).decide(rule(between=["22:05", "23:00"]))
    assert (made.time_utc, made.cause) == (EVENING + timedelta(minutes=5), Cause.TIME)


def test_at_a_mark() -> None:
    script = Script().sleep("WW").mark(MarkKind.LIGHTS_ON).mark(MarkKind.NOTE, "cue").sleep("W")
    assert minutes(script, mark="lights_on") == [1.0]
    assert minutes(script, mark="note", note="cue") == [1.0]
    assert minutes(script, mark="note", note="tea") == []
    assert minutes(script, mark="lights_on", stage="N2") == []
    assert minutes(script, mark="lights_on", stage="W") == [1.0]


def test_an_electrode_that_is_off_for_five_minutes() -> None:
    script = Script(channels=("AF7", "AF8")).contacts(AF7=Contact.GOOD, AF8=Contact.GOOD)
    script.sleep("2").contacts(AF7=Contact.GOOD, AF8=Contact.OFF).sleep("2" * 14)
    assert minutes(script, electrode_off="5 min") == [5.0]
    assert minutes(script, electrode_off="5 min", electrode="AF7") == []
    assert minutes(script.contacts(AF7=Contact.GOOD, AF8=Contact.GOOD), electrode_off="8 min") == []


def test_without_a_signal_every_electrode_is_off_and_so_is_a_single_flat_one() -> None:
    lost = Script(channels=("AF7", "AF8")).sleep("2").signal(SignalState.LOST).sleep("?" * 12)
    assert minutes(lost, electrode_off="5 min", electrode="AF7") == [5.5]
    assert minutes(Script().sleep("2" + "?" * 12), electrode_off="5 min") == [5.5]


# --- how often


def test_every_repeats_while_it_holds_and_refractory_keeps_a_distance() -> None:
    script = Script().sleep("22222222")
    assert minutes(script, stage="N2", every="1 min") == [0.5, 1.5, 2.5, 3.5]
    toggling = Script().sleep("2W2W2222")
    assert minutes(toggling, stage="N2", refractory="2 min") == [0.5, 2.5]
    assert held(toggling.decide(rule(stage="N2", refractory="2 min"))) == ["refractory"]


def test_the_cap_of_a_night() -> None:
    decisions = Script().sleep("2W2W2W2").decide(rule(stage="N2", cap=2))
    assert held(decisions) == ["cap", "cap"]
    assert len(fired(decisions)) == 2


def test_a_sham_share_is_drawn_the_same_way_again() -> None:
    script = Script().sleep("2W" * 200)
    study = rule(stage="N2", sham=0.5, seed=7)
    decisions = script.decide(study)
    assert decisions == script.decide(study)
    assert decisions != script.decide(rule(stage="N2", sham=0.5, seed=8))
    assert 80 < len(fired(decisions)) < 120
    assert {each.seed for each in decisions} == {7}
    assert set(held(decisions)) == {"sham"}


def test_without_a_seed_the_night_decides_it() -> None:
    script, other = Script().sleep("2"), Script().sleep("2")
    other.session = replace(other.session, id="another night")
    study = rule(stage="N2", sham=0.5)
    seeds = {each.decide(study)[0].seed for each in (script, other)}
    assert len(seeds) == 2


def test_sham_counts_like_a_firing() -> None:
    decisions = Script().sleep("2W" * 50).decide(rule(stage="N2", sham=0.5, seed=1, cap=10))
    counted = [each for each in decisions if each.reason in (None, HeldReason.SHAM)]
    assert [each.occasion for each in counted] == list(range(1, 11))


def test_a_dry_run_is_told_and_does_nothing() -> None:
    assert held(Script().sleep("2W2").decide(rule(stage="N2", dry_run=True))) == ["dry_run"] * 2


def test_armed_until_a_date_on_the_local_clock() -> None:
    script = Script().sleep("2W2W2W2W2W2")
    decisions = script.decide(rule(stage="N2", arm={"until": "2026-11-26T23:02:00"}), zone=BERLIN)
    assert [each.reason for each in decisions] == [None, None, *[HeldReason.EXPIRED] * 4]


def test_armed_by_a_note_for_some_time() -> None:
    script = Script().sleep("2W").mark(MarkKind.NOTE, "go").sleep("2W2W2W2")
    decisions = script.decide(rule(stage="N2", arm={"note": "go", "lasts": "2 min"}))
    reasons = [each.reason for each in decisions]
    assert reasons == [HeldReason.NOT_ARMED, None, None, *[HeldReason.EXPIRED] * 2]


# --- old data


def test_after_an_outage_old_epochs_never_fire() -> None:
    script = Script().sleep("WW").resume(timedelta(minutes=10)).sleep("2" * 18)
    decisions = script.decide(rule(stage="N2"))
    assert [each.reason for each in decisions[:2]] == [HeldReason.STALE, None]
    assert script.minute(decisions[1]) == 11.0
    assert decisions[1].sample_utc == EVENING + timedelta(minutes=10)


def test_an_old_mark_does_not_fire_unless_asked() -> None:
    script = Script().sleep("W" * 20).mark(MarkKind.LIGHTS_OFF, at=EVENING + timedelta(minutes=2))
    assert held(script.decide(rule(mark="lights_off"))) == ["stale"]
    assert minutes(script, mark="lights_off", fresh="1 h") == [10.0]


def test_an_electrode_is_not_judged_by_old_news() -> None:
    """The sleeper's thread hangs: no epoch comes any more."""
    script = Script().sleep("2" + "?" * 4)
    later = script.end + timedelta(minutes=10)
    assert held(script.decide(rule(electrode_off="4 min"), until=later)) == ["stale"]


# --- an alarm

ALARM = {"stage": ["light", "rem"], "between": ["06:30", "07:00"], "latest": "07:00"}
SEVEN = datetime(2026, 11, 27, 7, 0, tzinfo=UTC)


def test_an_alarm_rings_in_light_sleep_and_then_never_again() -> None:
    script = Script(SEVEN - timedelta(hours=1)).sleep("3" * 80 + "2" + "3" * 3 + "2" * 100)
    decisions = script.decide(rule(**ALARM))
    assert [script.minute(each) for each in fired(decisions)] == [40.5]
    assert set(held(decisions)) <= {"cap"}


@pytest.mark.parametrize("letters", ["3" * 240, "?" * 240, "", "W" * 60])
def test_an_alarm_rings_at_its_latest_time_whatever_the_signal_is(letters: str) -> None:
    script = Script(SEVEN - timedelta(hours=1)).sleep(letters)
    made = fired(script.decide(rule(**ALARM | {"stage": "rem"}), until=SEVEN + timedelta(hours=1)))
    assert [(each.time_utc, each.cause) for each in made] == [(SEVEN, Cause.LATEST)]


def test_the_latest_time_belongs_to_the_next_morning_of_the_night() -> None:
    engine = Script(SEVEN + timedelta(hours=2)).engine(rule(**ALARM))
    assert engine.alarms == {"a rule": SEVEN + timedelta(days=1)}


def readings(start: datetime, *steps: tuple[float, float]) -> list[ClockReading]:
    """Return a reading for each second: (minutes that pass, minutes by which the clock is set)."""
    night, offset, made = start, timedelta(), []
    for passes, jumps in steps:
        offset += timedelta(minutes=jumps)
        for _ in range(int(passes * 60)):
            night += timedelta(seconds=1)
            made.append(ClockReading(night, night + offset))
    return made


@pytest.mark.parametrize(
    ("steps", "rings_after_min"),
    [
        ([(120, 0)], 60),
        ([(30, 0), (90, 60)], 30),  # put forward over the alarm: it rings at once
        ([(30, 0), (90, 10)], 50),  # by the clock on the wall
        ([(30, 0), (90, -60)], 60),  # put back: by the night's own clock
        ([(70, 0), (90, -60)], 60),  # put back after it rang: not again
        ([(30, 0), (90, -60 * 24 * 365)], 60),  # the battery of the clock is empty
        ([(1, 0), (120, 60 * 24 * 30)], 60),  # the clock was wrong at first
    ],
)
def test_an_alarm_rings_once_though_somebody_sets_the_clock(
    steps: list[tuple[float, float]], rings_after_min: float
) -> None:
    start = SEVEN - timedelta(hours=1)
    engine = Script(start).engine(rule(**ALARM))
    made = [each for now in readings(start, *steps) for each in engine.tick(now)]
    assert [(each.time_utc - start) / timedelta(minutes=1) for each in made] == [
        pytest.approx(rings_after_min, abs=0.1)
    ]


# --- restarts


def told(script: Script, decisions: list[Decision]) -> list[Event]:
    """Return the decisions as the night's file holds them."""
    return [rule_event(script.session, 1, each) for each in decisions]


def test_a_decision_survives_as_an_event() -> None:
    script = Script().sleep("2W2")
    made = script.decide(
        rule(stage="N2", sham=0.5, seed=3), rule(name="b", mark="note", dry_run=True)
    )
    for event, decision in zip(told(script, made), made, strict=True):
        assert decision_of(event) == decision


@pytest.mark.parametrize("cut", range(0, 61, 3))
def test_a_restart_changes_no_decision(cut: int) -> None:
    """Cap, refractory time, numbers and draws go on as if the monitor had never been away."""
    script = Script().sleep("2W22W222W2W2222W2222" * 3)
    rules = [
        rule(name="cue", stage="N2", sham=0.4, seed=5, refractory="2 min", cap=12),
        rule(name="again", stage="N2", every="1 min"),
        rule(name="alarm", latest="22:12"),
        rule(name="clock", between=["22:05", "22:20"]),
    ]
    whole = script.decide(*rules)
    at = script.session.epoch_start_utc(cut)
    before = [each for each in whole if each.time_utc <= at]
    engine = script.engine(*rules)
    old = [event for event in script.events if event.time <= at]
    history = sorted([*old, *told(script, before)], key=lambda event: event.time)
    engine.restore(history)
    after = list(walk(engine, script.events[len(old) :], at, script.end))
    assert after == [each for each in whole if each.time_utc > at]


def test_an_alarm_that_the_monitor_missed_rings_when_it_is_back() -> None:
    script = Script(SEVEN - timedelta(hours=1)).sleep("3" * 110)
    alarm = rule(**ALARM)
    engine = script.engine(alarm)
    engine.restore(script.events)
    now = SEVEN + timedelta(minutes=20)
    (made,) = engine.tick(ClockReading.of(now))
    assert (made.cause, made.time_utc) == (Cause.LATEST, now)
    again = script.engine(alarm)
    again.restore([*script.events, *told(script, [made])])
    assert again.tick(ClockReading.of(now)) == []


# --- nights in which the clocks change


@pytest.mark.parametrize(
    ("start", "latest", "expected"),
    [
        ("2026-03-28T22:00", "02:30", "2026-03-29T01:00"),  # 02:30 is left out: at 03:00
        ("2026-03-28T22:00", "07:00", "2026-03-29T05:00"),
        ("2026-10-24T22:00", "02:30", "2026-10-25T00:30"),  # 02:30 comes twice: the first
        ("2026-10-24T22:00", "07:00", "2026-10-25T06:00"),
        ("2026-10-25T00:45", "02:30", "2026-10-26T01:30"),
    ],
)
def test_the_latest_time_in_a_night_of_a_clock_change(
    start: str, latest: str, expected: str
) -> None:
    began = datetime.fromisoformat(start).replace(tzinfo=UTC)
    engine = Script(began).engine(rule(latest=latest), zone=BERLIN)
    assert engine.alarms["a rule"] == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_a_window_that_comes_twice_when_the_clocks_go_back() -> None:
    script = Script(datetime(2026, 10, 24, 23, 0, tzinfo=UTC)).sleep("2" * 60 * 6)
    made = fired(script.decide(rule(stage="N2", between=["02:00", "02:30"]), zone=BERLIN))
    assert [in_zone(BERLIN)(each.time_utc).strftime("%H:%M%z") for each in made] == [
        "02:00+0200",
        "02:00+0100",
    ]
