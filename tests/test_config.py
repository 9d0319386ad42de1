"""Settings: their sources, their precedence, and the message for each mistake."""

from __future__ import annotations

import os
import re
from dataclasses import astuple
from pathlib import Path
from typing import Any, get_args

import pytest

from models.contract import Gain
from monitor import config
from monitor.config import (
    BrainflowConfig,
    Grid,
    LiveOptions,
    LslConfig,
    Settings,
    SleeperOptions,
    default_config,
    parse_grid,
    parse_speed,
    read_settings,
)
from monitor.errors import InputError
from monitor.staging.chain import AUTO, BACKENDS
from tests.pages import code_blocks, shell_lines

TWO = """
redis = "redis://file"
gain = "unknown"

[[sleeper]]
sleeper = "anna"
source = "lsl"
source_id = "abc"
channel = ["AF7-TP9", "AF8-TP10"]
store = "anna.sqlite"

[[sleeper]]
source = "brainflow"
board = "muse_s"
channel = "AF7-TP9"
"""


@pytest.fixture(autouse=True)
def new_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test as a user without a configuration."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for variable in ("CONFIG", "REDIS", "GAIN"):
        monkeypatch.delenv(f"SLEEP_MONITOR_{variable}", raising=False)


def toml(folder: Path, text: str) -> Path:
    path = folder / "night.toml"
    path.write_text(text, encoding="utf-8")
    return path


def mistake(config: Path | None = None, **command_line: Any) -> str:
    """Return the message for a mistake, which is one line."""
    with pytest.raises(InputError) as caught:
        read_settings(config, **command_line).live()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        '"a\\u001b[31m\\n" = 1',
        '[[sleeper]]\nsource = "lsl"\n"na\\u009bme" = 1',
        'sleeper = ["l\\nsl:"]',
    ],
)
def test_control_characters_of_a_key_never_reach_the_terminal(tmp_path: Path, text: str) -> None:
    assert mistake(toml(tmp_path, text)).isprintable()
    assert mistake(sleeper=["lsl:na\x1bme=\n"]).isprintable()


def test_command_line_before_environment_before_file_before_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_settings().gain is Gain.KNOWN
    path = toml(tmp_path, 'redis = "redis://file"\ngain = "unknown"\nwait = 60\nweights = "w.st"')
    from_file = read_settings(path)
    assert (from_file.redis_url, from_file.gain, from_file.wait) == (
        "redis://file",
        Gain.UNKNOWN,
        60.0,
    )
    assert from_file.weights == tmp_path / "w.st", "a relative path starts at the file's own folder"

    monkeypatch.setenv("SLEEP_MONITOR_REDIS", "redis://environment")
    monkeypatch.setenv("SLEEP_MONITOR_GAIN", "")  # an empty variable counts as not set
    assert read_settings(path).redis_url == "redis://environment"
    assert read_settings(path).gain is Gain.UNKNOWN
    assert read_settings(path, redis="redis://line").redis_url == "redis://line"
    without = read_settings(path, redis="none")
    assert without.no_redis
    assert without.redis_url is None


def test_the_file_comes_from_the_command_line_or_the_environment_or_is_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default_config().parent.mkdir(parents=True)
    default_config().write_text("wait = 1")
    assert read_settings().wait == 1
    monkeypatch.setenv("SLEEP_MONITOR_CONFIG", str(toml(tmp_path, "wait = 2")))
    assert read_settings().wait == 2
    other = tmp_path / "other.toml"
    other.write_text("wait = 3")
    assert read_settings(other).wait == 3


def test_sleepers_of_the_file(tmp_path: Path) -> None:
    options = read_settings(toml(tmp_path, TWO), dashboard=False).live(new_night=True)
    assert options == LiveOptions(
        sleepers=(
            SleeperOptions(
                LslConfig(source_id="abc"),
                "anna",
                ("AF7-TP9", "AF8-TP10"),
                store=tmp_path / "anna.sqlite",
            ),
            SleeperOptions(BrainflowConfig(board="muse_s"), "2", ("AF7-TP9",)),
        ),
        gain=Gain.UNKNOWN,
        redis="redis://file",
        new_night=True,
        dashboard=False,
    )


