from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import monitor.night.events
import monitor.sinks
from models.contract import Stage
from monitor.night.decision import Cause, Decision, HeldReason
from monitor.night.events import (
    EventType,
    backend_event,
    channels_event,
    derivation_event,
    from_json,
    mark_event,
    rule_event,
    rule_failed,
    session_ended,
    session_id_of,
    session_resumed,
    session_started,
    signal_event,
    stage_event,
    to_json,
    utc_text,
)
from monitor.night.statistics import SleepStatistics, sleep_statistics
from monitor.types import (
    ChannelState,
    Contact,
    Event,
    MarkKind,
    Reason,
    SampleLedger,
    SignalState,
    StagePrediction,
    Track,
)
from tests.node_peer import FOLDER, node
from tests.sinks.peers import a_session, scored, unscored

SINKS = Path(monitor.sinks.__file__).parent
SCHEMA_FILE = Path(monitor.night.events.__file__).with_name("events.schema.json")
SCHEMA = json.loads(SCHEMA_FILE.read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
SESSION = a_session()
LATER = SESSION.start_utc + timedelta(seconds=95.5)
CHANNELS = [
    ChannelState("AF7", Contact.GOOD, None, 23.46),
    ChannelState("TP9", Contact.POOR, Reason.AMPLITUDE, 310.0),
    ChannelState("Fp ü", Contact.OFF, Reason.MISSING, None),
]


FIRING = Decision("cue", 3, 2, Cause.EPOCH, None, LATER, 2, LATER, Stage.N2, 0.8123456)


def every_event() -> list[Event]:
    night = (Stage.W, Stage.N1, Stage.N2, None, Stage.N3, Stage.R)
    revised = [
        unscored(n, Reason.MAINS) if stage is None else scored(n, stage, Track.REVISED)
        for n, stage in enumerate(night)
    ]
    ended: dict[str, Any] = {"time": LATER, "ledger": SampleLedger(expected=9, received=9)}
    return [
        session_started(SESSION, 1),
        *(stage_event(SESSION, 2 + n, prediction) for n, prediction in enumerate(revised)),
        stage_event(SESSION, 8, scored(0)),
        *(
            signal_event(SESSION, 9 + n, state, time=LATER, epoch_index=3, reason=reason)
            for n, (state, reason) in enumerate(
                [*((state, None) for state in SignalState), (SignalState.POOR, Reason.RAILED)]
            )
        ),
        *(mark_event(SESSION, 15 + n, kind, time=LATER) for n, kind in enumerate(MarkKind)),
        mark_event(SESSION, 18, MarkKind.NOTE, time=LATER, text="Kaffee ☕ um 3"),
        channels_event(SESSION, 19, time=LATER, epoch_index=0, channels=CHANNELS),
        *(
            derivation_event(
                SESSION,
                20 + n,
                time=LATER,
                epoch_index=3 + n,
                derivation="AF8-TP10",
                previous="AF7-TP9",
                reason=reason,
            )
            for n, reason in enumerate([Reason.RAILED, None])
        ),
        session_ended(SESSION, 22, statistics=sleep_statistics([]), revised=[], **ended),
        session_resumed(SESSION, 23, time=LATER, epoch_index=0),
        backend_event(
            SESSION,
            24,
            time=LATER,
            epoch_index=7,
            backend="torch",
            previous="cuda",
            reason="cuda: RuntimeError: out of memory",
        ),
        rule_event(SESSION, 26, FIRING),
        rule_event(SESSION, 27, replace(FIRING, number=4, reason=HeldReason.SHAM, seed=7)),
        rule_event(SESSION, 28, Decision("Wake ü/2", 1, 1, Cause.LATEST, None, LATER)),
        rule_failed(
            SESSION,
            29,
            rule_event(SESSION, 26, FIRING),
            action="mqtt",
            reason="MQTT at 10.0.0.2:1883 does not answer",
            time=LATER,
        ),
        session_ended(
            SESSION,
            25,
            statistics=sleep_statistics(night),
            revised=revised,
            worn=(1, 5),
            **ended,
        ),
    ]


def test_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("event", every_event(), ids=lambda event: event.id)
def test_every_event_keeps_the_contract_and_survives_json(event: Event) -> None:
    VALIDATOR.validate(json.loads(to_json(event)))
    assert from_json(to_json(event)) == event
    assert "\n" not in to_json(event)
    assert session_id_of(event) == SESSION.id


ADDED_TO_V1 = {"session-started": {"channels", "sleeper", "mode"}, "session-ended": {"worn"}}
"""Not required: the night stores of earlier versions hold events without them."""


def test_schema_names_every_field_and_no_other() -> None:
    for event in every_event():
        anchor = json.loads(to_json(event))["dataschema"].partition("#")[2]
        defined = SCHEMA["$defs"][anchor]
        assert set(event.data) == set(defined["properties"])
        added = set(defined["properties"]) - set(defined["required"])
        assert added == ADDED_TO_V1.get(anchor, set())
    ended = SCHEMA["$defs"]["session-ended"]["properties"]
    assert set(ended["statistics"]["required"]) == {f.name for f in fields(SleepStatistics)}
    assert set(ended["samples"]["required"]) == {f.name for f in fields(SampleLedger)}


AT: dict[str, Any] = {"time": LATER, "epoch_index": 3}


def broken() -> list[tuple[str, dict[str, Any]]]:
    """Events that break the contract in one place each."""
    stage = json.loads(to_json(stage_event(SESSION, 2, scored(12))))
    flat = json.loads(to_json(stage_event(SESSION, 2, unscored(12))))
    ended = json.loads(to_json(every_event()[-1]))
    cases: list[tuple[str, dict[str, Any]]] = []

    def case(name: str, event: dict[str, Any], *path: str, value: Any) -> None:
        wrong = copy.deepcopy(event)
        target = wrong
        for key in path[:-1]:
            target = target[key]
        if value is ...:
            del target[path[-1]]
        else:
            target[path[-1]] = value
        cases.append((name, wrong))

    for attribute in stage:
        case(f"no {attribute}", stage, attribute, value=...)
    for field in stage["data"]:
        case(f"no data.{field}", stage, "data", field, value=...)
    case("unknown type", stage, "type", value="sleep-monitor.stage.v2")
    case("local time", stage, "time", value="2026-01-01T22:00:30.000+01:00")
    case("sequence as number", stage, "sequence", value=2)
    case("id of another type", stage, "id", value="signal/12/poor")
    case("schema of another type", stage, "dataschema", value="urn:sleep-monitor:events:v1#mark")
    case("unknown stage", stage, "data", "stage", value="S4")
    case("wrong word", stage, "data", "sleep_as_android", value="awake")
    case("scored with reason", stage, "data", "reason", value="flat")
    case("scored without confidence", stage, "data", "confidence", value=None)
    case("probabilities as array", stage, "data", "probabilities", value=[0.2] * 5)
    case("a probability over 1", stage, "data", "probabilities", "W", value=1.1)
    case("live revision", stage, "data", "revision", value=1)
    case("live not final", stage, "data", "final", value=False)
    case("revision 0", stage, "data", "track", value="revised")
    case("unscored as wake", flat, "data", "sleep_as_android", value="awake")
    case("unscored without reason", flat, "data", "reason", value=None)
    case("no waso_aasm_min", ended, "data", "statistics", "waso_aasm_min", value=...)
    case("efficiency over 100", ended, "data", "statistics", "se_percent", value=101)
    case("half a sample", ended, "data", "samples", "lost", value=0.5)
    case("worn without end", ended, "data", "worn", "end_utc", value=...)
    channels = json.loads(to_json(channels_event(SESSION, 2, **AT, channels=CHANNELS)))
    case("unknown contact", channels, "data", "channels", value=[{"name": "C3", "contact": "so"}])
    case("no channel", channels, "data", "channels", value=[])
    held = json.loads(to_json(rule_event(SESSION, 2, replace(FIRING, reason=HeldReason.CAP))))
    case("held without a reason", held, "data", "reason", value=...)
    case("unknown cause", held, "data", "cause", value="whim")
    return cases


@pytest.mark.parametrize("event", [pytest.param(e, id=name) for name, e in broken()])
def test_schema_rejects(event: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(event)


def test_stage_event_in_full() -> None:
    fields = json.loads(to_json(stage_event(SESSION, 7, scored(12))))
    assert fields == {
        "specversion": "1.0",
        "id": "stage/12/live/0",
        "source": "/sleep-monitor/night-1",
        "type": "sleep-monitor.stage.v1",
        "time": "2026-01-01T22:06:30.000Z",
        "datacontenttype": "application/json",
        "dataschema": "urn:sleep-monitor:events:v1#stage",
        "sequence": "00000007",
        "data": {
            "epoch_index": 12,
            "start_utc": "2026-01-01T22:06:00.000Z",
            "duration_s": 30.0,
            "track": "live",
            "revision": 0,
            "final": True,
            "stage": "N2",
            "reason": None,
            "probabilities": {"W": 0.05, "N1": 0.05, "N2": 0.8, "N3": 0.05, "R": 0.05},
            "confidence": 0.8,
            "model": "test 1.0",
            "sleep_as_android": "light_sleep",
        },
    }


def test_events_do_not_depend_on_the_machine() -> None:
    quick = scored(3)
    slow = replace(quick, latency_s=2.5)
    assert to_json(stage_event(SESSION, 5, quick)) == to_json(stage_event(SESSION, 5, slow))


def test_ids_are_unique_and_name_the_event() -> None:
    # The same state may come twice in an epoch, and two notes within a millisecond.
    twice = [
        signal_event(SESSION, 1, SignalState.LOST, time=LATER, epoch_index=3),
        signal_event(
            SESSION, 2, SignalState.LOST, time=LATER + timedelta(seconds=9), epoch_index=3
        ),
        mark_event(SESSION, 3, MarkKind.NOTE, time=LATER, text="a"),
        mark_event(SESSION, 4, MarkKind.NOTE, time=LATER, text="b"),
    ]
    assert len({event.id for event in twice}) == 4
    assert twice[0].id == "signal/95500/lost"


def test_ended_counts_epochs() -> None:
    revised: list[StagePrediction] = [
        scored(0),
        unscored(1),
        unscored(2),
        unscored(3, Reason.MAINS),
    ]
    event = session_ended(
        SESSION,
        1,
        time=LATER,
        statistics=sleep_statistics([p.stage for p in revised]),
        revised=revised,
        ledger=SampleLedger(),
    )
    assert event.data["epochs"] == {
        "total": 4,
        "scored": 1,
        "unscored": 3,
        "unscored_reasons": {"flat": 2, "mains": 1},
    }
    assert event.data["samples"] == asdict(SampleLedger())


def test_channels_in_full() -> None:
    event = channels_event(SESSION, 5, **AT, channels=CHANNELS)
    assert event.id == "channels/3"
    assert event.data["channels"] == [
        {"name": "AF7", "contact": "good", "reason": None, "std_uv": 23.5},
        {"name": "TP9", "contact": "poor", "reason": "amplitude", "std_uv": 310.0},
        {"name": "Fp ü", "contact": "off", "reason": "missing", "std_uv": None},
    ]


def test_a_night_that_ends_resumes_and_ends_again_has_one_id_each() -> None:
    def ended(sequence: int) -> Event:
        statistics = sleep_statistics([Stage.W])
        return session_ended(
            SESSION,
            sequence,
            time=LATER,
            statistics=statistics,
            revised=[scored(0)],
            ledger=SampleLedger(),
            worn=(0, 1),
        )

    night = [ended(3), session_resumed(SESSION, 4, **AT), ended(5)]
    assert [event.id for event in night] == [
        "session/ended/1/3",
        "session/resumed/95500",
        "session/ended/1/5",
    ]
    assert night[2].data["worn"] == {
        "start_utc": "2026-01-01T22:00:00.000Z",
        "end_utc": "2026-01-01T22:00:30.000Z",
        "epochs": 1,
    }


def test_events_of_an_earlier_version_keep_the_contract() -> None:
    started, ended = (json.loads(to_json(event)) for event in (every_event()[0], every_event()[-1]))
    del started["data"]["channels"], started["data"]["sleeper"], started["data"]["mode"]
    del ended["data"]["worn"]
    ended["id"] = "session/ended/6"
    for event in (started, ended):
        VALIDATOR.validate(event)


def test_times_are_rounded_to_milliseconds_in_utc() -> None:
    east = timezone(timedelta(hours=2))
    assert utc_text(datetime(2026, 1, 2, 0, 0, 29, 999_999, east)) == "2026-01-01T22:00:30.000Z"
    with pytest.raises(ValueError, match="time zone"):
        utc_text(datetime(2026, 1, 1))


def test_session_ids_are_quoted_in_the_source() -> None:
    event = session_started(a_session("nuit d'été/2"), 1)
    assert event.source == "/sleep-monitor/nuit%20d%27%C3%A9t%C3%A9%2F2"
    assert session_id_of(event) == "nuit d'été/2"
    VALIDATOR.validate(json.loads(to_json(event)))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"time": 3}', to_json(every_event()[0]).replace("Z", "")]
)
def test_from_json_names_the_mistake(text: str) -> None:
    with pytest.raises(ValueError, match="not an event of this monitor"):
        from_json(text)


