"""Measure the ways out: how late a stage arrives over each, and what it does to staging.

    python -m tests.measuring.ways latency --sleepers 16 --minutes 10
    python -m tests.measuring.ways latency --sleepers 16 --minutes 10 --without   # Redis alone
    python -m tests.measuring.ways outage --seconds 600
    python -m tests.measuring.ways kills --kills 20

``latency``: LSL headbands, `sleep-monitor live` with every way on, a real mosquitto, a web server,
an OSC listener and LSL inlets, all on this machine. ``outage``: the peers of MQTT and HTTP are
killed, and are away for so long; a listener for OSC and one for LSL, too. ``kills``: `kill -9` of a
monitor that replays the demo with every way on, again and again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pylsl
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from deploy.live_benchmark import _child, _wait_for_all
from deploy.live_headbands import send, source_id
from deploy.live_listener import MEASURE, MEASURED, STOP, Received, listen
from deploy.usage import usage
from models.contract import EPOCH_S
from monitor.clock import SystemClock
from monitor.config import HttpConfig, LslOutConfig, MqttConfig, OscConfig
from monitor.sinks.redis_server import RedisServer
from monitor.sinks.ways import CarriedNight, Carrier
from monitor.sinks.ways.lsl import LslWay
from monitor.sinks.ways.mqtt_way import MqttWay
from monitor.sinks.ways.osc import OscWay
from monitor.sinks.ways.webhook import WebhookWay
from tests.live.processes import Program, environment, query
from tests.nights import EXCERPT
from tests.sinks.peers import a_session, scored
from tests.sinks.waiting import until
from tests.sinks.ways.broker import Broker, Subscriber
from tests.sinks.ways.carrying import NightLog
from tests.sinks.ways.listener import Listener
from tests.sinks.ways.receiver import Receiver

DELAYS: dict[str, list[tuple[float, float]]] = defaultdict(list)
"""For each way: the time of each arrival, and the delay since its epoch's end, both in seconds."""

PERIOD_S = 1.0
"""Interval between two epochs of the nights of ``outage``."""


# Latency


def latency(sleepers: int, minutes: float, without: bool, folder: Path) -> None:
    env = environment(folder / "user")
    os.environ.update(env)  # before liblsl is loaded for the inlets
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer(port=0))
        broker = stack.enter_context(Broker(folder))
        broker.start()
        receiver, osc = stack.enter_context(Receiver()), stack.enter_context(Listener())
        receiver.on_post = _posted
        table = "" if without else _table(broker, receiver, osc)
        (folder / "ways.toml").write_text(table)
        stack.enter_context(_mqtt(broker.port))
        app, _ = stack.enter_context(_child(listen, server.url))
        headbands, _ = stack.enter_context(_child(send, env, sleepers))
        arguments = ["live", "--config", str(folder / "ways.toml"), "--no-dashboard"]
        for number in range(sleepers):
            source = f"lsl:source_id={source_id(number)},sleeper=s{number}"
            arguments += ["--source", f"{source},store={folder / f'{number}.sqlite'}"]
        arguments += ["--redis", server.url]
        monitor = stack.enter_context(Program("monitor", "monitor.cli", arguments, folder, env))
        headbands.send("go")
        _wait_for_all(app, monitor.process, sleepers)
        stop = threading.Event()
        inlets = [] if without else [_inlet(number, stop) for number in range(sleepers)]
        app.send(MEASURE)
        began_s, before = time.time(), usage(monitor.process.pid)
        time.sleep(60.0 * minutes)
        app.send(MEASURED)
        ended_s, after = time.time(), usage(monitor.process.pid)
        monitor.end()
        app.send(STOP)
        stop.set()
        for inlet in inlets:
            inlet.join()
        redis: Received = app.recv()
        _add_osc(osc)
    _row("way", "epochs", "p50, ms", "p99, ms", "longest, ms")
    _row("Redis", *_figures([each.delay_s for each in redis.stages]))
    for name, arrivals in DELAYS.items():
        _row(name, *_figures([delay_s for at_s, delay_s in arrivals if began_s < at_s < ended_s]))
    stores = [folder / f"{number}.sqlite" for number in range(sleepers)]
    rows = [row for store in stores for row in query(store, _LATENCY)]
    _row("staging alone", *_figures([latency_s for (latency_s,) in rows]))
    warnings = [line for line in monitor.errors().splitlines() if "WARN" in line or "wait" in line]
    assert before is not None and after is not None
    cores = (after.cpu_s - before.cpu_s) / (ended_s - began_s)
    _print(f"monitor: {cores:.2f} of a core, {after.rss_mb:.0f} MB, {after.threads} threads")
    _print(f"epochs missing in Redis: {redis.missing}; warnings: {warnings[:3]}")