def test_sources_of_the_command_line_replace_those_of_the_file(tmp_path: Path) -> None:
    sources = [
        "lsl:source_id=abc,sleeper=anna,channel=AF7-TP9,channel=AF8-TP10,output=a.csv",
        "brainflow:board=cyton,port=/dev/ttyUSB0",
        "lsl",
    ]
    assert read_settings(toml(tmp_path, TWO), sleeper=sources).live().sleepers == (
        SleeperOptions(
            LslConfig(source_id="abc"), "anna", ("AF7-TP9", "AF8-TP10"), output=Path("a.csv")
        ),
        SleeperOptions(BrainflowConfig(board="cyton", port="/dev/ttyUSB0"), "2"),
        SleeperOptions(LslConfig(), "3"),
    )


def test_options_for_channel_store_and_output_apply_to_a_single_sleeper() -> None:
    settings = read_settings(sleeper=["lsl:channel=C3,store=a.sqlite"])
    (only,) = settings.live(["AF7"], None, Path("a.csv")).sleepers
    assert only == SleeperOptions(LslConfig(), "", ("AF7",), Path("a.sqlite"), Path("a.csv"))


@pytest.mark.parametrize("option", ["channel", "store", "output"])
def test_with_several_sleepers_these_options_are_refused(option: str) -> None:
    settings = read_settings(sleeper=["lsl:name=a", "lsl:name=b"])
    value: Any = ["AF7"] if option == "channel" else Path("x")
    with pytest.raises(InputError, match=f"--{option} could be for any of 2 sleepers"):
        settings.live(**{option: value})


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (["lsl:foo=1"], "--source lsl:foo=1: foo: unknown key (known: source, name, type"),
        (["lsl:sorce_id=1"], "did you mean 'source_id'?"),
        (["brainflow:bord=1"], "bord: unknown key; did you mean 'board'?"),
        (["brainflow"], "--source brainflow: board: is missing"),
        (["emotiv:a=1"], "source must be 'lsl' or 'brainflow', got 'emotiv'"),
        (["lsl:abc"], "'abc' is not KEY=VALUE"),
        (["lsl:name=a,name=b"], "gives name twice"),
        (["lsl:name="], "name: must have at least 1 character"),
        (["lsl:sleeper=a/b"], "sleeper: must be of letters, digits"),
        (["lsl:store="], "store: must name a file"),
        (["lsl:unit=furlong"], "unit: must be nV, uV, mV or V"),
        (["lsl:sleeper=anna", "lsl:sleeper=Anna"], "2 sleepers are called 'anna'"),
        (["lsl:sleeper=2", "lsl"], "2 sleepers are called '2'"),
        (["lsl:store=a", "lsl:store=./a"], "store of 1 and store of 2 are one file, a"),
        (["lsl:store=a,output=a"], "store and output are one file"),
    ],
)
def test_mistakes_in_a_source(sources: list[str], message: str) -> None:
    assert message in mistake(sleeper=sources)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gain = 1", "night.toml: gain: must be 'known' or 'unknown', got 1"),
        ("wait = -1", "night.toml: wait: must be greater than or equal to 0, got -1"),
        ("wait = nan", "night.toml: wait: must be a finite number"),
        ("dashboard = 'maybe'", "night.toml: dashboard: must be a valid boolean"),
        ("no_redis = true", "no_redis: unknown key; did you mean 'redis'? (known: redis, gain"),
        ("redis = 5", "night.toml: redis: must be a valid string"),
        ("wait = 1\ngain = known", "is not TOML: Invalid value (at line 2, column 8)"),
        ("[sleeper]\nsource = 'lsl'", "sleeper: must be tables: begin each with a line [[sleep"),
        ("[[sleeper]]\nname = 'x'", "night.toml: sleeper[1]: source must be 'lsl' or 'brainflow'"),
        (TWO + "bord = 'x'", "night.toml: sleeper[2].bord: unknown key; did you mean 'board'?"),
        (TWO + "mac = 5", "night.toml: sleeper[2].mac: must be a valid string, got 5"),
        (TWO.replace("board", "# "), "night.toml: sleeper[2].board: is missing"),
        (TWO + "[[sleeper]]\nsource='lsl'\nstore='anna.sqlite'", "are one file"),
        ("", "no source is given: name it (sleep-monitor live lsl"),
    ],
)
def test_mistakes_in_the_file(text: str, message: str, tmp_path: Path) -> None:
    assert message in mistake(toml(tmp_path, text))


