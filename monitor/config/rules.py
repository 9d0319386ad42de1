"""The rules that act on sleep: the tables `[[rule]]`. monitor/rules/RULES.md describes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    model_validator,
)

from models.contract import Stage
from monitor.config.sources import File, Text
from monitor.config.ways import HttpConfig
from monitor.types import MarkKind

STAGE_GROUPS: Mapping[str, tuple[Stage | None, ...]] = {
    **{stage.value: (stage,) for stage in Stage},
    "awake": (Stage.W,),
    "asleep": (Stage.N1, Stage.N2, Stage.N3, Stage.R),
    "nrem": (Stage.N1, Stage.N2, Stage.N3),
    "light": (Stage.N1, Stage.N2),
    "deep": (Stage.N3,),
    "rem": (Stage.R,),
    "unscored": (None,),
}
"""The stages that each word of ``stage`` stands for; None is an unscored epoch."""

LONGEST_DURATION = timedelta(hours=24)

FRESH = timedelta(seconds=60)
"""An epoch or a mark that is older than this is history: a rule does not act on it."""

COMMAND_LIMIT = timedelta(seconds=30)
"""Default time limit of a command."""

LONGEST_LIMIT = timedelta(minutes=30)
"""Longest time limit of a command: an alarm may ring so long."""

MOST_RULES = 100
"""Rules of a configuration."""

_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_A_DAY_S = 86_400


def _duration(text: object) -> timedelta:
    form = r"(\d{1,6}(?:\.\d{1,3})?) ?(s|min|h)"
    found = re.fullmatch(form, text, re.ASCII) if isinstance(text, str) else None
    if found is None:
        raise ValueError('must be a time with its unit, such as "90 s", "5 min" or "7 h"')
    duration = timedelta(seconds=float(found[1]) * _UNITS[found[2]])
    if not timedelta() < duration <= LONGEST_DURATION:
        raise ValueError("must be more than 0 s and at most 24 h")
    return duration


def _clock_time(value: object) -> time:
    if isinstance(value, time) and value.tzinfo is None:
        return value
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('must be a time of day such as "06:30"')
    return time(int(found[1]), int(found[2]))


def _window(times: tuple[time, ...]) -> tuple[time, ...]:
    if len(times) != 2 or times[0] == times[1]:
        raise ValueError('must be two different times of day, such as ["06:30", "07:00"]')
    return times


def _stages(words: object) -> frozenset[Stage | None]:
    """Return the stages that a word, or a list of words, of `STAGE_GROUPS` stands for."""
    named = words if isinstance(words, list | tuple) else [words]
    if not named or not all(isinstance(each, str) and each in STAGE_GROUPS for each in named):
        raise ValueError(f"must be one or several of {', '.join(STAGE_GROUPS)}")
    return frozenset(stage for word in named for stage in STAGE_GROUPS[str(word)])


def _until(value: object) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if not isinstance(value, datetime) or value.tzinfo is not None:
        raise ValueError("must be a local date and time, such as 2026-11-28T12:00:00")
    return value


def _argument(text: str) -> str:
    if "\0" in text:
        raise ValueError("must hold no zero byte")
    return text


def _osc_address(address: str) -> str:
    if not address.startswith("/") or any(letter in address for letter in " #*,?[]{}"):
        raise ValueError('must begin with "/", without blanks and # * , ? [ ] { }')
    return address


def _plain_topic(topic: str) -> str:
    if any(letter in topic for letter in "+#") or topic.startswith("$"):
        raise ValueError("must be a topic without + and #")
    return topic


Duration = Annotated[timedelta, BeforeValidator(_duration)]
ClockTime = Annotated[time, BeforeValidator(_clock_time)]
Payload = Annotated[str, StringConstraints(max_length=10_000)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ArmConfig(_Table):
    """The time in which a rule is armed: until a date, or for some time after a note."""

    until: Annotated[datetime, BeforeValidator(_until)] | None = None
    note: Text | None = None
    lasts: Duration | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if (self.note is None) != (self.lasts is None):
            raise ValueError('note and lasts belong together: { note = "go", lasts = "2 h" }')
        if self.until is None and self.note is None:
            raise ValueError("must have until, or note and lasts")
        return self


class MqttAction(_Table):
    """A message to the broker of `[mqtt]`. ``payload`` None: the firing as JSON."""

    topic: Annotated[Text, AfterValidator(_plain_topic)]
    payload: Payload | None = None
    retain: bool = False


class HttpAction(_Table):
    """A POST to ``url`` (None: that of `[http]`). ``body`` None: the firing as JSON."""

    url: SecretStr | None = None
    body: Payload | None = None

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        if self.url is not None:
            HttpConfig(url=self.url)
        return self


class OscAction(_Table):
    """A message to the program of `[osc]`."""

    address: Annotated[Text, AfterValidator(_osc_address)]
    values: tuple[Annotated[int | float | str, Field(union_mode="left_to_right")], ...] = ()


class Rule(_Table):
    """A rule: when it fires, what it then does, and how often it may.

    All conditions that are set must hold. RULES.md describes each key. A rule that can never fire
    is refused.
    """

    name: Annotated[Text, StringConstraints(max_length=60)]
    sleeper: Text | None = None

    # When
    stage: Annotated[frozenset[Stage | None], BeforeValidator(_stages)] | None = None
    track: Literal["live", "revised"] = "live"
    confidence: Annotated[float, Field(ge=0, le=1)] = 0.0
    for_: Duration | None = Field(default=None, alias="for")
    after_sleep: Duration | None = None
    after_n2: Duration | None = None
    after_lights_off: Duration | None = None
    between: Annotated[tuple[ClockTime, ...], AfterValidator(_window)] | None = None
    mark: MarkKind | None = None
    note: Text | None = None
    electrode_off: Duration | None = None
    electrode: Text | None = None
    latest: ClockTime | None = None

    # Then
    command: tuple[
        Annotated[str, StringConstraints(max_length=4096), AfterValidator(_argument)], ...
    ] = ()
    sound: File | None = None
    limit: Duration = COMMAND_LIMIT
    mqtt: MqttAction | None = None
    http: HttpAction | None = None
    lsl: Text | None = None
    osc: OscAction | None = None

    # How often
    every: Duration | None = None
    refractory: Duration | None = None
    cap: Annotated[int, Field(ge=1, le=10_000, strict=True)] | None = None
    sham: Annotated[float, Field(gt=0, lt=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**53, strict=True)] | None = None
    arm: ArmConfig | None = None
    dry_run: bool = False
    fresh: Annotated[Duration, Field(ge=timedelta(seconds=5))] = FRESH

    @property
    def follows_epochs(self) -> bool:
        """True if the rule is judged at the end of each epoch."""
        at_once = self.mark is not None or self.electrode_off is not None
        return not at_once and (
            self.stage is not None or self.after_sleep is not None or self.after_n2 is not None
        )

    @property
    def follows_the_clock(self) -> bool:
        """True if the rule is judged at every moment: it depends on time or electrodes alone."""
        if self.electrode_off is not None:
            return True
        timed = self.after_lights_off is not None or (
            self.between is not None and self.latest is None
        )
        return timed and self.mark is None and not self.follows_epochs

    @model_validator(mode="after")
    def _can_fire(self) -> Self:
        for mistake in _mistakes(self):
            raise ValueError(mistake)
        return self


def _mistakes(rule: Rule) -> Sequence[str]:
    """Return what makes the rule meaningless, each with the key that is wrong."""
    checks = [
        *_when_mistakes(rule),
        *(_alarm_mistakes(rule) if rule.latest is not None else []),
        *_then_mistakes(rule),
    ]
    return [text for is_wrong, text in checks if is_wrong]


def _when_mistakes(rule: Rule) -> list[tuple[bool, str]]:
    nothing = not (
        rule.follows_epochs or rule.follows_the_clock or rule.mark or rule.latest is not None
    )
    stage, mark = rule.stage, rule.mark
    return [
        (
            nothing,
            "has no condition: give stage, after_sleep, after_n2, after_lights_off, between, mark, "
            "electrode_off or latest",
        ),
        (mark is not None and rule.electrode_off is not None, "mark excludes electrode_off"),
        (rule.note is not None and mark is not MarkKind.NOTE, 'note needs mark = "note"'),
        (
            rule.electrode is not None and rule.electrode_off is None,
            "electrode needs electrode_off",
        ),
        (rule.for_ is not None and stage is None, "for needs stage"),
        (rule.confidence > 0 and stage is None, "confidence needs stage"),
        (
            rule.confidence > 0 and stage == frozenset([None]),
            "confidence can never be reached: an unscored epoch has none",
        ),
        (
            mark is MarkKind.LIGHTS_OFF and rule.after_lights_off is not None,
            "after_lights_off can never hold at the mark lights_off: its time begins there",
        ),
    ]


def _alarm_mistakes(rule: Rule) -> list[tuple[bool, str]]:
    assert rule.latest is not None
    outside = False
    if rule.between is not None:
        start, end = rule.between
        outside = not 0 < _span_s(start, rule.latest) <= _span_s(start, end)
    others = ("mark", "electrode_off", "every", "refractory", "sham")
    wrong = [key for key in others if getattr(rule, key) is not None]
    return [
        (
            outside,
            "latest must lie between the two times of between, or be the second: before them the "
            "alarm would come early, after them it could not ring at all for some time",
        ),
        (
            bool(wrong),
            f"{wrong[0] if wrong else ''} excludes latest: an alarm rings once, whatever happens",
        ),
        (rule.cap not in (None, 1), "cap must be 1 with latest: an alarm rings once"),
    ]


def _then_mistakes(rule: Rule) -> list[tuple[bool, str]]:
    acts = rule.command or any(
        each is not None for each in (rule.sound, rule.mqtt, rule.http, rule.lsl, rule.osc)
    )
    return [
        (
            not acts and not rule.dry_run,
            "has no action: give command, sound, mqtt, http, lsl or osc, or dry_run = true",
        ),
        (bool(rule.command) and not rule.command[0], "command must begin with a program"),
        (rule.limit > LONGEST_LIMIT, "limit must be at most 30 min"),
        (rule.seed is not None and rule.sham is None, "seed needs sham"),
        (
            rule.mark is not None and rule.every is not None,
            "every excludes mark: each mark is one occasion",
        ),
        (rule.cap == 1 and rule.every is not None, "every excludes cap = 1: it fires once"),
        (
            rule.every is not None and rule.refractory is not None and rule.every < rule.refractory,
            "every must be at least refractory, in which the rule cannot fire",
        ),
    ]


def _span_s(start: time, end: time) -> int:
    """Return the seconds from one time of day to the next time that it is ``end``."""
    return (_second(end) - _second(start)) % _A_DAY_S


def _second(of: time) -> int:
    return of.hour * 3600 + of.minute * 60 + of.second


_TABLES: Mapping[str, type[BaseModel]] = {
    "arm": ArmConfig,
    "mqtt": MqttAction,
    "http": HttpAction,
    "osc": OscAction,
}


def rule_keys(inner: Sequence[str | int]) -> list[str]:
    """Return the known keys of the table at ``inner``, pydantic's path inside ``rule``."""
    model: type[BaseModel] = next(
        (_TABLES[str(part)] for part in inner[:-1] if part in _TABLES), Rule
    )
    return [field.alias or name for name, field in model.model_fields.items()]


def _with_names(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    names = [rule.name.casefold() for rule in rules]
    for rule in rules:
        if names.count(rule.name.casefold()) > 1:
            raise ValueError(f"two rules are called '{rule.name}': give each a name of its own")
    return rules


Rules = Annotated[tuple[Rule, ...], Field(max_length=MOST_RULES), AfterValidator(_with_names)]
"""The rules of a configuration, with distinct names."""
