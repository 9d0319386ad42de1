"""A live night with every way on: real samples by LSL, real peers; and it ends in order."""

from __future__ import annotations

import io
import os
import threading
import time
from pathlib import Path

import pylsl
import pytest
from rich.console import Console

from monitor.clock import SystemClock
from monitor.config import LslConfig, read_settings
from monitor.config.options import SleeperOptions
from monitor.live import run_live
from tests.lsl_peer import peer
from tests.sinks.waiting import until
from tests.sinks.ways.broker import Broker, Subscriber
from tests.sinks.ways.listener import Listener
from tests.sinks.ways.receiver import Receiver


def test_each_way_carries_a_live_night_to_its_end(broker: Broker, tmp_path: Path) -> None:
    name = f"ways-live-{os.getpid()}"
    stop = threading.Event()
    threads = set(threading.enumerate())
    with Receiver() as server, Listener() as osc, Subscriber(broker.port) as app:
        config = tmp_path / "ways.toml"
        config.write_text(
            f'redis = "none"\ndashboard = false\n[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\n'
            f'[http]\nurl = "{server.url}"\n[osc]\nport = {osc.port}\n[lsl_out]\nname = "{name}"\n'
            f'[[sleeper]]\nsource = "lsl"\nsource_id = "{name}"\nsleeper = "anna"\n'
            f'store = "{tmp_path}/night.sqlite"\n'
        )
        options = read_settings(config).live()
        assert options.sleepers == (
            SleeperOptions(
                LslConfig(source_id=name), sleeper="anna", store=tmp_path / "night.sqlite"
            ),
        )
        night = threading.Thread(
            target=run_live, args=(options, Console(file=io.StringIO()), SystemClock(), stop)
        )
        with peer(name=name, ago=27):
            night.start()
            (info,) = pylsl.resolve_byprop("name", f"{name}-anna-stages", timeout=20.0)
            inlet = pylsl.StreamInlet(info, processing_flags=pylsl.proc_clocksync)
            (marker,), start_s = inlet.pull_sample(timeout=20.0)
            age_s = pylsl.local_clock() - start_s
            until(lambda: len(osc.on("/sleep-monitor/anna/stage")) == 1, "OSC")
            until(lambda: app.state("sleep-monitor/anna/state").get("time") is not None, "MQTT")
            until(
                lambda: any("/live/" in post.headers["webhook-id"] for post in server.posts), "HTTP"
            )
            before_s = time.monotonic()
            stop.set()
            night.join()
            assert time.monotonic() - before_s < 10.0
        until(lambda: app.on("sleep-monitor/anna/availability")[-1:] == ["offline"], "the end")
        assert app.state("sleep-monitor/anna/state")["ended"]
        assert "session.ended" in server.posts[-1].body
        until(lambda: osc.on("/sleep-monitor/anna/session")[-1:] == [("ended",)], "the end by OSC")
    _, word, _, osc_age_s = osc.on("/sleep-monitor/anna/stage")[0]
    assert word == marker
    # A marker carries the start of its epoch, so it is 30 s old when it comes.
    assert age_s == pytest.approx(30.0, abs=5.0)
    assert osc_age_s == pytest.approx(0.0, abs=5.0)
    published, posted = app.sequences("sleep-monitor/anna/events"), server.sequences()
    assert published == list(range(1, published[-1] + 1))
    assert posted == [each for each in published if each in set(posted)]  # not the revised track
    assert set(threading.enumerate()) <= threads
