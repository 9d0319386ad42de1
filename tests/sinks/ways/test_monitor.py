"""The real monitor with ways out, in a process of its own: configured, killed, continued."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.processes import Program, environment, query
from tests.nights import EXCERPT
from tests.sinks.waiting import until
from tests.sinks.ways.broker import Broker, Subscriber
from tests.sinks.ways.receiver import Receiver

HIDDEN = """
import sys

class Missing:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in ("paho", "pythonosc"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing)
"""


def replay(folder: Path, env: dict[str, str], *options: str) -> Program:
    store = ("--store", str(folder / "night.sqlite"), "--no-redis", "--no-dashboard")
    arguments = ("replay", str(EXCERPT), "--config", str(folder / "ways.toml"), *store, *options)
    return Program("replay", "monitor.cli", arguments, folder, env)


def test_a_monitor_that_is_killed_goes_on_in_order_and_loses_nothing(
    broker: Broker, tmp_path: Path
) -> None:
    topic = "sleep-monitor-replay/sleeper/events"
    env = environment(tmp_path / "user")
    with Receiver() as server, Subscriber(broker.port) as app:
        (tmp_path / "ways.toml").write_text(
            f'[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\n'
            f'[http]\nurl = "{server.url}"\nrevised = true\n'
            "[osc]\nport = 9\n[lsl_out]\n"
        )
        with replay(tmp_path, env, "--speed", "2000") as monitor:
            until(lambda: len(server.posts) > 60, "more than 60 posts")
            monitor.kill()
        with replay(tmp_path, env, "--speed", "max") as monitor:
            assert monitor.process.wait(60) == 0, monitor.errors()
        posted, published = server.sequences(), app.sequences(topic)
        state = app.state("sleep-monitor-replay/sleeper/state")
    ((last,),) = query(tmp_path / "night.sqlite", "SELECT max(sequence) FROM event")
    ((ended,),) = query(
        tmp_path / "night.sqlite",
        "SELECT data FROM event WHERE type = 'sleep-monitor.session.ended.v1'",
    )
    assert state["tst_min"] == json.loads(ended)["statistics"]["tst_min"] > 0.0
    assert (state["ended"], state["in_bed"]) == (True, "OFF")
    for sequences, doubles in ((posted, 1), (published, 64)):  # a batch
        assert list(dict.fromkeys(sequences)) == list(range(1, last + 1))
        assert len(sequences) <= last + doubles


@pytest.mark.parametrize(
    ("table", "extra"), [('mqtt]\nhost = "h"', "mqtt"), ("osc]\nport = 9", "osc")]
)
def test_a_missing_package_is_one_line_with_the_command(
    table: str, extra: str, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDDEN)
    (tmp_path / "ways.toml").write_text(f"[{table}\n")
    command = [sys.executable, "-m", "monitor.cli", "replay", str(EXCERPT), "--no-redis"]
    found = subprocess.run(
        [*command, "--config", str(tmp_path / "ways.toml")],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.returncode == 2
    assert found.stderr.splitlines() == [
        f"sleep-monitor: [{extra}] needs a package that is not installed: run pip install "
        f"'.[{extra}]' in the monitor's source folder"
    ]
