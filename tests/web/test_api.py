"""The API over real HTTP, with a real event server: now, sessions, events, nights, marks."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from models.contract import Stage
from monitor.night.state import SleeperState
from monitor.sinks.redis_client import Keys, connect
from monitor.sinks.redis_server import RedisServer
from monitor.types import Contact, Mark, MarkKind, SignalState
from monitor.web import stream
from monitor.web.api import static_bytes
from tests.report.stored_night import store_stages
from tests.sinks.night_example import night_state
from tests.sinks.waiting import until
from tests.web.peers import (
    Page,
    PublishedNight,
    answering,
    contacts,
    key_of,
    served,
    stream_of,
)

SPEC: dict[str, Any] = json.loads(static_bytes("openapi.json"))


@pytest.fixture
def night(server: RedisServer) -> Iterator[PublishedNight]:
    with PublishedNight(server.url) as night:
        yield night


def check(value: object, schema: str) -> None:
    """Check a value against a schema of the OpenAPI document."""
    root = {"$ref": f"#/components/schemas/{schema}", "components": SPEC["components"]}
    Draft202012Validator(root).validate(value)


def epochs(n: int) -> Any:
    return lambda now: now["sleepers"] and now["sleepers"][0]["epochs"] == n


def test_a_night_in_plain_words(page: Page, night: PublishedNight) -> None:
    night.stages("WW12223")
    now = page.until(epochs(7), "seven epochs")
    (sleeper,) = now["sleepers"]
    check(now, "Now")
    assert now["monitor"] == "running"
    assert sleeper["phase"] == "running" and sleeper["mode"] == "live"
    assert sleeper["stage"]["word"] == "Deep" and sleeper["stage"]["code"] == "N3"
    assert sleeper["lines"][0] == "Asleep for 2 min"
    assert ["Deep", "0 min"] in sleeper["totals"]
    assert sleeper["trouble"] is None


def test_a_session_so_far(page: Page, night: PublishedNight) -> None:
    night.stages("W12?R")
    night.revise(2, Stage.N3)
    night.mark(Mark(MarkKind.NOTE, datetime.now(UTC), "dog <b>barked</b>"))
    page.until(epochs(5), "five epochs")
    until(lambda: len(page.ask("/api/v1/sessions/night-1").json["marks"]) == 1, "the mark to come")
    session = page.ask("/api/v1/sessions/night-1").json
    check(session, "Session")
    assert session["stages"] == "W13?R"
    assert session["percent"][3] is None and sum(session["percent"][4]) == 100
    assert session["marks"][0]["text"] == "dog <b>barked</b>"
    assert page.ask("/api/v1/sessions/other").status == 404


def test_an_electrode_that_is_off(page: Page, night: PublishedNight, server: RedisServer) -> None:
    night.stages("22")
    seen = replace(
        night_state(), session=night.session, channels=contacts(AF7=Contact.OFF), ended=False
    )
    with key_of(server.url, SleeperState("", "streaming", seen)):
        now = page.until(
            lambda now: now["sleepers"] and now["sleepers"][0]["trouble"], "the trouble"
        )
    (sleeper,) = now["sleepers"]
    check(now, "Now")
    assert sleeper["trouble"]["text"] == "Electrode AF7 is off: press it on"
    (off,) = [each for each in sleeper["electrodes"] if each["contact"] == "off"]
    assert off["name"] == "AF7" and off["at"][0] < 0 < off["at"][1]  # left, in front


def test_a_sleeper_whose_headband_is_not_there_yet(page: Page, server: RedisServer) -> None:
    waiting = SleeperState("anna", "waiting for an LSL stream of type EEG", None)
    failed = SleeperState("ben", "nothing came within 60 s", None, failed=True)
    with key_of(server.url, waiting, failed):
        now = page.until(lambda now: len(now["sleepers"]) == 2, "two sleepers")
    check(now, "Now")
    anna, ben = now["sleepers"]
    assert anna["stage"]["sentence"] == "Waiting for an LSL stream of type EEG"
    assert (anna["phase"], anna["session"], anna["trouble"]) == ("waiting", None, None)
    assert ben["trouble"]["level"] == "bad"


def test_a_lost_signal_is_no_stage(page: Page, night: PublishedNight) -> None:
    night.stages("2222")
    night.signal(SignalState.LOST)
    now = page.until(lambda now: now["sleepers"] and now["sleepers"][0]["trouble"], "the trouble")
    (sleeper,) = now["sleepers"]
    assert sleeper["stage"]["word"] == "No reading"
    assert sleeper["trouble"]["text"].startswith("No signal from the headband")


def test_two_sleepers_and_a_monitor_that_is_gone(page: Page, server: RedisServer) -> None:
    with PublishedNight(server.url, "a", "anna") as anna:
        with PublishedNight(server.url, "b", "ben") as ben:
            anna.stages("22")
            ben.stages("33")
            now = page.until(
                lambda now: [each["epochs"] for each in now["sleepers"]] == [2, 2], "both sleepers"
            )
            assert [each["sleeper"] for each in now["sleepers"]] == ["anna", "ben"]
        now = page.until(lambda now: len(now["sleepers"]) == 1, "ben's monitor to be gone")
    now = page.until(
        lambda now: {each["phase"] for each in now["sleepers"]} == {"gone"}, "no monitor"
    )
    for sleeper in now["sleepers"]:
        assert sleeper["stage"]["code"] is None  # an old stage is no news
        assert sleeper["trouble"]["text"].endswith("Start it again: it continues the night")


@pytest.mark.parametrize("mode", ["replay", None])
def test_a_replay_has_the_clock_of_its_recording(
    page: Page, server: RedisServer, mode: str | None
) -> None:
    with PublishedNight(server.url, began_min=400 * 24 * 60, mode=mode) as replay:
        replay.stages("W22")
        replay.revise(0, Stage.N1)  # a revision is no step back in time
        now = page.until(
            lambda now: now["sleepers"] and ["Awake", "0 min"] in now["sleepers"][0]["totals"],
            "the revision",
        )
        (sleeper,) = now["sleepers"]
    assert sleeper["mode"] == "replay"
    assert "In bed 1 min, since the start" in sleeper["lines"]


def test_without_an_event_server_the_page_says_so(server: RedisServer, tmp_path: Path) -> None:
    with served("redis://127.0.0.1:1", tmp_path) as page:
        now = page.until(lambda now: now["monitor"] == "away", "the server to be missed")
        check(now, "Now")
        assert now["sleepers"] == []


def test_events_come_as_they_happen_and_go_on_after_the_last_one(
    page: Page, night: PublishedNight
) -> None:
    night.stages("W")
    page.until(epochs(1), "the first epoch")
    with stream_of(page, "/api/v1/events?after=0-0") as reader:
        found = reader.events(2)
        night.stages("2")
        found += reader.events(1)
    assert [data["sequence"] for _, data in found] == ["00000001", "00000002", "00000003"]
    night.stages("33")
    with stream_of(page, Last_Event_ID=found[-1][0]) as reader:  # a phone that slept
        after = reader.events(2)
    assert [data["data"]["epoch_index"] for _, data in after] == [2, 3]


def test_events_go_on_after_the_page_was_restarted(
    server: RedisServer, night: PublishedNight, tmp_path: Path
) -> None:
    night.stages("W2")
    with (
        served(server.url, tmp_path) as page,
        stream_of(page, "/api/v1/events?after=0-0") as reader,
    ):
        (place, _) = reader.events(3)[-1]
    night.stages("3")
    with served(server.url, tmp_path) as page, stream_of(page, Last_Event_ID=place) as reader:
        ((_, data),) = reader.events(1)
    assert data["data"]["epoch_index"] == 2


def test_a_stream_begins_with_the_state_now(page: Page, night: PublishedNight) -> None:
    night.stages("22")
    page.until(epochs(2), "two epochs")
    with stream_of(page) as reader:
        found = [reader.next() for _ in range(3)]
    assert [(place, name) for place, name, _ in found] == [
        ("", "beat"),
        ("", "monitor"),
        ("", "now"),
    ]
    assert found[1][2]["keys"] == [found[2][2]["key"]] == ["night-1"]


def status_of_a_stream(page: Page) -> int:
    with stream_of(page) as reader:
        return reader.status


def test_readers_beyond_the_limit_are_told_to_come_back(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MOST_STREAMS", 1)
    with stream_of(page) as reader:
        reader.next()
        refused = page.ask("/api/v1/events")
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
        assert page.ask("/api/v1/now").status == 200

    until(lambda: status_of_a_stream(page) == 200, "the place of the first reader")


def test_a_reader_that_takes_nothing_is_left(
    page: Page, night: PublishedNight, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its buffers fill, and it would hold its place for ever."""
    monkeypatch.setattr(stream, "SEND_S", 0.3)
    monkeypatch.setattr(stream, "MOST_STREAMS", 1)
    night.stages("2")
    page.until(epochs(1), "the first epoch")
    with socket.create_connection(("127.0.0.1", page.port), timeout=10.0) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(b"GET /api/v1/events?after=0-0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(lambda: status_of_a_stream(page) == 503, "its stream to begin")
        night.stages("2" * 9000)  # several megabytes
        until(lambda: status_of_a_stream(page) == 200, "the slow reader to be left")


def test_an_id_that_is_none_is_refused(page: Page) -> None:
    for place in ("x", "1", "1-", "-1-1", "9" * 50 + "-0", "1-0%0a"):
        assert page.ask(f"/api/v1/events?after={place}").status == 400


def test_a_reader_that_is_ahead_of_a_new_server_reads_all_again(
    page: Page, night: PublishedNight
) -> None:
    night.stages("2")
    page.until(epochs(1), "the first epoch")
    with stream_of(page, "/api/v1/events?after=99999999999999-0") as reader:
        names = [reader.next()[1] for _ in range(3)]
    assert names == ["beat", "reset", ""]


def test_a_mark_is_recorded_once(page: Page, server: RedisServer, night: PublishedNight) -> None:
    with answering(server.url) as taken:
        first = page.mark({"Idempotency-Key": "a"}, kind="lights_off")
        again = page.mark({"Idempotency-Key": "a"}, kind="lights_off")
        check(first.json, "MarkAnswer")
        assert (first.status, first.json["recorded"]) == (201, [""])
        assert again.json == first.json
        assert page.mark({"Idempotency-Key": "a"}, kind="lights_on").status == 422
        note = page.mark(kind="note", text="woke up\nthirsty", sleeper="")
    assert note.json["text"] == "woke up thirsty"
    assert [left.mark.kind for left in taken] == ["lights_off", "note"]


def test_two_tabs_send_one_mark_at_the_same_time(
    page: Page, server: RedisServer, night: PublishedNight
) -> None:
    with answering(server.url) as taken, ThreadPoolExecutor(8) as pool:
        asks = [
            pool.submit(page.mark, {"Idempotency-Key": "one"}, kind="note", text="x")
            for _ in range(8)
        ]
        answers = {ask.result().body for ask in asks}
    assert len(answers) == len(taken) == 1


def test_a_mark_keeps_the_time_at_which_it_was_made(
    page: Page, server: RedisServer, night: PublishedNight
) -> None:
    made = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=3)
    with answering(server.url) as taken:
        assert page.mark(kind="lights_off", time=made.isoformat()).status == 201
    assert taken[0].mark.time_utc == made


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"kind": "sleep"},
        {"kind": "note"},
        {"kind": "lights_off", "text": "x"},
        {"kind": "note", "text": "x" * 1001},
        {"kind": "lights_off", "time": "23:10"},
        {"kind": "lights_off", "time": "2026-11-27T23:10:00"},
        {"kind": "lights_off", "colour": "red"},
        {"kind": ["lights_off"]},
    ],
    ids=str,
)
def test_what_is_no_mark_is_refused_with_the_reason(page: Page, fields: dict[str, Any]) -> None:
    answer = page.mark(**fields)
    assert answer.status == 422
    check(answer.json, "Error")


