"""The address of the page, and the tables [web] and [alert]: what is wrong is named in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.config import parse_address, read_settings
from monitor.errors import InputError


@pytest.mark.parametrize(
    ("text", "address", "is_loopback"),
    [
        ("", "127.0.0.1:8030", True),
        ("localhost", "127.0.0.1:8030", True),
        ("8031", "127.0.0.1:8031", True),
        ("0.0.0.0", "0.0.0.0:8030", False),
        ("192.168.1.5:80", "192.168.1.5:80", False),
        ("::1", "[::1]:8030", True),
        ("[::]:8030", "[::]:8030", False),
        (" 127.0.0.2 ", "127.0.0.2:8030", True),
    ],
)
def test_addresses(text: str, address: str, is_loopback: bool) -> None:
    found = parse_address(text)
    assert (str(found), found.is_loopback) == (address, is_loopback)


@pytest.mark.parametrize(
    "text", ["example.org", "1.2.3", "1.2.3.4:", "1.2.3.4:x", "0", "65536", "[::1", "a:b:c", "é"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no address of the page|must be 1 to 65535"):
        parse_address(text)


def settings_of(folder: Path, text: str) -> object:
    file = folder / "night.toml"
    file.write_text(text)
    return read_settings(file)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[web]\naddress = "x.org"', r"web.address: 'x.org' is no address of the page"),
        ('[web]\nadress = "0.0.0.0"', r"web.adress: unknown key; did you mean 'address'\?"),
        ('[web]\nhosts = ["http://x"]', r"web.hosts\[1\]: must be names of hosts"),
        ('web = "0.0.0.0"', r"web: must be a table: begin it with a line \[web\]"),
        ("[alert]", r"alert: names no way to tell you"),
        ("[alert]\ndesktop = true\nafter = 1", r"alert.after: must be greater than or equal to 5"),
        ('[alert]\ncommand = "beep"', r"alert.command: must be a valid (tuple|list)"),
    ],
)
def test_mistakes_in_the_tables_are_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        settings_of(tmp_path, text)


def test_the_tables_of_a_night(tmp_path: Path) -> None:
    lines = (
        '[web]\naddress = "0.0.0.0"\nhosts = ["Sleep.Example.org"]\n'
        '[alert]\nsound = "bell.wav"\n[[sleeper]]\nsource = "lsl"\n'
    )
    file = tmp_path / "night.toml"
    file.write_text(lines)
    options = read_settings(file).live()
    assert str(options.web) == "0.0.0.0:8030" and options.web_hosts == ("sleep.example.org",)
    assert options.alert is not None and options.alert.sound == tmp_path / "bell.wav"
    assert str(read_settings(file).live(web="9000").web) == "127.0.0.1:9000"


def test_no_variable_sets_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLEEP_MONITOR_WEB", "0.0.0.0")
    with pytest.raises(InputError, match="environment variable SLEEP_MONITOR_WEB: unknown key"):
        read_settings()
