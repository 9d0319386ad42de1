"""LSL streams whose descriptions are hostile: each is cleaned or left out, and named."""

from __future__ import annotations

import itertools
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing

import pylsl
import pytest

from monitor.clock import SystemClock, Timeline
from monitor.config import LslConfig
from monitor.doctor import devices
from monitor.sources.lsl import LslSource, list_streams
from monitor.sources.lsl.metadata import UnreadableStreamError, layout_of
from tests.lsl_peer import peer

numbers = itertools.count()


@pytest.fixture
def kind() -> Iterator[str]:
    """Return a type of streams that no other test uses."""
    yield f"EEG-{os.getpid()}-{next(numbers)}"


def outlet(
    name: str, kind: str, rate_hz: float = 256.0, labels: tuple[str, ...] = ("Fpz",), **more: str
) -> pylsl.StreamOutlet:
    source_id = more.get("source_id", name)
    info = pylsl.StreamInfo(name, kind, len(labels), rate_hz, "float32", source_id)
    channels = info.desc().append_child("channels")
    for label in labels:
        channel = channels.append_child("channel")
        channel.append_child_value("label", label)
        channel.append_child_value("unit", more.get("unit", "uV"))
    if "element" in more:
        info.desc().append_child(more["element"])
    return pylsl.StreamOutlet(info)


def xml(labels: list[str], before: str = "", count: int | None = None) -> str:
    channels = "".join(f"<channel><label>{label}</label></channel>" for label in labels)
    return (
        f"<info><name>Band</name><channel_count>{len(labels) if count is None else count}"
        f"</channel_count><desc>{before}<channels>{channels}</channels></desc></info>"
    )


HOSTILE = "Mu\x01se\nforged line\x9b31m \u202eabc"
CLEANED = "Mu?se forged line?31m ?abc"


def test_texts_are_cleaned_where_they_enter_and_still_select_the_stream(kind: str) -> None:
    kept = outlet(HOSTILE, f"{kind}\x1b[2J", labels=("F\x1bpz", "F\x1bpz"), unit="u\x07V")
    assert kept
    (stream,) = [each for each in list_streams(1.0) if each.type.startswith(kind)]
    assert (stream.name, stream.source_id) == (CLEANED, CLEANED)
    assert (stream.type, stream.unit) == (f"{kind}?[2J", "u?V")
    assert stream.channels == ("F?pz", "F?pz.2")
    for name in (CLEANED, HOSTILE):
        with closing(LslSource(LslConfig(name=name), Timeline(SystemClock()))) as source:
            wait_for(source, "measuring the rate")
            assert "\n" not in source.status and source.status.isprintable()


def wait_for(source: LslSource, status: str, limit_s: float = 8.0) -> None:
    until_s = time.monotonic() + limit_s
    while status not in source.status:
        assert time.monotonic() < until_s, source.status
        source.poll()
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("rate_hz", "labels", "problem"),
    [
        (1e9, ("Fpz",), "it declares 1e+09 Hz, and 50000 Hz is the limit"),
        (50_001.0, ("Fpz",), "it declares 50001 Hz"),
        (256.0, ("",) * 1025, "it declares 1025 channels, and 1024 is the limit"),
    ],
)
def test_a_stream_that_would_take_gigabytes_is_left_out_and_named(
    rate_hz: float,
    labels: tuple[str, ...],
    problem: str,
    kind: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The search goes on, and finds the good stream beside it."""
    with caplog.at_level(logging.WARNING):
        bad = outlet("bad", kind, rate_hz, labels)
        with closing(LslSource(LslConfig(type=kind), Timeline(SystemClock()))) as source:
            wait_for(source, problem)
            assert bad and "LSL stream 'bad' of type" in source.status
            with peer(name=f"good-{kind}", type=kind, ago=4):
                wait_for(source, "streaming")
                assert source.device is not None
                assert source.device.name.startswith(f"LSL stream 'good-{kind}'")
    assert caplog.text.count(problem) == 1


def test_streams_prints_every_stream_and_no_traceback(kind: str) -> None:
    kept = [
        outlet(HOSTILE, "EEG"),
        outlet("no-xml", "EEG", element="a b<"),
        outlet("fast", "EEG", 1e9),
        outlet("nan", "EEG", float("nan")),
        outlet("-x", "EEG", source_id="--help"),
        outlet("wide", "EEG", labels=("E",) * 3000),
    ]
    command = [sys.executable, "-m", "monitor.cli", "streams", "--wait", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert len(kept) == 6 and done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "cannot be monitored: it declares 1e+09 Hz" in " ".join(done.stdout.split())
    assert (
        "LSL stream (unreadable) cannot be monitored: LSL cannot read its description: the rate "
        "that it declares is NaN or infinite"
    ) in " ".join(done.stdout.split())
    assert "NaN or inf" in done.stdout and "stoi" not in done.stdout
    assert "sleep-monitor live lsl --source-id=--help\n" in done.stdout
    assert all(line.isprintable() for line in done.stdout.splitlines())


def test_the_doctor_names_the_first_streams_and_counts_the_others(kind: str) -> None:
    kept = [outlet(f"{number}" * 100, "A", source_id=f"{kind}{number}") for number in range(12)]
    *_, streams = devices.lsl()
    assert len(kept) == 12
    assert re.search(r" and \d+ more$", streams.found)
    assert len(streams.found) < 8 * 90


def test_many_equal_names_take_linear_time() -> None:
    began_s = time.perf_counter()
    layout = layout_of(xml(["E"] * 20_000), None)
    assert layout.names[:3] == ("E", "E.2", "E.3") and len(set(layout.names)) == 20_000
    assert layout_of(xml([], count=2**31), None).names[-1] == "100000"
    assert time.perf_counter() - began_s < 5.0


@pytest.mark.parametrize("count", ["1e11", "1.5", "-1", "2 ", "9" * 5000])
def test_a_number_of_channels_that_is_none_is_named(count: str) -> None:
    text = xml(["Fpz"]).replace("<channel_count>1<", f"<channel_count>{count}<")
    with pytest.raises(UnreadableStreamError, match="its number of channels is"):
        layout_of(text, None)


def test_forbidden_characters_become_question_marks_and_other_faults_are_named() -> None:
    layout = layout_of(xml(["A&#27;B", "C\x9bD", "E&#x41;"]), None)
    assert layout.names == ("A?B", "C?D", "EA")
    deep = layout_of(xml(["Fpz"], before="<a>" * 5000 + "</a>" * 5000), None)
    assert deep.names == ("Fpz",)
    with pytest.raises(UnreadableStreamError, match="its description is no XML"):
        layout_of(xml(["Fpz"], before="<a b<>"), None)