def test_mistakes_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SLEEP_MONITOR_GAIN", "loud")
    assert "variable SLEEP_MONITOR_GAIN: must be 'known' or 'unknown', got 'loud'" in mistake()
    monkeypatch.setenv("SLEEP_MONITOR_GIAN", "unknown")
    assert "variable SLEEP_MONITOR_GIAN: unknown key; did you mean 'gain'?" in mistake()
    monkeypatch.delenv("SLEEP_MONITOR_GIAN")
    monkeypatch.setenv("SLEEP_MONITOR_CONFIG", str(tmp_path / "none.toml"))
    assert "none.toml: No such file or directory; --config or SLEEP_MONITOR_CONFIG" in mistake()


def test_mistakes_on_the_command_line() -> None:
    assert mistake(wait=-1.0) == "--wait: must be greater than or equal to 0, got -1.0"
    table = {"source": "lsl", "source_id": ""}
    assert mistake(sleeper=[table]).startswith("--source-id: must have at least 1 character")


def test_a_password_is_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("http://:secret@host", "secret"):
        assert "secret" not in mistake(redis=url)
        assert "secret" not in mistake(toml(tmp_path, f"redis = ['{url}']"))
    monkeypatch.setenv("SLEEP_MONITOR_REDIS", "secret")
    assert "secret" not in mistake()


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    assert read_settings(toml(tmp_path, "\ufeffwait = 5")).wait == 5


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "night.toml"
    path.write_bytes(b"gain = '\xff'")
    assert "is not UTF-8 text" in mistake(path)
    assert "Is a directory" in mistake(tmp_path)


def test_the_examples_of_the_page_are_valid(tmp_path: Path) -> None:
    page = Path(config.__file__).with_name("CONFIG.md")
    first, ways, two = code_blocks(page, "toml")
    (sources,) = shell_lines(page)
    (only,) = read_settings(toml(tmp_path, first)).live().sleepers
    assert only.source == BrainflowConfig(board="muse_s")
    assert None not in astuple(read_settings(toml(tmp_path, ways)).replay(Path("x.edf")).ways)
    sleepers = read_settings(toml(tmp_path, two)).live().sleepers
    assert [each.sleeper for each in sleepers] == ["anna", "ben"]
    same = re.findall(r"--source (\S+)", sources)
    assert read_settings(sleeper=same).live().sleepers == sleepers


def test_every_backend_can_be_configured() -> None:
    known = get_args(Settings.model_fields["backend"].annotation)
    assert known == (AUTO, *BACKENDS)


@pytest.mark.parametrize(("text", "speed"), [("max", None), ("1", 1.0), ("0.5", 0.5), ("60", 60.0)])
def test_speeds(text: str, speed: float | None) -> None:
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["0", "-1", "fast", "", "nan", "inf"])
def test_speeds_that_are_not_valid(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_speed(text)
    assert str(caught.value) == (
        f"--speed must be a number above 0, such as 1 or 60, or max, got '{text}'"
    )


@pytest.mark.parametrize(
    ("text", "grid"), [("auto", "auto"), ("start", "start"), ("0", 0.0), ("12.5", 12.5)]
)
def test_grids(text: str, grid: Grid) -> None:
    assert parse_grid(text) == grid


@pytest.mark.parametrize("text", ["", "end", "-1", "nan", "inf"])
def test_grids_that_are_not_valid(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_grid(text)
    assert str(caught.value) == (
        f"--grid must be auto, start or seconds of 0 or more, got '{text}'"
    )


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (["lsl:source_id=Muse-1", "lsl:source_id=muse-1 "], "1 and 2 have one source, source_id"),
        (["lsl:name=A", "lsl:name=a"], "1 and 2 have one source, name 'a'"),
        (
            ["brainflow:board=muse_s,mac=00:1A:2B", "brainflow:board=muse_2,mac=00-1a-2b"],
            "have one source, mac",
        ),
        (
            ["brainflow:board=muse_s,serial=Muse-1", "brainflow:board=muse_s,serial=muse-1"],
            "have one source, serial",
        ),
    ],
)
def test_two_sleepers_cannot_have_one_headband(sources: list[str], message: str) -> None:
    assert message in mistake(sleeper=sources)