def test_not_a_number_never_leaves() -> None:
    event = stage_event(SESSION, 1, replace(scored(1), confidence=float("nan")))
    with pytest.raises(ValueError, match="JSON"):
        to_json(event)


def test_the_page_names_everything() -> None:
    page = (SINKS / "EVENTS.md").read_text()
    words = [*EventType, *Reason, *SignalState, *MarkKind, *Track]
    words += [name for event in every_event() for name in event.data]
    words += [*Cause, *HeldReason, *Contact, "std_uv", "name", "end_utc"]
    words += [field.name for field in fields(SampleLedger)]
    words += [f.name for f in fields(SleepStatistics) if f.name[:2] not in ("n1", "n2", "n3", "r_")]
    assert [word for word in words if f"`{word}`" not in page] == []


def test_utc_is_utc() -> None:
    assert from_json(to_json(every_event()[0])).time.tzinfo is UTC


def _subschemas(schema: Any, types: frozenset[str] = frozenset()) -> Iterator[tuple[Any, Any]]:
    """Yield each part of the schema with the types that hold for its value."""
    if not isinstance(schema, dict):
        return
    own = frozenset({schema["type"]}) if isinstance(schema.get("type"), str) else types
    yield schema, own
    for word in ("if", "then", "else"):
        yield from _subschemas(schema.get(word), own)
    for word in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(word, []):
            yield from _subschemas(part, own)
    for word in ("items", "additionalProperties"):
        yield from _subschemas(schema.get(word))
    for word in ("properties", "$defs"):
        for part in schema.get(word, {}).values():
            yield from _subschemas(part)


