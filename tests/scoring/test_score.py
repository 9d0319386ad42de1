"""`score` in Python: equal to a replay, typed, and read by MNE and YASA."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from importlib.resources import files
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import monitor
from models.contract import Gain
from monitor import score
from monitor.clock import ManualClock
from monitor.config import ReplayOptions
from monitor.errors import InputError
from monitor.exports.export import ExportOptions, export_night
from monitor.exports.formats import ALL
from monitor.night.record import NightRecord, read_night
from monitor.replay import run_replay
from monitor.scoring.outputs import write_outputs
from monitor.scoring.staged import stage_night
from monitor.types import StagePrediction
from tests.nights import EXCERPT
from tests.scoring.recordings import hypnogram, noise, with_gap_and_lights


def replayed(options: ReplayOptions, store: Path) -> tuple[NightRecord, str]:
    """Replay a recording; return its night as the store holds it, and what was printed."""
    printed = Console(file=StringIO(), width=100)
    options = replace(options, store=store, no_redis=True, dashboard=False)
    run_replay(options, printed, ManualClock(), threading.Event())
    assert isinstance(printed.file, StringIO)
    return read_night(store), printed.file.getvalue()


def without_latency(predictions: tuple[StagePrediction, ...]) -> list[StagePrediction]:
    return [replace(each, latency_s=0.0) for each in predictions]


@pytest.fixture(params=["excerpt", "gap and lights", "gain unknown", "channel and grid"])
def options(request: pytest.FixtureRequest, tmp_path: Path) -> ReplayOptions:
    """Return one of several recordings, with options."""
    match request.param:
        case "excerpt":
            return ReplayOptions(EXCERPT)
        case "gap and lights":
            return ReplayOptions(with_gap_and_lights(tmp_path / "gap.edf"))
        case "gain unknown":
            return ReplayOptions(noise(tmp_path / "noise.edf", minutes=5), gain=Gain.UNKNOWN)
    path = noise(tmp_path / "noise.edf", minutes=5, hz=128)
    return ReplayOptions(path, channel="Fpz-Cz", grid=10.5)


def test_a_night_in_memory_equals_the_one_that_a_replay_stores(
    options: ReplayOptions, tmp_path: Path
) -> None:
    stored, _ = replayed(options, tmp_path / "night.sqlite")
    night = stage_night(options, ManualClock())
    record = night.record
    assert record.session == stored.session
    assert without_latency(record.live) == without_latency(stored.live)
    assert without_latency(record.revised) == without_latency(stored.revised)
    assert record.epochs == stored.epochs
    assert record.marks == stored.marks
    assert record.events == stored.events
    assert record.night.statistics == stored.night.statistics
    assert record.stored.weights_sha256 == stored.stored.weights_sha256


def test_the_files_of_every_format_equal_those_of_a_stored_replay(tmp_path: Path) -> None:
    options = ReplayOptions(with_gap_and_lights(tmp_path / "gap.edf"), command="the command")
    replayed(options, tmp_path / "gap-scored.sqlite")
    export_night(tmp_path / "gap-scored.sqlite", ExportOptions([ALL], tmp_path / "exported"))
    night = stage_night(options, ManualClock(), name="gap-scored", keep_signals=True)
    write_outputs(night.record, [ALL], tmp_path / "scored")
    exported, scored = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}
        for folder in (tmp_path / "exported", tmp_path / "scored")
    )
    assert len(scored) > 10
    assert scored.keys() == exported.keys()
    assert [path for path in scored if scored[path] != exported[path]] == []


def test_the_result_is_that_of_a_replay(tmp_path: Path) -> None:
    stored, printed = replayed(ReplayOptions(EXCERPT), tmp_path / "night.sqlite")
    found = score(EXCERPT)
    assert found.id == stored.session.id
    assert found.stages == tuple(each.stage for each in stored.revised)
    assert found.live.stages == tuple(each.stage for each in stored.live)
    assert found.probabilities.tolist() == [list(each.probabilities) for each in stored.revised]
    assert found.times_s[:2].tolist() == [10.01, 40.01]
    assert found.statistics == stored.night.statistics
    assert found.channel == "EEG"
    assert found.start is None  # the excerpt states none
    assert found.expert is not None and len(found.expert) == 167
    for track, agreement in (("live", found.live.agreement), ("revised", found.agreement)):
        assert agreement is not None
        scores = (agreement.accuracy, agreement.macro_f1, agreement.kappa)
        (line,) = [line for line in printed.splitlines() if f"│ {track} " in line]
        assert [f"{each:.3f}" for each in scores] == line.replace("│", " ").split()[1:4]


def test_unscored_epochs_have_a_reason_and_no_probabilities(tmp_path: Path) -> None:
    found = score(with_gap_and_lights(tmp_path / "gap.edf"))
    unscored = [n for n, stage in enumerate(found.stages) if stage is None]
    assert unscored == [7, 8, 9]  # of the gap from 200 s to 300 s
    assert [found.revised.reasons[n] for n in unscored] == ["missing"] * 3
    assert np.isnan(found.probabilities[unscored]).all()
    assert np.allclose(np.delete(found.probabilities, unscored, 0).sum(axis=1), 1.0)
    assert found.statistics.bounds == "lights"
    assert str(found.start) == "2024-03-09 23:59:00"


def test_an_expert_is_looked_for_named_or_not(tmp_path: Path) -> None:
    path = noise(tmp_path / "n.edf")
    assert score(path).expert is None
    hypnogram(tmp_path / "n-Hypnogram.edf", ["W", "N1", "N2", "N2"])
    other = hypnogram(tmp_path / "other.edf", ["N3", "N3", "N3", "R"])
    assert score(path).expert == ("W", "N1", "N2", "N2")
    assert score(path, hypnogram=other).expert == ("N3", "N3", "N3", "R")
    assert score(path, expert=False).expert is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "none.edf"}, "none.edf does not exist"),
        ({"channel": "AF7"}, "AF7"),
        ({"gain": "loud"}, "gain must be known or unknown, got 'loud'"),
        ({"backend": "abacus"}, "backend must be auto, tensorrt, cuda, onnx, torch"),
        ({"grid": -1.0}, "grid must be 'auto', 'start' or seconds"),
        ({"grid": float("inf")}, "grid must be 'auto', 'start' or seconds"),
        ({"channel": 5}, "channel must be a name, got 5"),
        ({"hypnogram": "h.edf", "expert": False}, "hypnogram h.edf is given, but expert=False"),
        ({"weights": "none.safetensors"}, "none"),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) else None,
)
def test_a_wrong_argument_is_named(
    arguments: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        score(**({"path": noise(tmp_path / "n.edf")} | arguments))  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not fork")
def test_a_forked_process_loads_its_own_network(tmp_path: Path) -> None:
    """With the network of its parent, whose threads it lacks, it would wait for ever."""
    path = noise(tmp_path / "n.edf", minutes=10)
    program = f"""
