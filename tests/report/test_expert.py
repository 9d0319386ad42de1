"""The expert's stages beside the monitor's: of a recording that is found again, or of a file."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from models.card import default_weights, read_contract
from models.contract import Gain
from monitor.errors import InputError
from monitor.night.identity import replay_id
from monitor.report import make_report
from monitor.sources.edf import EdfRecording
from tests.edf_files import Signal, write_edf
from tests.report.stored_night import MADE, report_of, rows, store_stages, words

STAGES = "W2223R"
EXPERT = "WW22?R"
DAY, CLOCK = date(2024, 3, 9), time(22, 30)


def stored_replay(folder: Path, expert: str = EXPERT) -> Path:
    """Write a recording with an expert's stages, and the night of its replay beside it."""
    signal = Signal("EEG", np.zeros(100 * 30 * len(expert), np.int64), 100.0)
    names = {"1": "N1", "2": "N2", "3": "N3"}
    notes = [(30.0 * n, 30.0, f"Sleep stage {names.get(s, s)}") for n, s in enumerate(expert)]
    recording = EdfRecording.open(
        write_edf(folder / "sleep.edf", [signal], annotations=notes, start=(DAY, CLOCK))
    )
    contract = read_contract(default_weights(Gain.KNOWN))
    id_ = replay_id(recording.fingerprint, "EEG", 0.0, contract.weights_sha256)
    return store_stages(
        folder / "replay.sqlite",
        STAGES,
        start=recording.start_utc,
        is_live=False,
        id=id_,
        weights_sha256=contract.weights_sha256,
        source="sleep.edf",
        model=contract.full_name,
        start_s=0.0,
    )


def test_the_expert_of_a_recording_is_found_again(tmp_path: Path) -> None:
    page = report_of(stored_replay(tmp_path), timezone=None)
    assert "Agreement with the expert (sleep.edf)" in words(page)
    assert "Stages of the expert" in words(page)
    scores = rows(page, "Over the epochs that both scored")
    assert scores["Revised"] == ["0.800", "0.822", "0.688", "5 of 5"]
    assert rows(page, "Confusion")["Expert W"] == ["1", "0", "1", "0", "0"]


def test_a_recording_that_was_changed_is_another(tmp_path: Path) -> None:
    path = stored_replay(tmp_path)
    with (tmp_path / "sleep.edf").open("r+b") as file:
        file.seek(-50, 2)
        file.write(b"\1")
    assert "Agreement" not in words(report_of(path, timezone=None))


def test_a_named_hypnogram_is_laid_by_its_clock(tmp_path: Path) -> None:
    """It begins a minute after the live night."""
    stored_replay(tmp_path, "222R")
    start = datetime(2024, 3, 9, 22, 29, tzinfo=UTC)
    live = store_stages(tmp_path / "live.sqlite", "WW222R", start=start)
    page = report_of(live, hypnogram=tmp_path / "sleep.edf")
    assert rows(page, "Over the epochs that both scored")["Live"][0] == "1.000"


def test_a_hypnogram_of_another_night_is_refused(tmp_path: Path) -> None:
    stored_replay(tmp_path)
    start = datetime(2024, 3, 10, 3, 0, tzinfo=UTC)
    live = store_stages(tmp_path / "live.sqlite", "WW222R", start=start)
    with pytest.raises(InputError, match="has no stage within the night, which began at"):
        make_report([str(live)], tmp_path, MADE, hypnogram=tmp_path / "sleep.edf", timezone=UTC)
    assert not live.with_suffix(".html").exists()


def test_the_clock_that_fits_better_lays_a_hypnogram(tmp_path: Path) -> None:
    """It was written in UTC; in local time most of it would lie outside of the night."""
    stored_replay(tmp_path, "W" + "2" * 79)
    start = datetime(2024, 3, 9, 22, 30, tzinfo=UTC)
    live = store_stages(tmp_path / "live.sqlite", "W" + "2" * 79, start=start)
    page = report_of(live, timezone=ZoneInfo("Asia/Kathmandu"), hypnogram=tmp_path / "sleep.edf")
    assert rows(page, "Over the epochs that both scored")["Live"][0] == "1.000"
    assert "its clock is read as UTC." in words(page)
