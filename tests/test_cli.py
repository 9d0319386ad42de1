"""Commands as a user types them: their output, their files and their exit status."""

from __future__ import annotations

import csv
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from rich.console import Console

from models.card import default_weights
from models.contract import Gain
from monitor import cli
from monitor.clock import ManualClock
from monitor.config import ReplayOptions
from monitor.errors import InputError, MonitorError
from monitor.night.store import NightStore
from monitor.replay import Replay, run_replay
from monitor.sinks.epochs_csv import write_epochs
from monitor.sinks.follower import Follower
from monitor.sinks.redis_client import connect
from monitor.sinks.redis_server import RedisServer
from monitor.sources import demo_recording
from monitor.types import Track
from tests import lsl_peer
from tests.commands import run
from tests.edf_files import Signal, make_discontinuous, patch_header, patch_signal, write_edf
from tests.full_disk import disk_of
from tests.night.stored import store_night
from tests.nights import EXCERPT, events_of, night_session, probabilities_of
from tests.report.stored_night import store_stages
from tests.signals import pink_noise_uv

DATA = Path(__file__).parent / "data"


def noise_edf(path: Path, duration_s: int = 95, label: str = "EEG Fpz-Cz", hz: int = 100) -> Path:
    """Write a recording of noise that looks like EEG, without expert stages."""
    digital = np.round(pink_noise_uv(duration_s * hz)[0] * 10).astype(np.int64)
    return write_edf(path, [Signal(label, digital, hz, step=0.1)])


def test_replay_writes_the_night_a_table_and_its_agreement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table, store = tmp_path / "epochs.csv", tmp_path / "night.sqlite"
    command = ("replay", EXCERPT, "--no-redis", "--store", store, "--output", table)
    assert run(*command, monkeypatch=monkeypatch) == 0
    out = capsys.readouterr().out
    assert "epoch 166 " in out
    assert "167 of 167" in out
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [int(row["epoch"]) for row in rows] == list(range(167))
    assert rows[1]["start_s"] == "40.01"
    assert all(
        abs(sum(float(row[f"p_{s}"]) for s in ("w", "n1", "n2", "n3", "r")) - 1) < 1e-5
        for row in rows
    )

    # The same command again stages nothing a second time and writes the same table.
    before = table.read_bytes()
    assert run(*command, monkeypatch=monkeypatch) == 0
    assert table.read_bytes() == before
    with closing(NightStore.open(store)) as night:
        assert len(night.predictions(Track.LIVE)) == 167