def test_without_a_monitor_a_mark_waits(page: Page) -> None:
    answer = page.mark(kind="lights_off")
    assert answer.status == 503 and "It waits there" in answer.json["error"]


def test_nights_and_their_reports(page: Page, tmp_path: Path) -> None:
    store_stages(tmp_path / "2026-11-25-220000-muse.sqlite", "W" * 10 + "2" * 60, sleeper="anna")
    (tmp_path / "broken.sqlite").write_bytes(b"no night")
    answer = page.ask("/api/v1/nights").json
    check(answer, "Nights")
    (night,) = answer["nights"]
    assert night["asleep_min"] == 30.0 and night["sleeper"] == "anna" and night["state"] == "ended"
    report = page.ask(night["report"])
    assert report.status == 200 and b"anna" in report.body
    assert "sandbox" in report.headers["content-security-policy"]
    for shown in (report, page.ask("/api")):
        assert b"prefers-color-scheme" not in shown.body  # dark at 3 am, whatever a phone prefers
    assert list(tmp_path.glob("*.html")) == []  # reading leaves nothing behind
    assert page.ask("/nights/broken").status == 404


def test_a_report_follows_its_night(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "n.sqlite"
    store_stages(path, "2" * 40, sleeper="anna")
    assert b"anna" in page.ask("/nights/n").body
    path.unlink()
    store_stages(path, "2" * 40, sleeper="ben")
    assert b"ben" in page.ask("/nights/n").body


def test_the_openapi_document_names_every_path_and_the_page_shows_it(page: Page) -> None:
    assert page.ask("/api/openapi.json").json == SPEC
    shown = page.ask("/api").body.decode()
    for path, operations in SPEC["paths"].items():
        for method in operations:
            assert f"{method.upper()} {path}" in shown
    for path in SPEC["paths"]:
        assert page.ask(path.format(session="x", night="x"), "PUT").status == 405


def test_the_page_is_small_and_asks_nobody_else(page: Page) -> None:
    files = ["/", "/page.css", "/page.js", "/icon.svg", "/manifest.webmanifest"]
    bodies = [page.ask(path).body for path in files]
    assert sum(map(len, bodies)) < 100_000
    for body in bodies:
        assert b"//" not in body.replace(b"http://www.w3.org/", b"").replace(b"// ", b"")


def test_a_file_that_the_browser_has_is_not_sent_again(page: Page) -> None:
    tag = page.ask("/page.js").headers["etag"]
    assert page.ask("/page.js", headers={"If-None-Match": tag}).status == 304


def test_events_that_another_program_wrote_change_nothing(
    page: Page, server: RedisServer, night: PublishedNight
) -> None:
    night.stages("2")
    page.until(epochs(1), "the first epoch")
    client: Any = connect(server.url)
    good = {"specversion": "1.0", "source": "/sleep-monitor/night-1", "sequence": "00000009"}
    for n, data in enumerate(({}, {"epoch_index": 10**18}, {"epoch_index": -1, "track": "live"})):
        event = {
            **good,
            "id": f"x{n}",
            "type": "sleep-monitor.stage.v1",
            "time": "2026-01-01T00:00:00Z",
            "data": data,
        }
        client.xadd(Keys().events, {"event": json.dumps(event)})
    other = {**good, "source": "/sleep-monitor/late", "type": "sleep-monitor.session.started.v1"}
    late = {"start_utc": "9999-12-31T23:59:59Z", "source": "", "derivation": "", "model": ""}
    for n, data in enumerate((late, {"epoch_index": 3, "track": "live"})):
        event = {**other, "id": f"y{n}", "time": "9999-12-31T23:59:59Z", "data": data}
        client.xadd(Keys().events, {"event": json.dumps(event)})
    for text in ("[]", "{}", '{"sleepers": [1, {}, {"sleeper": 3}]}', "[" * 5000):
        client.set(Keys().sleepers, text)
    client.close()
    night.stages("3")
    page.until(lambda now: 2 in [each["epochs"] for each in now["sleepers"]], "the second epoch")
