"""`sleep-monitor check`: a headband judged before the night, with scripted and real sources."""

from __future__ import annotations

import io
import os
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from rich.console import Console

from monitor.clock import ManualClock, SystemClock, Timeline
from monitor.config import BrainflowConfig, LiveOptions, LslConfig, SleeperOptions
from monitor.errors import InputError
from monitor.live import run_check
from monitor.sources.live import KnownDevice, LiveSource
from monitor.sources.scripted import Failure, ScriptedSource, ScriptStep, Stall, Stop
from monitor.types import F32
from tests.commands import run
from tests.lsl_peer import peer
from tests.signals import pink_noise_uv

RATE_HZ = 128.0
ELECTRODES = ("TP9", "AF7", "AF8", "TP10")


def worn_uv(**electrodes: float) -> F32:
    """Return 2 min of EEG-like noise; an electrode that is named is multiplied by its number."""
    rows = [
        electrodes.get(name, 1.0) * pink_noise_uv(round(120 * RATE_HZ), seed)[0]
        for seed, name in enumerate(ELECTRODES)
    ]
    return np.array(rows, np.float32)


def check(
    signal_uv: F32,
    *script: ScriptStep,
    channels: tuple[str, ...] = (),
    duration_s: float = 60.0,
    wait_s: float | None = None,
    terminal: bool = False,
) -> tuple[bool, list[str]]:
    """Check a scripted headband on a manual clock; return the verdict, and the lines printed."""

    def open_source(
        config: object, timeline: Timeline, offset_s: float | None, known: KnownDevice | None
    ) -> LiveSource:
        return ScriptedSource(timeline, signal_uv, RATE_HZ, ELECTRODES, script)

    options = LiveOptions((SleeperOptions(LslConfig(), channels=channels),), wait_s=wait_s)
    console = Console(file=io.StringIO(), width=100, force_terminal=terminal)
    is_ready = run_check(options, console, ManualClock(), Event(), duration_s, open_source)
    assert isinstance(console.file, io.StringIO)
    return is_ready, console.file.getvalue().splitlines()


def test_a_worn_headband_is_ready() -> None:
    is_ready, lines = check(worn_uv())
    assert is_ready
    assert lines == [
        "waiting for the scripted headband",
        "Wear the band, and keep still: 60 s to go",
        *(f"  {name}: good" for name in ELECTRODES),
        "scripted headband: 128.0 Hz, nothing lost",
        *(f"  {name}: good" for name in ELECTRODES),
        "  AF7-TP9 can be staged",
        "  AF8-TP10 can be staged",
        "  AF7-TP10 can be staged",
        "  AF8-TP9 can be staged",
        "ready for the night: AF7-TP9 would be staged",
    ]


def test_an_electrode_off_the_skin_is_named_with_what_to_do() -> None:
    is_ready, lines = check(worn_uv(AF7=0.0))
    assert is_ready
    assert "  AF7: off the skin; moisten it, and press it on" in lines
    assert "  AF7-TP9 cannot be staged: an electrode is off the skin" in lines
    assert lines[-1] == "ready for the night: AF8-TP10 would be staged, since AF7-TP9 cannot be"


def test_the_electrodes_that_a_chosen_derivation_needs_decide() -> None:
    is_ready, lines = check(worn_uv(AF7=0.0), channels=("AF7-TP9",))
    assert not is_ready
    assert "  not used: AF8, TP10" in lines
    assert lines[-1] == "not ready: see to AF7, and check again"


def test_a_band_that_nobody_wears_is_not_ready() -> None:
    quiet = dict.fromkeys(ELECTRODES, 0.0)
    is_ready, lines = check(worn_uv(**quiet))
    assert not is_ready
    assert lines[-1].startswith("not ready: no electrode is good. Put the band on, moisten")
    white = np.random.default_rng(1).normal(0.0, 20.0, worn_uv().shape).astype(np.float32)
    is_ready, lines = check(white)
    assert not is_ready
    assert "  AF7-TP9 cannot be staged: it shows noise alone, as off the head" in lines
    assert lines[-1] == "not ready: the electrodes record no EEG. Put the band on, and check again"


def test_an_electrode_that_was_mended_in_time_is_good() -> None:
    signal_uv = worn_uv()
    signal_uv[1, : round(28 * RATE_HZ)] = 0.0
    is_ready, lines = check(signal_uv)
    assert is_ready
    off = lines.index("  AF7: off the skin; moisten it, and press it on")
    assert "  AF7: good" in lines[off:]


def test_the_last_half_minute_decides_whatever_the_length() -> None:
    signal_uv = worn_uv()
    signal_uv[:, : round(14 * RATE_HZ)] = 0.0
    assert check(signal_uv, duration_s=45.0)[0]


def test_lost_samples_are_counted() -> None:
    is_ready, lines = check(worn_uv(), Stall(35.0, 47.0))
    assert is_ready
    assert "scripted headband: 128.0 Hz, 20.0% lost" in lines
    assert "  Much of the signal is lost: bring the receiver closer" in lines


def test_a_headband_that_stops_is_not_ready() -> None:
    is_ready, lines = check(worn_uv(), Stop(20.0))
    assert not is_ready
    assert "  AF7: no signal; bring the receiver closer, and charge the headband" in lines
    assert lines[-1].startswith("not ready: no electrode is good")


def test_a_headband_that_does_not_come_is_not_ready() -> None:
    is_ready, lines = check(worn_uv(), Stop(0.0), wait_s=5.0)
    assert not is_ready
    assert lines == [
        "waiting for the scripted headband",
        "not ready: nothing came within 5 s: waiting for the scripted headband. Look for it with "
        "sleep-monitor streams",
    ]


def test_a_source_that_fails_is_not_ready_and_a_mistake_is_an_error() -> None:
    is_ready, lines = check(worn_uv(), Failure(10.0, OSError("the dongle was pulled")))
    assert not is_ready
    assert lines[-1] == "not ready: OSError: the dongle was pulled"
    with pytest.raises(InputError, match="no channel 'Cz'"):
        check(worn_uv(), channels=("Cz",))


def test_a_check_that_is_interrupted_has_no_verdict() -> None:
    (stop := Event()).set()
    console = Console(file=io.StringIO())
    options = LiveOptions((SleeperOptions(BrainflowConfig(board="synthetic")),))
    assert not run_check(options, console, ManualClock(), stop, 60.0)
    assert isinstance(console.file, io.StringIO) and console.file.getvalue() == ""


def test_on_a_terminal_the_electrodes_are_drawn_in_one_place() -> None:
    is_ready, lines = check(worn_uv(), terminal=True)
    assert is_ready
    assert sum("60 s to go" in line for line in lines) == 1
    assert any("0 s to go" in line for line in lines)
    assert "ready for the night: AF7-TP9 would be staged" in lines[-1]


def test_a_real_stream_is_checked_and_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its first channel counts the samples, which is no EEG; a minute of it comes at once."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    name = f"Check-{os.getpid()}"
    with peer(name=name, ago=63):
        assert run("check", "lsl", "--source-id", name, monkeypatch=monkeypatch) == 1
    out = capsys.readouterr().out
    assert f"{name}' from" in out and ": 256.0 Hz, nothing lost" in out
    assert "  TP9: off the skin" in out and "  AF7: good" in out
    assert "not ready: see to TP9, and check again" in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_real_board_is_ready() -> None:
    board = SleeperOptions(BrainflowConfig(board="synthetic"))
    console = Console(file=io.StringIO(), width=100)
    assert run_check(LiveOptions((board,)), console, SystemClock(), Event(), 30.0)
