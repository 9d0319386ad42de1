"""The examples in WAYS.md run as they stand, each in a process of its own, and see a night."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import monitor.sinks
from models.contract import Stage
from monitor.clock import SystemClock
from monitor.config import HttpConfig, LslOutConfig, OscConfig, read_settings
from monitor.sinks.ways.lsl import LslWay
from monitor.sinks.ways.osc import OscWay
from monitor.sinks.ways.way import Way, position_key
from monitor.sinks.ways.webhook import WebhookWay
from monitor.types import Session
from tests.pages import code_blocks, python_blocks
from tests.sinks.peers import a_session, scored, unscored
from tests.sinks.waiting import until
from tests.sinks.ways.broker import free_port
from tests.sinks.ways.carrying import NightLog, carrying, night, until_sent

PAGE = Path(monitor.sinks.__file__).parent / "WAYS.md"
WEBHOOK, OSC, LSL = python_blocks(PAGE)


@contextmanager
def running(example: str, folder: Path) -> Iterator[Path]:
    """Run an example; yield the file with what it printed."""
    script, out, err = folder / "app.py", folder / "out", folder / "err"
    script.write_text(example, encoding="utf-8")
    with out.open("wb") as stdout, err.open("wb") as stderr:
        app = subprocess.Popen([sys.executable, str(script)], stdout=stdout, stderr=stderr)
    try:
        yield out
    finally:
        app.kill()
        app.wait()
        assert "Traceback" not in err.read_text(), err.read_text()


def send(way: Way, log: NightLog, out: Path, lines: int) -> list[str]:
    """Send a night until the app has printed so many lines; return them."""
    with carrying(log, way) as c:
        until(lambda: len(out.read_text().splitlines()) >= lines or c.notify(), f"{lines} lines")
        until_sent(c)
    return out.read_text().splitlines()


def a_night(session: Session | None = None) -> NightLog:
    log = NightLog(session)
    log.add(scored(0, Stage.N2))
    log.add(unscored(1))
    log.add(scored(2, Stage.R))
    return log


def test_the_webhook_checks_the_signature(tmp_path: Path) -> None:
    port = free_port()
    assert "8080" in WEBHOOK
    config = HttpConfig(url=f"http://127.0.0.1:{port}/", secret="a long random text")
    forged = HttpConfig(url=f"http://127.0.0.1:{port}/", secret="another")
    with running(WEBHOOK.replace("8080", str(port)), tmp_path) as out:
        lines = send(WebhookWay(config, night(), SystemClock()), a_night(), out, 3)
        log = a_night()
        with carrying(log, WebhookWay(forged, night(), SystemClock())) as c:
            until(lambda: "401" in (tmp_path / "err").read_text(), "the refusal")
            assert c.waiting() == 4
        assert out.read_text().splitlines() == lines
    assert lines == [
        "2026-01-01T22:00:30.000Z N2",
        "2026-01-01T22:01:00.000Z None",
        "2026-01-01T22:01:30.000Z R",
    ]


def test_the_osc_listener_prints_stages_that_are_scored(tmp_path: Path) -> None:
    port = free_port()
    assert "9000" in OSC
    with running(OSC.replace("9000", str(port)), tmp_path) as out:
        # UDP: what is sent before the app listens is lost, so the night is sent again.
        until(lambda: _sent_again(out, port), "the stages")
        assert set(out.read_text().splitlines()) == {"stage 2 N2 0.8", "stage 4 R 0.8"}


def _sent_again(out: Path, port: int) -> bool:
    log = a_night()
    with carrying(log, OscWay(OscConfig(port=port), night(age_s=59.0))) as c:
        until_sent(c)
    return len(out.read_text().splitlines()) >= 2


def test_the_lsl_reader_prints_stages_with_their_age(tmp_path: Path) -> None:
    log = a_night()
    log.mark_sent(position_key("lsl", "sleep-monitor"), 1)  # so it waits for those who listen
    with running(LSL, tmp_path) as out:
        lines = send(LslWay(LslOutConfig(), night(age_s=60.5), log), log, out, 2)
    found = "\n".join(line for line in lines if line.startswith(("mode", "stage")))
    # The two epochs before are older than a minute, or unscored.
    assert re.fullmatch(r"mode: live\nstage R [0-5]\.\d s after its end", found), lines


@pytest.mark.parametrize("example", [WEBHOOK, OSC, LSL])
def test_each_example_is_short(example: str) -> None:
    assert len([line for line in example.splitlines() if line]) <= 22


def test_the_automation_names_an_entity_that_is_announced() -> None:
    (automation,) = code_blocks(PAGE, "yaml")
    # Home Assistant makes the id of the device's name, Sleep, and the entity's, Asleep.
    assert "entity_id: binary_sensor.sleep_asleep\n" in automation
    assert a_session().sleeper == ""


@pytest.mark.parametrize("text", code_blocks(PAGE, "toml"))
def test_the_tables_of_the_page_are_valid(text: str, tmp_path: Path) -> None:
    path = tmp_path / "night.toml"
    path.write_text(text, encoding="utf-8")
    read_settings(path)
