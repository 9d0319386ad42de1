"""The tables of the ways out in the TOML file: what they accept, and that no secret is printed."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from monitor.config import Settings, read_settings
from monitor.errors import InputError

SECRET = "not-to-be-seen"

ALL = """
[mqtt]
host = "homeassistant.local"
username = "sleep"
password = "not-to-be-seen"

[http]
url = "https://example.org/hook?token=not-to-be-seen"
secret = "not-to-be-seen"

[osc]
port = 9000

[lsl_out]
"""


def read(folder: Path, text: str, mode: int = 0o600) -> Settings:
    path = folder / "night.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return read_settings(path)


def mistake(folder: Path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        read(folder, text)
    assert "\n" not in str(caught.value) and SECRET not in str(caught.value)
    return str(caught.value).partition("night.toml: ")[2]


def test_every_way_is_off_unless_its_table_is_there(tmp_path: Path) -> None:
    ways = read(tmp_path, "").replay(Path("x.edf")).ways
    assert (ways.mqtt, ways.http, ways.osc, ways.lsl_out) == (None, None, None, None)


def test_the_tables_become_options(tmp_path: Path) -> None:
    ways = read(tmp_path, ALL).replay(Path("x.edf")).ways
    assert ways.mqtt is not None and ways.http is not None
    assert ways.osc is not None and ways.lsl_out is not None
    assert (ways.mqtt.host, ways.mqtt.port, ways.mqtt.tls) == ("homeassistant.local", 1883, False)
    assert (ways.mqtt.topic, ways.mqtt.discovery) == ("sleep-monitor", "homeassistant")
    assert ways.mqtt.password is not None
    assert ways.mqtt.password.get_secret_value() == SECRET
    assert (ways.osc.host, ways.osc.port) == ("127.0.0.1", 9000)
    assert ways.lsl_out.name == "sleep-monitor"
    assert SECRET not in repr(ways) + str(ways)


def test_secrets_may_stand_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLEEP_MONITOR_MQTT_PASSWORD", "from the environment")
    monkeypatch.setenv("SLEEP_MONITOR_HTTP_SECRET", "this too")
    settings = read(tmp_path, ALL)
    assert settings.mqtt is not None and settings.mqtt.password is not None
    assert settings.mqtt.password.get_secret_value() == "from the environment"
    assert settings.http is not None and settings.http.secret is not None
    assert settings.http.secret.get_secret_value() == "this too"
    assert read(tmp_path, "").mqtt is None  # a password alone configures nothing


def test_secrets_that_others_may_read_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    read(tmp_path, ALL, mode=0o600)
    assert caplog.text == ""
    read(tmp_path, ALL, mode=0o644)
    (record,) = caplog.records
    text = record.getMessage()
    assert "password of [mqtt] and secret of [http] and url of [http]" in text
    assert "chmod 600" in text and SECRET not in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[mqtt]\nhots = 'h'", "mqtt.hots: unknown key; did you mean 'host'? (known: host, port"),
        ("[mqtt]", "mqtt.host: is missing"),
        ("mqtt = 'h'", "mqtt: must be a table: begin it with a line [mqtt]"),
        ("[[osc]]\nport = 1", "osc: must be a table: begin it with a line [osc]"),
        ("[mqtt]\nhost = 'mqtt://h'", "mqtt.host: must be the name or the address of a host"),
        ("[mqtt]\nhost = 'h:1883'", "mqtt.host: must be the name or the address of a host"),
        ("[mqtt]\nhost = 'h'\nport = 0", "mqtt.port: must be greater than or equal to 1, got 0"),
        ("[mqtt]\nhost = 'h'\nport = '1883'", "mqtt.port: must be a valid integer, got '1883'"),
        ("[mqtt]\nhost = 'h'\ntopic = 'a/#'", "mqtt.topic: must be words with / between them"),
        ("[mqtt]\nhost = 'h'\ndiscovery = '+'", "mqtt.discovery: must be words with /"),
        ("[mqtt]\nhost = 'h'\npassword = ['not-to-be-seen']", "mqtt.password: must be a valid"),
        ("[mqtt]\nhost = 'h'\npassword = 'not-to-be-seen'", "mqtt: password needs a username"),
        ("[http]\nurl = 'ftp://not-to-be-seen/'", "http.url: is not valid: write http://HOST"),
        ("[http]\nurl = 'not-to-be-seen'", "http.url: is not valid: write http://HOST"),
        ("[http]\nurl = 'http:///x'", "http.url: is not valid: write http://HOST"),
        ("[http]\nurl = 'http://h:99999/'", "http.url: is not valid: write http://HOST"),
        ("[http]\nurl = 'http://[h/'", "http.url: is not valid: write http://HOST"),
        ("[http]\nurl = 'http://u:not-to-be-seen@h/'", "http.url: must hold no user"),
        ("[http]\nurl = ''", "http.url: value should have at least 1 item"),
        ("[osc]", "osc.port: is missing"),
        ("[lsl_out]\nname = ''", "lsl_out.name: must have at least 1 character"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(text: str, message: str, tmp_path: Path) -> None:
    assert mistake(tmp_path, text).startswith(message)


def test_a_table_cannot_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLEEP_MONITOR_MQTT", "{}")
    with pytest.raises(InputError, match="SLEEP_MONITOR_MQTT: unknown key"):
        read_settings()
