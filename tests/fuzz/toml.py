"""Configuration files: sound and nasty values, blind changes, TOML built to hurt."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from monitor.config import read_settings
from tests.fuzz import nasty
from tests.fuzz.bounds import check_line
from tests.fuzz.case import Case, Kind

FILE = "sleep-monitor.toml"
SETTINGS: dict[str, tuple[Any, ...]] = {
    "redis": ("redis://localhost:6379", "none", "unix:///tmp/x"),
    "gain": ("known", "unknown"),
    "backend": ("auto", "onnx", "torch"),
    "wait": (0, 2.5, 600),
    "dashboard": (True, False),
}
"""Keys of a run, with sound values."""

LSL: dict[str, tuple[Any, ...]] = {
    "name": ("Muse", "Größe"),
    "source_id": ("abc-1",),
    "unit": ("uV", "mV"),
    "channel": ("AF7", ["AF7", "AF8"]),
}
"""Keys of a sleeper with an LSL stream, with sound values."""


@dataclass(frozen=True, kw_only=True)
class TomlCase(Case):
    """A configuration. ``expected`` are the settings meant, and the sleepers' keys."""

    expected: Mapping[str, Any] | None = None
    sleepers: tuple[Mapping[str, Any], ...] = ()


class TomlKind(Kind):
    """The configuration of a live run."""

    name = "toml"

    def generate(self, random: Random) -> TomlCase:
        table = {key: random.choice(SETTINGS[key]) for key in SETTINGS if random.random() < 0.5}
        sleepers = [_sleeper(random, number) for number in range(random.randrange(1, 4))]
        text = _text(table, sleepers)
        match random.randrange(4):
            case 0:
                return TomlCase(
                    story="sound",
                    files={FILE: text.encode()},
                    sound=True,
                    expected=table,
                    sleepers=tuple(sleepers),
                )
            case 1:
                content, story = nasty.changed(random, text.encode())
            case 2:
                target = random.choice((table, *sleepers))
                key = random.choice(
                    (*SETTINGS, *LSL, "sleeper", "store", "output", "board", "port", "weights")
                )
                value: Any = random.choice((*nasty.VALUES, *nasty.TEXTS, [], {}, [[]], [""] * 3))
                target[key] = value
                content = _text(table, sleepers).encode("utf-8", "surrogatepass")
                story = f"{key} is {value!r:.60}"
            case _:
                content, story = _hurtful(random, text)
        return TomlCase(story=story, files={FILE: content})

    def check(self, case: TomlCase, folder: Path) -> None:
        settings = read_settings(folder / FILE)
        options = settings.live()
        assert settings.wait is None or math.isfinite(settings.wait), "wait is no time"
        for each in options.sleepers:
            words = [
                each.sleeper,
                *each.channels,
                *each.source.model_dump(exclude={"kind"}).values(),
            ]
            for word in words:
                check_line(f"'{word}'", "a setting")
        if case.expected is not None:
            for key, value in case.expected.items():
                found = getattr(settings, key)
                assert found == value, f"{key} is {found!r}, not {value!r}"
            assert len(options.sleepers) == len(case.sleepers)
            for each, meant in zip(options.sleepers, case.sleepers, strict=True):
                assert each.sleeper == meant["sleeper"]
                for key in ("name", "source_id", "unit"):
                    assert getattr(each.source, key) == meant.get(key), f"{key} differs"


def _sleeper(random: Random, number: int) -> dict[str, Any]:
    keys = {key: random.choice(LSL[key]) for key in LSL if random.random() < 0.5}
    return {"source": "lsl", "sleeper": f"sleeper {number}", **keys, "source_id": f"id-{number}"}


def _text(table: Mapping[str, Any], sleepers: list[dict[str, Any]]) -> str:
    lines = [f"{key} = {_value(value)}" for key, value in table.items()]
    for each in sleepers:
        lines += ["[[sleeper]]", *(f"{key} = {_value(value)}" for key, value in each.items())]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    """Return ``value`` as TOML. Its texts are those of JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, int) and value > 2**64:
        return "1" + "0" * 5000
    if value is None or value == {}:
        return "{}"
    return json.dumps(value, ensure_ascii=False)


def _hurtful(random: Random, text: str) -> tuple[bytes, str]:
    """Return TOML that is built to fill the stack, the memory or the time."""
    number = random.choice((100, 2000, 50_000))
    match random.randrange(8):
        case 0:
            return f"a = {'[' * number}{']' * number}\n{text}".encode(), f"{number} lists deep"
        case 1:
            return f"a = {'{a=' * number}1{'}' * number}".encode(), f"{number} tables deep"
        case 2:
            return f"{'.'.join('a' * min(number, 2000))} = 1".encode(), "a key of many parts"
        case 3:
            return f"wait = {'9' * number}\n{text}".encode(), f"an integer of {number} digits"
        case 4:
            return b"\xff\xfe" + text.encode("utf-16-le"), "UTF-16"
        case 5:
            key = nasty.text(random)
            line = f"{json.dumps(key, ensure_ascii=False)} = 1\n{text}"
            return line.encode("utf-8", "surrogatepass"), f"the key {key!r:.60}"
        case 6:
            return f"{text}{text}".encode(), "everything twice"
        case _:
            many = "".join(f'[[sleeper]]\nsource = "lsl"\nsleeper = "s{n}"\n' for n in range(500))
            return many.encode(), "500 sleepers"