def test_texts_of_the_file_are_one_line_that_prints(tmp_path: Path) -> None:
    (only,) = (
        read_settings(
            toml(
                tmp_path,
                TWO.split('[[sleeper]]\nsource = "brainflow')[0].replace('"abc"', '"a\\u001bb"'),
            )
        )
        .live()
        .sleepers
    )
    assert only.source == LslConfig(source_id="a?b")
    bad = TWO.replace('board = "muse_s"', 'board = "mu\\u001b[31mse"')
    text = mistake(toml(tmp_path, bad))
    assert "sleeper[2].board: must be one line" in text and text.isprintable()


def test_a_password_on_the_command_line_is_warned_of_and_not_shown(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_settings(redis="redis://localhost:6379")
    monkeypatch.setenv("SLEEP_MONITOR_REDIS", "redis://:s3cret@localhost")
    read_settings()
    assert caplog.text == ""
    read_settings(redis="redis://:s3cret@localhost")
    (record,) = caplog.records
    assert "SLEEP_MONITOR_REDIS" in record.getMessage()
    assert "s3cret" not in record.getMessage()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wait = " + "[" * 2000, "nested"),
        ("a." * 400 + "b = 1", "is nested more than 32 levels deep"),
        ("wait = " + "9" * 4500, "is not TOML: Exceeds the limit"),
        ("wait = 0x" + "f" * 4500, "has an integer of more than 64 bits"),
        ('weights = "a\\u0000b"', "weights: must be one line"),
        ('[[sleeper]]\nsource = "lsl"\nstore = "a\\u0000b"', "sleeper[1].store: must be one line"),
        (
            '[[sleeper]]\nsource = "brainflow"\nboard = "a\\u001b[2J"',
            "sleeper[1].board: must be one line",
        ),
        (
            '[[sleeper]]\nsource = "brainflow"\nboard = "' + "a" * 4500 + '"',
            "must be one line of at most",
        ),
        ('"wa\\u001bit" = 1', "wa?it: unknown key"),
        ("gain = '" + "a" * 4500 + "'", "gain: must be 'known' or 'unknown', got 'aaa"),
        ("#" * 6000, "has a line of more than 5000 letters"),
        ("#\n" * 35_000, "has more than 65536 bytes"),
    ],
    ids=lambda each: repr(each)[:24],
)
def test_a_file_built_to_hurt_gets_one_short_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "night.toml"
    path.write_text(text)
    found = mistake(path)
    assert message in found
    assert len(found) < 600 and found.isprintable()


def test_a_file_of_dots_is_refused_in_a_second_or_two(tmp_path: Path) -> None:
    """Python's TOML reader takes a time that grows with the square of a key's dots."""
    path = tmp_path / "night.toml"
    path.write_text("".join(f"{letter}{'.a' * 2400} = 1\n" for letter in "abcdefghijklm"))
    assert "nested" in mistake(path)


@pytest.mark.skipif(os.name != "posix", reason="Windows has other permissions")
def test_a_password_in_a_file_that_others_can_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = toml(tmp_path, 'redis = "redis://:secret@host"')
    file.chmod(0o644)
    read_settings(file)
    assert f"may read the password of redis in {file}: chmod 600 it" in caplog.text
    assert "secret" not in caplog.text
    caplog.clear()
    file.chmod(0o600)
    read_settings(file)
    assert caplog.text == ""