_LATENCY = "SELECT latency_s FROM prediction WHERE track = 'live'"


def _table(broker: Broker, receiver: Receiver, osc: Listener) -> str:
    return (
        f'[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\n'
        f'[http]\nurl = "{receiver.url}"\nsecret = "secret"\n'
        f"[osc]\nport = {osc.port}\n[lsl_out]\n"
    )


def _note(way: str, event: dict[str, Any]) -> None:
    if event["data"].get("track") == "live":
        now_s = time.time()
        DELAYS[way].append((now_s, now_s - _unix_s(event["time"])))


def _unix_s(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _posted(body: str) -> None:
    _note("HTTP", json.loads(body))


ENDS: dict[str, list[float]] = defaultdict(list)
"""The ends of each sleeper's epochs, from MQTT: OSC's messages do not carry them."""


@contextmanager
def _mqtt(port: int) -> Iterator[None]:
    def on_message(client: Client, data: Any, message: Any) -> None:
        event = json.loads(message.payload)
        _note("MQTT", event)
        if event["data"].get("track") == "live":
            ENDS[message.topic.split("/")[1]].append(_unix_s(event["time"]))

    client = Client(CallbackAPIVersion.VERSION2)
    client.on_message = on_message
    client.on_connect = lambda *_: client.subscribe("sleep-monitor/+/events", qos=1)
    client.connect("127.0.0.1", port)
    client.loop_start()
    yield
    client.disconnect()
    client.loop_stop()


def _inlet(number: int, stop: threading.Event) -> threading.Thread:
    def pull() -> None:
        (info,) = pylsl.resolve_byprop("name", f"sleep-monitor-s{number}-stages", timeout=30.0)
        inlet = pylsl.StreamInlet(info)
        while not stop.is_set():
            sample, start_s = inlet.pull_sample(timeout=0.5)
            if sample is not None:
                DELAYS["LSL"].append((time.time(), pylsl.local_clock() - start_s - EPOCH_S))

    thread = threading.Thread(target=pull)
    thread.start()
    return thread


def _add_osc(osc: Listener) -> None:
    for at_s, (address, _) in zip(osc.times_s, osc.messages, strict=True):
        _, _, node, what = [*address.split("/"), ""][:4]
        ends = [end_s for end_s in ENDS[node] if end_s <= at_s]
        if what == "stage" and ends:
            DELAYS["OSC"].append((at_s, at_s - max(ends)))


def _figures(delays_s: list[float]) -> list[str]:
    if not delays_s:
        return ["0", "", "", ""]
    ms = 1000.0 * np.asarray(delays_s)
    found = (np.percentile(ms, 50), np.percentile(ms, 99), ms.max())
    return [str(len(delays_s)), *(f"{each:.1f}" for each in found)]


# Outage


def outage(seconds: float, folder: Path) -> None:
    """Kill the peers of a night with an epoch a second, and start them after ``seconds``."""
    session, clock = a_session(), SystemClock()
    start_utc = session.start_utc
    began_utc = clock.utc()

    def now_utc() -> Any:  # so that each epoch is new when it is sent
        return start_utc + EPOCH_S * (clock.utc() - began_utc) / PERIOD_S

    night = CarriedNight(session, now_utc)
    with ExitStack() as stack:
        broker = stack.enter_context(Broker(folder))
        broker.start()
        app = stack.enter_context(Subscriber(broker.port))
        receiver, osc = Receiver(), Listener()
        mqtt = MqttConfig(host="127.0.0.1", port=broker.port)
        logs = [NightLog() for _ in range(4)]
        ways = [
            MqttWay(mqtt, night, logs[0]),
            WebhookWay(HttpConfig(url=receiver.url), night, clock),
            OscWay(OscConfig(port=osc.port), night),
            LslWay(LslOutConfig(name="outage"), night, logs[3]),
        ]
        carriers = [
            stack.enter_context(Carrier(log, way, clock))
            for log, way in zip(logs, ways, strict=True)
        ]
        feeding = threading.Event()

        def feed() -> None:
            index = 0
            while not feeding.wait(PERIOD_S):
                for log, carrier in zip(logs, carriers, strict=True):
                    log.add(scored(index))
                    carrier.notify()
                index += 1

        feeder = threading.Thread(target=feed)
        feeder.start()
        markers: list[str] = []
        stop = _pulling("outage-stages", markers)
        time.sleep(20.0)
        broker.kill()
        receiver.close()
        osc.close()
        stop()
        _print(f"the peers are away for {seconds:g} s")
        time.sleep(seconds)
        broker.start()
        second = Receiver(receiver.port)
        again = Listener(osc.port)
        stop = _pulling("outage-stages", markers)
        back_s = time.monotonic()
        _row("way", "events", "lost", "twice", "out of order", "caught up after, s")
        until_s = {}
        for name, carrier in zip(("MQTT", "HTTP"), carriers, strict=False):
            until(lambda c=carrier: c.waiting() <= 1, f"{name} to catch up")
            until_s[name] = time.monotonic() - back_s
        time.sleep(20.0)
        feeding.set()
        feeder.join()
        time.sleep(5.0)
        n_events = logs[0].last_sequence()
        posted = receiver.sequences() + second.sequences()
        for name, sequences in (("MQTT", app.sequences()), ("HTTP", posted)):
            first = list(dict.fromkeys(sequences))
            lost, twice = n_events - len(first), len(sequences) - len(first)
            disorder = sum(a > b for a, b in pairwise(first))
            _row(name, n_events, lost, twice, disorder, f"{until_s[name]:.1f}")
        n_stages = n_events - 1
        stages = [*osc.on("/sleep-monitor/stage"), *again.on("/sleep-monitor/stage")]
        _row("OSC", n_stages, n_stages - len(stages), 0, 0, "")
        _row("LSL", n_stages, n_stages - len(markers), 0, 0, "")
        stop()
        second.close()
        again.close()


def _pulling(name: str, markers: list[str]) -> Any:
    """Pull a stream into ``markers``, until the function that is returned is called."""
    (info,) = pylsl.resolve_byprop("name", name, timeout=30.0)
    inlet, ending = pylsl.StreamInlet(info, recover=False), threading.Event()

    def pull() -> None:
        while not ending.is_set():
            sample, _ = inlet.pull_sample(timeout=0.2)
            if sample is not None:
                markers.append(sample[0])
        inlet.close_stream()

    thread = threading.Thread(target=pull)
    thread.start()

    def stop() -> None:
        ending.set()
        thread.join()

    return stop


# Kills


def kills(n_kills: int, folder: Path) -> None:
    """Kill a monitor that replays the demo, and start it again, until the night is over."""
    env = environment(folder / "user")
    topic = "sleep-monitor-replay/sleeper/events"
    store = folder / "night.sqlite"
    with ExitStack() as stack:
        broker = stack.enter_context(Broker(folder))
        broker.start()
        receiver, osc = stack.enter_context(Receiver()), stack.enter_context(Listener())
        app = stack.enter_context(Subscriber(broker.port))
        (folder / "ways.toml").write_text(_table(broker, receiver, osc))
        arguments = ["replay", str(EXCERPT), "--config", str(folder / "ways.toml"), "--no-redis"]
        arguments += ["--no-dashboard", "--store", str(store), "--speed"]
        random = np.random.default_rng(1)
        for _ in range(n_kills):
            with Program("replay", "monitor.cli", [*arguments, "300"], folder, env) as monitor:
                time.sleep(float(random.uniform(1.5, 3.5)))
                monitor.kill()
        with Program("replay", "monitor.cli", [*arguments, "3000"], folder, env) as monitor:
            monitor.process.wait(120.0)
        ((n_events,),) = query(store, "SELECT max(sequence) FROM event")
        wanted = query(
            store,
            "SELECT sequence FROM event WHERE json_extract(data, '$.track') IS NOT 'revised'",
        )
        time.sleep(1.0)
        _row("way", "events", "lost", "twice", "out of order")
        found = {"MQTT": (app.sequences(topic), n_events)}
        found["HTTP"] = (receiver.sequences(), len(wanted))
        for name, (sequences, expected) in found.items():
            first = list(dict.fromkeys(sequences))
            disorder = sum(a > b for a, b in pairwise(first))
            _row(name, expected, expected - len(first), len(sequences) - len(first), disorder)
        stages = osc.on("/sleep-monitor-replay/stage")
        ((n_epochs,),) = query(store, "SELECT count(*) FROM epoch")
        _row("OSC", n_epochs, "", len(stages) - n_epochs, "")


def _row(*cells: object) -> None:
    _print("| " + " | ".join(map(str, cells)) + " |")


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    commands = parser.add_subparsers(dest="command", required=True)
    late = commands.add_parser("latency")
    late.add_argument("--sleepers", type=int, default=16)
    late.add_argument("--minutes", type=float, default=10.0)
    late.add_argument("--without", action="store_true", help="Redis alone")
    commands.add_parser("outage").add_argument("--seconds", type=float, default=600.0)
    commands.add_parser("kills").add_argument("--kills", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        match options.command:
            case "latency":
                latency(options.sleepers, options.minutes, options.without, folder)
            case "outage":
                outage(options.seconds, folder)
            case "kills":
                kills(options.kills, folder)


if __name__ == "__main__":
    main()