NEEDS_TYPE = {
    **dict.fromkeys(("properties", "required", "additionalProperties"), "object"),
    **dict.fromkeys(("pattern", "minLength"), "string"),
    **dict.fromkeys(("items", "minItems"), "array"),
}


def test_the_schema_keeps_the_rules_of_strict_validators() -> None:
    """Ajv refuses a union of types, a keyword without its type, and the keyword $anchor."""
    for schema, types in _subschemas(SCHEMA):
        assert "$anchor" not in schema
        assert not isinstance(schema.get("type"), list), schema
        for word in schema.keys() & NEEDS_TYPE.keys():
            assert types == {NEEDS_TYPE[word]}, (word, schema)
        if schema.keys() & {"minimum", "maximum", "exclusiveMinimum"}:
            assert types <= {"number", "integer"} and types, schema


def test_a_type_that_is_added_to_version_1_keeps_the_contract() -> None:
    dream = json.loads(to_json(every_event()[0])) | {
        "type": "sleep-monitor.dream.v1",
        "id": "dream/1",
        "dataschema": "urn:sleep-monitor:events:v1#dream",
        "data": {"colour": "blue"},
    }
    VALIDATOR.validate(dream)


# In ajv, the validator of JavaScript: apps in Node use it.


def ajv_verdicts(events: list[dict[str, Any]]) -> list[str]:
    """Return ajv's verdict on each event. Fails if the schema does not compile."""
    run = subprocess.run(
        [node(), str(FOLDER / "validate.mjs"), str(SCHEMA_FILE)],
        input="".join(json.dumps(event) + "\n" for event in events),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    # ajv's strict mode warns on stderr, or refuses.
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout.splitlines()


def test_ajv_compiles_the_schema_in_strict_mode_and_accepts_every_event() -> None:
    events = every_event()
    assert ajv_verdicts([json.loads(to_json(event)) for event in events]) == ["ok"] * len(events)


def test_ajv_rejects_what_jsonschema_rejects() -> None:
    found = ajv_verdicts([event for _, event in broken()])
    accepted = [name for (name, _), verdict in zip(broken(), found, strict=True) if verdict == "ok"]
    assert accepted == []


def test_ajv_accepts_what_version_1_may_add() -> None:
    """EVENTS.md promises apps that fields, reasons and types may be added: ignore them."""
    new_type = json.loads(to_json(stage_event(SESSION, 2, scored(1))))
    new_type |= {
        "type": "sleep-monitor.rule-fired.v1",
        "id": "rule/alarm/1",
        "dataschema": "urn:sleep-monitor:events:v1#rule-fired",
        "data": {"anything": [1, None]},
    }
    more = json.loads(to_json(stage_event(SESSION, 3, scored(1))))
    more["data"]["new_field"] = {"of": "any type"}
    more["new_attribute"] = "of the envelope"
    reason = json.loads(to_json(stage_event(SESSION, 4, scored(1))))
    reason["data"] |= dict.fromkeys(("stage", "probabilities", "confidence", "sleep_as_android"))
    reason["data"]["reason"] = "sweat"
    assert ajv_verdicts([new_type, more, reason]) == ["ok"] * 3


def test_ajv_accepts_events_of_earlier_versions() -> None:
    started = json.loads(to_json(session_started(SESSION, 1)))
    for name in ("channels", "sleeper", "mode"):
        del started["data"][name]
    assert ajv_verdicts([started]) == ["ok"]


@pytest.mark.parametrize("text", ["2026-01-01T22:00:00Z", "2026-01-01 22:00:00.000"])
def test_ajv_accepts_one_form_of_times(text: str) -> None:
    event = json.loads(to_json(stage_event(SESSION, 2, scored(1))))
    assert ajv_verdicts([event | {"time": text}]) != ["ok"]