def test_replay_takes_the_hypnogram_beside_the_recording_and_says_so(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    edf = noise_edf(tmp_path / "n.edf", 125)
    words = [(30.0, 30.0, "Sleep stage N2"), (60.0, 30.0, "Sleep stage X")]
    expert = write_edf(tmp_path / "n-Hypnogram.edf", [], annotations=words)
    command = ("replay", edf, "--no-redis", "--store", tmp_path / "n.sqlite")
    assert run(*command, monkeypatch=monkeypatch) == 0
    assert "n-Hypnogram.edf" in capsys.readouterr().out
    assert "The expert's stages are those of n-Hypnogram.edf, beside the recording" in caplog.text
    assert "words that are not known, 'Sleep stage X' (once)" in caplog.text
    before = expert.read_bytes()
    assert run(*command, "--output", expert, monkeypatch=monkeypatch) == 2
    assert expert.read_bytes() == before


def test_events_reach_the_embedded_server_and_its_url_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    edf, store = noise_edf(tmp_path / "n.edf"), tmp_path / "n.sqlite"
    assert run("replay", edf, "--store", store, monkeypatch=monkeypatch) == 0
    assert "sleep-monitor watch --redis redis://127.0.0.1:" in caplog.text
    with closing(sqlite3.connect(store)) as night:
        unpublished = night.execute("SELECT count(*) FROM event WHERE published_utc IS NULL")
        assert unpublished.fetchone() == (0,)


def test_the_same_command_later_sends_the_events_that_found_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    edf, store = noise_edf(tmp_path / "n.edf"), tmp_path / "n.sqlite"
    server = RedisServer(port=0)
    server.start()
    server.stop()
    command = ("replay", edf, "--redis", server.url, "--store", store)
    assert run(*command, monkeypatch=monkeypatch) == 0
    assert (
        "events did not reach the server; the store keeps them, and the same command sends them "
        "if it continues this night while the server answers"
    ) in caplog.text
    server.start()
    try:
        assert run(*command, monkeypatch=monkeypatch) == 0
        follower = iter(Follower(server.url, notice=lambda text: None))
        with closing(NightStore.open(store)) as night:
            expected = events_of(night)
        assert [next(follower)[0] for _ in expected] == expected
    finally:
        server.stop()


def test_a_replay_keeps_its_night_only_if_asked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    temporary, replays = tmp_path / "tmp", tmp_path / "sleep-monitor" / "nights" / "replays"
    temporary.mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    edf = noise_edf(tmp_path / "n.edf")
    assert run("replay", edf, "--no-redis", monkeypatch=monkeypatch) == 0
    assert "not kept. To keep it, run the same command with --keep" in caplog.text
    assert not replays.parent.exists() and not any(temporary.iterdir())

    caplog.clear()
    assert run("replay", edf, "--no-redis", "--keep", monkeypatch=monkeypatch) == 0
    assert "not kept" not in caplog.text
    (stored,) = replays.iterdir()
    assert stored.name.startswith("n-") and not any(temporary.iterdir())
    assert run("replay", edf, "--no-redis", "--keep", monkeypatch=monkeypatch) == 0
    assert "holds this whole night: nothing is staged again" in caplog.text


def test_a_full_disk_under_a_temporary_night_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    edf = noise_edf(tmp_path / "n.edf", duration_s=1000)
    options = ReplayOptions(edf, no_redis=True, dashboard=False)
    advice = r"temporary file of the night in .* failed \(\w+\): make room there, or name a file"
    with disk_of(200_000), pytest.raises(MonitorError, match=advice):
        run_replay(options, Console(quiet=True), ManualClock(), Event())
    assert list(tmp_path.iterdir()) == [edf]


def test_a_replay_of_a_night_s_file_says_what_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    night = store_night(tmp_path, "2026-11-26 23:10", n_epochs=1)
    assert run("replay", night, monkeypatch=monkeypatch) == 2
    assert f"is shown by: sleep-monitor nights show {night}" in capsys.readouterr().err


def test_an_interrupted_replay_says_if_it_can_be_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    edf = noise_edf(tmp_path / "n.edf")
    monkeypatch.setattr("monitor.cli.stopping.stop", stop := Event())
    monkeypatch.setattr("monitor.cli.program.stop", stop)
    stop.set()
    for option, words in (
        (["--store", tmp_path / "n.sqlite"], "the same command continues"),
        ([], "not kept. A replay with --keep continues"),
    ):
        command = ("replay", edf, "--no-redis", *option)
        assert run(*command, monkeypatch=monkeypatch) == cli.INTERRUPTED
        assert words in capsys.readouterr().err


def test_a_store_with_another_night_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "n.sqlite"
    first = noise_edf(tmp_path / "a.edf")
    second = noise_edf(tmp_path / "b.edf", duration_s=65)
    assert run("replay", first, "--no-redis", "--store", store, monkeypatch=monkeypatch) == 0
    before = store.read_bytes()
    assert run("replay", second, "--no-redis", "--store", store, monkeypatch=monkeypatch) == 2
    assert "holds another night (a.edf, EEG Fpz-Cz" in capsys.readouterr().err
    assert store.read_bytes() == before


def test_a_replay_starts_its_event_server_again_if_it_died(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """At real time, on a manual clock: after 40 s somebody kills the server."""
    caplog.set_level("INFO")

    class KillsTheServer(ManualClock):
        killed = False

        def sleep(self, duration_s: float) -> None:
            super().sleep(duration_s)
            if self.monotonic_s() > 40.0 and not self.killed:
                self.killed = True
                url = caplog.text.partition("watch --redis ")[2].split()[0]
                with closing(connect(url)) as client:
                    os.kill(client.info("server")["process_id"], signal.SIGKILL)

    edf, store, clock = noise_edf(tmp_path / "n.edf"), tmp_path / "n.sqlite", KillsTheServer()
    options = ReplayOptions(edf, speed=1.0, store=store, dashboard=False)
    run_replay(options, Console(quiet=True), clock, Event())
    assert clock.killed
    assert "the embedded event server died, and was started again" in caplog.text
    with closing(sqlite3.connect(store)) as night:
        unpublished = night.execute("SELECT count(*) FROM event WHERE published_utc IS NULL")
        assert unpublished.fetchone() == (0,)


def not_edf(path: Path) -> Path:
    path.write_text("This is not an EDF file, whatever its name says." * 20)
    return path


def truncated(path: Path) -> Path:
    # In its header. A recording that ends early is staged: `tests/sources/test_edf_bad_files.py`.
    path.write_bytes(noise_edf(path).read_bytes()[:300])
    return path


def empty(path: Path) -> Path:
    path.touch()
    return path


def one_value(path: Path) -> Path:
    """Write a recording whose physical minimum equals its maximum: its values mean nothing."""
    return patch_signal(noise_edf(path), 0, physical_min="1", physical_max="1")


WEIGHTS = str(default_weights(Gain.KNOWN))
CARD = str(default_weights(Gain.KNOWN).with_suffix(".json"))
BAD_INPUT = {
    "not an EDF": (not_edf, [], "has no format that the monitor reads"),
    "truncated": (truncated, [], "is damaged"),
    "empty": (empty, [], "empty"),
    "missing": (lambda path: path, [], "does not exist"),
    "no whole epoch": (lambda p: noise_edf(p, duration_s=20), [], "has no whole epoch"),
    "no such channel": (noise_edf, ["--channel", "C4-M1"], "Fpz-Cz"),
    "slow": (lambda p: noise_edf(p, hz=50), [], "80 Hz"),
    "other hypnogram": (
        noise_edf,
        ["--hypnogram", str(DATA / "SC4002EC-Hypnogram.edf")],
        "does not belong to",
    ),
    "bad grid": (noise_edf, ["--grid", "soon"], "--grid must be"),
    "bad speed": (noise_edf, ["--speed", "fast"], "--speed must be"),
    "bad URL": (noise_edf, ["--redis", "localhost"], "is not valid"),
    "bad store": (noise_edf, ["--store", "/no/such/folder/n.sqlite"], "as the night store"),
    "bad output": (noise_edf, ["--output", "/no/such/folder/n.csv"], "cannot write --output"),
    "output over input": (noise_edf, ["--output", "night.edf"], "is a file that this run needs"),
    "output over store": (noise_edf, ["--store", "n", "--output", "n"], "that this run needs"),
    "output over card": (
        noise_edf,
        ["--weights", WEIGHTS, "--output", CARD],
        "that this run needs",
    ),
    "output is no file": (noise_edf, ["--output", "/dev/null"], "it is not a file"),
    "one value": (one_value, [], "another --channel"),
    "bad weights": (noise_edf, ["--weights", "/no/such.safetensors"], "cannot use the weights"),
    "kept or stored": (noise_edf, ["--keep", "--store", "n"], "give --keep or --store, not both"),
    "redis or not": (noise_edf, ["--redis", "redis://x", "--no-redis"], "not both"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_clear_line_and_leaves_nothing(
    case: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make, options, message = BAD_INPUT[case]
    recording = make(tmp_path / "night.edf")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    before = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert run("replay", recording, *options, monkeypatch=monkeypatch) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    if case != "redis or not":  # typer shows its usage line too
        assert len(error.strip().splitlines()) == 1, error
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == before


def test_an_unreadable_header_field_is_bad_input_too(tmp_path: Path) -> None:
    recording = patch_header(noise_edf(tmp_path / "n.edf"), n_signals="many")
    with pytest.raises(InputError):
        run_replay(ReplayOptions(recording), Console(), ManualClock(), Event())


def test_a_failed_table_leaves_no_file_and_a_link_is_followed(tmp_path: Path) -> None:
    table = tmp_path / "n.csv"
    table.write_text("old")
    with pytest.raises(MonitorError, match="cannot write --output"):
        write_epochs(tmp_path / "gone" / "n.csv", night_session(), [], [], is_live=False)
    link = tmp_path / "link.csv"
    link.symlink_to(table)
    write_epochs(link, night_session(), [], [], is_live=False)
    assert table.read_text().startswith("epoch,start_s,stage")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.csv", "n.csv"]
    assert link.is_symlink()


@pytest.mark.parametrize("other_s", [10.9998, 11.0001, 11.5])
def test_a_mark_annotated_on_every_channel_is_one_mark(other_s: float, tmp_path: Path) -> None:
    digital = np.round(pink_noise_uv(9500)[0] * 10).astype(np.int64)
    texts = [(10.9998, None, "Lights off@@EEG F4-A1"), (other_s, None, "Lights off@@EEG C4-A1")]
    signals = [Signal("EEG Fpz-Cz", digital, 100, step=0.1)]
    recording = write_edf(tmp_path / "n.edf", signals, annotations=texts)
    store = tmp_path / "n.sqlite"
    options = ReplayOptions(recording, no_redis=True, store=store, dashboard=False)
    run_replay(options, Console(quiet=True), ManualClock(), Event())
    with closing(NightStore.open(store)) as night:
        assert [mark.kind for mark in night.marks()] == ["lights_off"]


def test_a_continued_replay_reads_the_staged_part_in_long_chunks(tmp_path: Path) -> None:
    """At --speed 1 a chunk holds 0.05 s; in the part that is already staged it holds 30 s."""
    options = ReplayOptions(noise_edf(tmp_path / "n.edf"), speed=1.0, no_redis=True)
    chunks = list(Replay.prepare(options).chunks(ManualClock(), from_s=60.0))
    lengths = [each.times_s.size for each in chunks]
    assert lengths[:3] == [3000, 3000, 5]
    times_s = np.concatenate([each.times_s for each in chunks])
    np.testing.assert_allclose(times_s, np.arange(9500) / 100.0)


def test_a_replay_reads_the_samples_before_time_zero(tmp_path: Path) -> None:
    digital = np.round(pink_noise_uv(6000)[0] * 10).astype(np.int64)
    signals = [Signal("EEG Fpz-Cz", digital, 100, step=0.1)]
    remark = [(0.0, None, "a remark")]
    edf = write_edf(tmp_path / "n.edf", signals, annotations=remark, record_s=1.0)
    make_discontinuous(edf, [s - 1.0 for s in range(60)])
    run = Replay.prepare(ReplayOptions(edf, no_redis=True))
    for from_s in (-1.0, 30.0):
        times_s = np.concatenate([each.times_s for each in run.chunks(ManualClock(), from_s)])
        np.testing.assert_allclose(times_s, np.arange(6000) / 100.0 - 1.0)


def test_speed_changes_only_the_time_that_a_replay_takes(tmp_path: Path) -> None:
    """On a manual clock a night takes its own time, gaps included, and makes the same events."""
    digital = np.round(pink_noise_uv(95 * 256)[0] * 10).astype(np.int64)
    signals = [Signal("EEG Fpz-Cz", digital, 256, step=0.1)]
    edf = write_edf(tmp_path / "n.edf", signals, annotations=[(0.0, None, "note")], record_s=1.0)
    # 40 s of signal, a gap of 70 s, 55 s of signal.
    edf = make_discontinuous(edf, [s if s < 40 else s + 70 for s in range(95)])
    clock = ManualClock()
    nights = []
    for speed in (1.0, 60.0, None):
        store, began_s = tmp_path / f"{speed}.sqlite", clock.monotonic_s()
        options = ReplayOptions(edf, speed=speed, no_redis=True, store=store, dashboard=False)
        run_replay(options, Console(quiet=True), clock, Event())
        expected_s = 0.0 if speed is None else 165.0 / speed
        assert clock.monotonic_s() - began_s == pytest.approx(expected_s, abs=0.01)
        with closing(NightStore.open(store)) as night:
            probabilities = [p.probabilities for p in night.predictions(Track.REVISED)]
            nights.append((events_of(night), probabilities))
    assert nights[0] == nights[1] == nights[2]
    reasons = [e.data["reason"] for e in nights[0][0] if "/live/" in e.id]
    assert reasons == [None, "missing", "missing", "missing", None]


def test_a_killed_replay_continues_and_equals_one_that_ran_through(tmp_path: Path) -> None:
    """The test kills it (kill -9) in mid-night and runs the same command again."""
    store = tmp_path / "killed.sqlite"
    command = [sys.executable, "-m", "monitor.cli", "replay", str(EXCERPT), "--no-redis"]
    process = subprocess.Popen(
        [*command, "--speed", "600", "--store", str(store)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "epoch 20 " in line:
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with closing(NightStore.open(store)) as killed:
        assert 20 <= len(killed.predictions(Track.LIVE)) < 167
        assert not killed.ended()

    whole = tmp_path / "whole.sqlite"
    for path in (store, whole):
        options = ReplayOptions(EXCERPT, no_redis=True, store=path, dashboard=False)
        run_replay(options, Console(quiet=True), ManualClock(), Event())
    with closing(NightStore.open(store)) as a, closing(NightStore.open(whole)) as b:
        assert events_of(a) == events_of(b)
        for track in Track:
            assert probabilities_of(a, track) == probabilities_of(b, track)


def test_a_replay_under_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    """At this speed the recording takes 2 s, so that the signal comes while it runs."""
    store = tmp_path / "n.sqlite"
    command = ["nohup", sys.executable, "-m", "monitor.cli", "replay", str(EXCERPT), "--no-redis"]
    process = subprocess.Popen(
        [*command, "--speed", "2500", "--store", str(store)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "epoch 3 " in line:
            break
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 0
    with closing(NightStore.open(store)) as night:
        assert night.ended()


@pytest.mark.parametrize(
    ("module", "backend"),
    [
        ("numpy.linalg", "auto"),
        ("onnxruntime.capi._pybind_state", "onnx"),
        ("torch.nn.functional", "torch"),
    ],
)
def test_ctrl_c_during_an_import_ends_with_one_line(
    module: str, backend: str, tmp_path: Path
) -> None:
    """Python reports each import that is done, here one in the middle of a large library."""
    command = [sys.executable, "-X", "importtime", "-m", "monitor.cli", "replay", str(EXCERPT)]
    options = ["--backend", backend, "--store", str(tmp_path / "n.sqlite")]
    process = subprocess.Popen(
        [*command, "--no-redis", "--speed", "1", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    next(line for line in process.stderr if line.rpartition("|")[2].strip() == module)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == cli.INTERRUPTED
    assert error.strip().splitlines()[-1].startswith("sleep-monitor: interrupted")
    assert "Traceback" not in error


def test_a_replay_stops_even_if_the_exception_of_ctrl_c_was_lost(tmp_path: Path) -> None:
    stop = Event()
    stop.set()
    options = ReplayOptions(noise_edf(tmp_path / "n.edf"), no_redis=True, store=tmp_path / "s")
    with pytest.raises(KeyboardInterrupt):
        run_replay(options, Console(quiet=True), ManualClock(), stop)


def test_a_stopped_replay_ends_in_order_and_reports_that_the_night_is_stored(
    tmp_path: Path,
) -> None:
    store = tmp_path / "n.sqlite"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "monitor.cli", "replay", str(EXCERPT)),
            *("--speed", "60", "--store", str(store)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline_s = time.monotonic() + 60
    assert process.stdout is not None
    for line in process.stdout:
        if "epoch 0 " in line or time.monotonic() > deadline_s:
            break
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=30)
    assert process.returncode == cli.INTERRUPTED
    assert "and the same command continues" in error
    assert "Traceback" not in error
    assert not store.with_name("n.sqlite-wal").exists()


USAGE_MISTAKES = {
    "nothing to monitor": (["live"], "no source is given: name it (sleep-monitor live lsl"),
    "nothing to check": (["check"], "no source is given: name it (sleep-monitor check lsl"),
    "unknown key": (["live", "--source", "lsl:nam=x"], "nam: unknown key; did you mean 'name'?"),
    "empty": (["live", "lsl", "--unit", ""], "--unit: must have at least 1 character"),
    "whose store": (
        ["live", "--source", "lsl:name=a", "--source", "lsl:name=b", "--store", "n.sqlite"],
        "--store could be for any of 2 sleepers",
    ),
    "which mark": (["mark", "lights"], "a mark is lights-off, lights-on or note, got 'lights'"),
    "empty note": (["mark", "note"], "a note has a text"),
    "text of lights": (["mark", "lights-off", "at last"], "lights have none"),
    "no server": (["watch", "--config", "night.toml"], "says to publish no events"),
    "no file": (["watch", "--config", "nights.toml"], "cannot read the configuration nights.toml"),
}


@pytest.mark.parametrize("case", USAGE_MISTAKES)
def test_a_mistake_in_a_live_command_gets_one_clear_line(
    case: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments, message = USAGE_MISTAKES[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "night.toml").write_text("redis = 'none'")
    assert run(*arguments, monkeypatch=monkeypatch) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1, error


@pytest.mark.parametrize("option", ["--no-dashboard", "--wait=0", "--no-redis"])
def test_options_before_the_kind_of_source_are_refused(
    option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("live", option, "lsl", monkeypatch=monkeypatch) == 2
    assert "give options after `lsl`" in capsys.readouterr().err


def test_the_demo_refuses_a_recording_that_was_changed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo_recording, "SHA256", "0" * 64)
    assert run("demo", monkeypatch=monkeypatch) == 2
    assert "excerpt.edf is damaged, its sha256 is wrong: reinstall" in capsys.readouterr().err


def test_a_report_is_written_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store_stages(tmp_path / "night.sqlite", "W22R")
    page, picture = tmp_path / "page.html", tmp_path / "night.svg"
    command = ("report", tmp_path / "night.sqlite", "--out", page, "--picture", picture)
    assert run(*command, monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out.splitlines() == [str(page), str(picture)]
    assert "The sleeper" not in page.read_text()
    assert run("report", "last", "--since", "2026-11-01", monkeypatch=monkeypatch) == 2
    assert "--since chooses the nights" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        *("demo", "replay", "live", "live lsl", "live brainflow", "streams", "watch", "mark"),
        *("doctor", "nights", "nights show", "nights delete", "report"),
        *("check", "check lsl", "check brainflow"),
    ],
)
def test_every_command_has_help_with_an_example(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command.split(), "--help", monkeypatch=monkeypatch) == 0
    assert f"Example: sleep-monitor {command}" in " ".join(capsys.readouterr().out.split())


def test_a_replay_uses_the_configuration_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, store = tmp_path / "night.toml", tmp_path / "n.sqlite"
    config.write_text("redis = 'none'\ngain = 'unknown'\ndashboard = false")
    edf = noise_edf(tmp_path / "n.edf")
    command = ("replay", edf, "--store", store, "--config", config)
    assert run(*command, monkeypatch=monkeypatch) == 0
    with closing(NightStore.open(store)) as night:
        session = night.session()
    assert session is not None
    assert session.gain == "unknown"


@pytest.fixture
def lsl_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep LSL of the programs that a test starts to this machine, and to this test."""
    config = tmp_path / "lsl_api.cfg"
    config.write_text(lsl_peer.configuration(f"cli-{os.getpid()}-{tmp_path.name}"))
    monkeypatch.setenv("LSLAPICFG", str(config))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.usefixtures("lsl_here")
def test_streams_lists_each_stream_and_the_command_that_monitors_it() -> None:
    def listed(wait: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "monitor.cli", "streams", "--wait", wait]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    nothing = listed("0.5")
    assert nothing.returncode == 1
    assert "no LSL stream was seen in 0.5 s" in nothing.stderr
    assert "Traceback" not in nothing.stderr
    with lsl_peer.peer(name="Muse of Anna", source_id="muse 1", rate=256):
        found = listed("2")
    assert found.returncode == 0, found.stderr
    assert "Muse of Anna" in found.stdout
    assert "TP9 AF7 AF8 TP10" in found.stdout
    assert "256 Hz" in found.stdout
    assert "sleep-monitor live lsl --source-id 'muse 1'" in found.stdout


@pytest.mark.usefixtures("lsl_here")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_signal_ends_a_live_night_with_status_0(
    number: signal.Signals, tmp_path: Path
) -> None:
    """The night is waiting for its stream."""
    source = f"lsl:source_id=nobody,store={tmp_path / 'n.sqlite'}"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "monitor.cli", "live", "--source", source),
            *("--no-redis", "--no-dashboard"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "waiting for" in line:
            break
    process.send_signal(number)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, rest
    assert "Traceback" not in rest


def test_a_replay_whose_file_is_deleted_is_whole_in_another_file_and_exits_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store, table, again = tmp_path / "n.sqlite", tmp_path / "n.csv", tmp_path / "again.csv"
    edf = noise_edf(tmp_path / "n.edf", duration_s=185)
    deleted = False

    class Deleting(ManualClock):
        """A clock that deletes the night's file when the replay first waits."""

        def sleep(self, seconds: float) -> None:
            nonlocal deleted
            if not deleted and store.exists() and self.monotonic_s() > 100.0:
                deleted = True
                store.unlink()
            super().sleep(seconds)

    options = ReplayOptions(
        recording=edf, speed=1.0, store=store, output=table, no_redis=True, dashboard=False
    )
    with pytest.raises(MonitorError, match=r"n\.sqlite was deleted or moved .*n-2\.sqlite"):
        run_replay(options, Console(), Deleting(), Event())
    assert len(table.read_text().splitlines()) == 1 + 6
    export = ("nights", "export", tmp_path / "n-2.sqlite", "--output", again)
    assert run(*export, monkeypatch=monkeypatch) == 0
    assert again.read_bytes() == table.read_bytes()
    export = ("nights", "export", edf, "--output", again)
    assert run(*export, monkeypatch=monkeypatch) != 0
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ("nights", "show"),
        ("report",),
        ("replay", EXCERPT, "--store"),
    ],
)
def test_a_name_that_is_too_long_is_one_line(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command, "a" * 300, monkeypatch=monkeypatch) == 2
    error = capsys.readouterr().err
    assert "the name of a file is too long: " in error and error.count("\n") == 1
