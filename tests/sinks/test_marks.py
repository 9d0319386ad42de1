"""Marks from another terminal or app, sent through a real server to the reader of a monitor."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import monitor.sinks
from monitor.clock import ManualClock
from monitor.errors import InputError, MonitorError
from monitor.night.events import mark_event, session_started
from monitor.sinks.event_log import MemoryEventLog
from monitor.sinks.mark_sender import make_mark, send_mark
from monitor.sinks.marks import A_MINUTE, KEPT, MarkAnswer, MarkReader
from monitor.sinks.redis_client import connect
from monitor.sinks.redis_server import RedisServer
from monitor.types import Mark, MarkKind
from tests.pages import python_blocks
from tests.sinks.peers import KEYS, a_session, publishing, stream, until_sent
from tests.sinks.waiting import until

START = datetime(2026, 1, 1, 22, 0, tzinfo=UTC)
AT = START + timedelta(hours=1, seconds=5, milliseconds=250)
OFF = Mark(MarkKind.LIGHTS_OFF, AT)


def reading(url: str) -> MarkReader:
    return MarkReader(url, since_utc=START, clock=ManualClock(AT))


def leave(url: str, *marks: dict[str, str]) -> None:
    """Leave ``marks`` as another app does."""
    client: Any = connect(url)
    for mark in marks:
        client.xadd(KEYS.marks, mark)
    client.close()


def fields(mark: Mark, sleeper: str = "") -> dict[str, str]:
    return {
        "kind": mark.kind.value,
        "time": mark.time_utc.isoformat(),
        "text": mark.text or "",
        "sleeper": sleeper,
    }


def taken(reader: MarkReader, n: int) -> list[tuple[Mark, str]]:
    """Wait for ``n`` marks and return them."""
    marks: list[tuple[Mark, str]] = []

    def enough() -> bool:
        marks.extend((left.mark, left.sleeper) for left in reader.take())
        return len(marks) >= n

    until(enough, f"{n} marks")
    return marks


@contextmanager
def monitoring(url: str, *sleepers: str) -> Iterator[None]:
    """Run the parts of a monitor that handle marks: a reader; a log and a publisher a sleeper."""
    done = threading.Event()
    with ExitStack() as stack:
        nights = {}
        for sleeper in sleepers:
            session, log = a_session(f"night of {sleeper or 'one'}", sleeper), MemoryEventLog()
            log.append(session_started(session, 1))
            publisher = stack.enter_context(publishing(log, url, session_id=session.id))
            until_sent(publisher, 1)
            nights[sleeper] = (session, log, publisher)
        reader = stack.enter_context(reading(url))
        until(lambda: reader._left_before is not None, "the reader to begin")

        def record() -> None:
            while not done.wait(0.01):
                for left in reader.take():
                    mark, name = left.mark, left.sleeper
                    for sleeper in (each for each in sleepers if name in ("", each)):
                        session, log, publisher = nights[sleeper]
                        sequence = log.last_sequence() + 1
                        log.append(
                            mark_event(
                                session, sequence, mark.kind, time=mark.time_utc, text=mark.text
                            )
                        )
                        publisher.notify()
                        reader.answer(MarkAnswer(left.entry, session.id, sleeper, ""))

        recorder = threading.Thread(target=record)
        recorder.start()
        try:
            yield
        finally:
            done.set()
            recorder.join()


def send(url: str, kind: MarkKind, text: str | None = None, sleeper: str | None = None) -> str:
    out = io.StringIO()
    clock = ManualClock(AT)
    mark = make_mark(kind.value, text, None, clock)
    send_mark(Console(file=out), url, mark, sleeper, clock, wait_s=1.0)
    return out.getvalue()


LOCAL = f"{AT.astimezone():%H:%M:%S}"


def test_a_mark_is_recorded_and_the_sender_prints_it(server: RedisServer) -> None:
    with monitoring(server.url, ""):
        assert send(server.url, MarkKind.LIGHTS_OFF) == f"Lights off at {LOCAL}, recorded\n"
        note = send(server.url, MarkKind.NOTE, "woke [b]up\n at \x1b 3")
    assert note == f"Note at {LOCAL}, recorded\n"
    assert '{"kind":"note","text":"woke [b]up at ? 3"}' in stream(server.url)[-1]["event"]


def test_a_mark_for_everyone_and_for_one(server: RedisServer) -> None:
    with monitoring(server.url, "anna", "ben"):
        everyone = send(server.url, MarkKind.LIGHTS_ON)
        one = send(server.url, MarkKind.LIGHTS_OFF, sleeper="ben")
    recorded = f"Lights on at {LOCAL}, recorded for"
    assert everyone == f"{recorded} anna\n{recorded} ben\n"
    assert one == f"Lights off at {LOCAL}, recorded for ben\n"
    assert len([entry for entry in stream(server.url) if "mark" in entry["type"]]) == 3


def test_a_mark_that_no_monitor_records_waits_for_one(server: RedisServer) -> None:
    with pytest.raises(MonitorError, match=r"no running monitor .* now: nobody\).* takes it when"):
        send(server.url, MarkKind.LIGHTS_OFF, sleeper="ben")
    with (
        monitoring(server.url, "anna"),
        pytest.raises(MonitorError, match=r"no running monitor recorded .* now: anna\)") as caught,
    ):
        send(server.url, MarkKind.LIGHTS_ON, sleeper="carl")
    assert "\n" not in str(caught.value)
    with reading(server.url) as reader:
        assert taken(reader, 2)[0] == (OFF, "ben")


def test_a_missing_server_and_wrong_use_are_errors_of_one_line(server: RedisServer) -> None:
    server.stop()
    url = f"redis://:s3cret@127.0.0.1:{server.port}"
    with pytest.raises(MonitorError, match=r"not sent: no answer from redis://:\*\*\*@127") as away:
        send(url, MarkKind.LIGHTS_OFF)
    assert "Start the monitor first, or pass the --redis URL" in str(away.value)
    assert "s3cret" not in str(away.value)
    assert "\n" not in str(away.value)
    with pytest.raises(InputError, match="is not valid"):
        send("nonsense", MarkKind.LIGHTS_OFF)
    with pytest.raises(InputError, match="only a note has a text"):
        send(url, MarkKind.LIGHTS_OFF, "now")


def test_each_mark_from_the_night_on_is_returned_once_in_order(server: RedisServer) -> None:
    early = Mark(MarkKind.LIGHTS_ON, START - timedelta(seconds=1))
    note = Mark(MarkKind.NOTE, AT, "Kaffee ☕")
    leave(server.url, fields(early), fields(OFF, "anna"))
    with reading(server.url) as reader:
        assert taken(reader, 1) == [(OFF, "anna")]
        assert reader.take() == []
        leave(server.url, fields(note))
        assert taken(reader, 1) == [(note, "")]
    # After a restart the reader returns the marks of the night again. The store knows them.
    with reading(server.url) as reader:
        assert taken(reader, 2) == [(OFF, "anna"), (note, "")]


def test_a_mark_without_a_time_has_the_time_at_which_the_server_got_it(server: RedisServer) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=2)
    leave(server.url, {"kind": "lights_off", "text": "only notes have one"})
    with reading(server.url) as reader:
        [(mark, sleeper)] = taken(reader, 1)
    assert (mark.kind, mark.text, sleeper) == (MarkKind.LIGHTS_OFF, None, "")
    assert before <= mark.time_utc <= datetime.now(UTC)


def test_a_server_that_restarts_empty_loses_no_mark(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    leave(server.url, fields(OFF))
    on = Mark(MarkKind.LIGHTS_ON, AT + timedelta(hours=7))
    with reading(server.url) as reader:
        assert taken(reader, 1) == [(OFF, "")]
        server.stop()
        until(lambda: reader._last_entry == "0-0", "the reader to miss the server")
        server.start()
        leave(server.url, fields(on))
        assert taken(reader, 1) == [(on, "")]
        # If only the connection breaks, marks that were read are not returned again.
        client: Any = connect(server.url)
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        client.close()
        leave(server.url, fields(OFF))
        assert taken(reader, 1) == [(OFF, "")]
    # The publisher logs that the server is away: the reader logs nothing.
    assert caplog.records == []


def test_waits_for_a_server(server: RedisServer) -> None:
    server.stop()
    with reading(server.url) as reader:
        assert reader.take() == []
        server.start()
        leave(server.url, fields(OFF))
        assert taken(reader, 1) == [(OFF, "")]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "lights"}, "kind 'lights' is none of lights_off, lights_on, note"),
        ({"hello": "world"}, "kind '' is none of"),
        ({"kind": "note", "time": "tonight"}, "time 'tonight' is not RFC 3339"),
        ({"kind": "note", "time": "2026-01-01T23:00:00"}, "has no offset: write it in UTC"),
        ({"kind": "note", "time": "9999-12-31T23:59:59.9999-09:00"}, "out of range"),
    ],
)
def test_an_entry_that_is_no_mark_is_logged_once_and_skipped(
    server: RedisServer, caplog: pytest.LogCaptureFixture, wrong: dict[str, str], message: str
) -> None:
    leave(server.url, wrong, fields(OFF))
    with reading(server.url) as reader:
        assert taken(reader, 1) == [(OFF, "")]
    [record] = caplog.records
    assert message in record.getMessage()


def test_the_text_of_a_note_is_one_line_of_bounded_length(server: RedisServer) -> None:
    client: Any = connect(server.url)
    client.xadd(KEYS.marks, {"kind": "note", "text": b"not \xff utf-8"})
    client.xadd(KEYS.marks, {"kind": "note", "text": "x" * 100_000})
    client.xadd(KEYS.marks, {"kind": "note", "text": " \x07\n "})
    client.close()
    with reading(server.url) as reader:
        texts = [mark.text for mark, _ in taken(reader, 3)]
    assert texts == ["not � utf-8", "x" * 999 + "…", "?"]


def test_a_key_of_another_type_is_logged_once(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    client: Any = connect(server.url)
    client.set(KEYS.marks, "of another program")
    with reading(server.url) as reader:
        until(lambda: "cannot be read" in caplog.text, "the complaint")
        client.delete(KEYS.marks)
        leave(server.url, fields(OFF))
        assert taken(reader, 1) == [(OFF, "")]
    client.close()
    assert len(caplog.records) == 1


FORGETS = """
import sys
from datetime import UTC, datetime
from monitor.clock import SystemClock
from monitor.sinks.marks import MarkReader
MarkReader(sys.argv[1], since_utc=datetime.now(UTC), clock=SystemClock()).start()
raise SystemExit(3)
"""


def test_a_forgotten_reader_does_not_keep_the_process(server: RedisServer) -> None:
    ended = subprocess.run([sys.executable, "-c", FORGETS, server.url], timeout=60)
    assert ended.returncode == 3


def test_the_example_on_the_page_works_as_it_stands(server: RedisServer) -> None:
    example = python_blocks(Path(monitor.sinks.__file__).parent / "EVENTS.md")[2]
    assert "redis://127.0.0.1:16379" in example
    example = example.replace("redis://127.0.0.1:16379", server.url)
    command = [sys.executable, "-c", example]
    # Without a monitor the mark waits, and nobody answers.
    assert subprocess.run(command, check=True, timeout=60, capture_output=True).stdout == b""
    with reading(server.url) as reader:
        assert taken(reader, 1)[0][0].kind is MarkKind.LIGHTS_OFF
    with monitoring(server.url, ""):
        found = subprocess.run(command, check=True, timeout=60, capture_output=True)
    assert found.stdout == b"recorded \n"
    refused = [sys.executable, "-c", example.replace("lights_off", "lights off")]
    with monitoring(server.url, ""):
        found = subprocess.run(refused, check=True, timeout=60, capture_output=True)
    assert found.stdout == b"refused kind 'lights off' is none of lights_off, lights_on, note\n"


def answers(url: str) -> list[dict[str, str]]:
    client: Any = connect(url)
    try:
        return [fields for _, fields in client.xrange(KEYS.mark_answers)]
    finally:
        client.close()


def test_a_flood_of_marks_is_counted_and_other_kinds_still_pass(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    client: Any = connect(server.url)
    with reading(server.url) as reader:
        until(lambda: reader._left_before is not None, "the reader")
        pipe, at = client.pipeline(), AT.isoformat()
        for n in range(3000):
            pipe.xadd(KEYS.marks, {"kind": "note", "text": f"{n}", "time": at}, id=f"60000000-{n}")
        pipe.xadd(KEYS.marks, fields(OFF))
        pipe.execute()
        marks = taken(reader, A_MINUTE + 1)
    assert [mark.text for mark, _ in marks] == [*map(str, range(A_MINUTE)), None]
    assert client.xlen(KEYS.mark_answers) <= KEPT + 100  # trimmed by whole nodes
    assert client.xlen(KEYS.marks) <= KEPT + 100
    client.close()
    refused = answers(server.url)[-1]
    assert (refused["answer"], refused["reason"]) == ("refused", "more than 60 marks in a minute")
    assert len(caplog.records) <= 2  # the first ones, and how many there were in the end


def test_a_refused_mark_is_printed_with_its_reason(server: RedisServer) -> None:
    early = Mark(MarkKind.NOTE, START - timedelta(seconds=1), "early")
    with (
        monitoring(server.url, ""),
        pytest.raises(
            MonitorError, match=r"Note at .* was refused: no night has a mark before 2026"
        ),
    ):
        send_mark(Console(), server.url, early, None, ManualClock(AT))
