"""The doctor looks for the peers of the ways out, and sends them nothing."""

from __future__ import annotations

from pathlib import Path

from monitor.config import Settings, read_settings
from monitor.doctor.finding import Verdict
from monitor.doctor.ways import ways_out
from tests.sinks.ways.broker import Broker, free_port, retained
from tests.sinks.ways.receiver import Receiver


def settings(folder: Path, text: str) -> Settings:
    path = folder / "ways.toml"
    path.write_text(text)
    return read_settings(path)


def test_no_way_is_fine(tmp_path: Path) -> None:
    (found,) = ways_out(settings(tmp_path, ""))
    assert (found.verdict, found.found) == (Verdict.OK, "none but Redis")


def test_peers_that_answer_are_named(broker: Broker, tmp_path: Path) -> None:
    with Receiver() as server:
        text = f'[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\n[http]\nurl = "{server.url}"\n'
        found = list(ways_out(settings(tmp_path, f"{text}[osc]\nport = 9\n[lsl_out]\n")))
    assert [(each.verdict, each.found) for each in found] == [
        (Verdict.OK, f"MQTT at 127.0.0.1:{broker.port} takes the connection"),
        (Verdict.OK, "HTTP at 127.0.0.1 takes the connection"),
        (Verdict.OK, "OSC to 127.0.0.1:9: who listens there gives no answer"),
        (Verdict.OK, "LSL as sleep-monitor"),
    ]
    assert server.posts == server.refused == []
    assert retained(broker.port) == {}


def test_peers_that_are_away_are_warnings_because_a_night_keeps_its_events(tmp_path: Path) -> None:
    port = free_port()
    text = f'[mqtt]\nhost = "127.0.0.1"\nport = {port}\n'
    text += f'[http]\nurl = "http://127.0.0.1:{port}/"\n[osc]\nhost = "no.invalid"\nport = 9\n'
    found = list(ways_out(settings(tmp_path, text)))
    assert [each.verdict for each in found] == [Verdict.WARNING] * 3
    assert "finds no host" in found[2].found and "keeps its events" in found[2].advice