import multiprocessing, sys
sys.path.insert(0, {str(Path(monitor.__file__).parents[1])!r})
from monitor import score
def ids(path): return score(path).id
print(ids({str(path)!r}))
with multiprocessing.get_context("fork").Pool(1) as pool:
    print(pool.apply_async(ids, [{str(path)!r}]).get(20))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    first, second = run.stdout.split()
    assert first == second


def test_a_score_is_typed_and_shown_in_short(tmp_path: Path) -> None:
    assert all((files(each) / "py.typed").is_file() for each in ("monitor", "models"))
    shown = repr(score(noise(tmp_path / "n.edf", minutes=60)))
    assert "channel='EEG Fpz-Cz'" in shown and "tst_min=" in shown
    assert len(shown) < 2000


def test_mne_lays_the_stages_on_the_recording(tmp_path: Path) -> None:
    mne = pytest.importorskip("mne")
    path = noise(tmp_path / "n.edf", minutes=3)
    found = score(path, grid=12.0)
    raw = mne.io.read_raw_edf(path, verbose="error")
    raw.set_annotations(found.to_mne())
    assert raw.annotations.onset.tolist() == [12.0, 42.0, 72.0, 102.0, 132.0]
    assert set(raw.annotations.duration) == {30.0}
    words = [f"Sleep stage {stage}" for stage in found.stages]
    assert raw.annotations.description.tolist() == words


def test_yasa_reads_the_stages(tmp_path: Path) -> None:
    yasa = pytest.importorskip("yasa")
    found = score(with_gap_and_lights(tmp_path / "gap.edf"))
    read = found.to_yasa()
    assert isinstance(read, yasa.Hypnogram)
    words = {"W": "WAKE", "R": "REM", None: "UNS"}
    assert list(read.hypno) == [words.get(stage, stage) for stage in found.stages]
    assert read.proba["UNS"].tolist() == [float(stage is None) for stage in found.stages]


@pytest.mark.parametrize(("method", "package"), [("to_mne", "mne"), ("to_yasa", "yasa")])
def test_a_missing_package_is_named(
    method: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = score(noise(tmp_path / "n.edf"))
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(InputError, match=f"pip install {package}"):
        getattr(found, method)()


def test_importing_the_monitor_imports_nothing_else() -> None:
    program = "import sys, monitor; print([m for m in sys.modules if m.startswith('monitor.')])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout == "[]\n", run.stderr


def test_another_name_is_no_part_of_the_package() -> None:
    with pytest.raises(AttributeError, match="no attribute 'scores'"):
        getattr(monitor, "scores")  # noqa: B009
