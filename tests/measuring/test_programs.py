"""Live nights with faults and kills, through the real programs: short runs of the measurements."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.measuring.fault_cases import FaultCase, fault_cases, kill_outlet
from tests.measuring.fault_table import run_case
from tests.measuring.following import with_killed_monitor, with_kills
from tests.measuring.kills import kill_live, kill_replay

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CASES = {case.name: replace(case, minutes=20.0) for case in fault_cases()}


def test_a_night_without_faults_loses_nothing(tmp_path: Path) -> None:
    row = run_case(CASES["nothing"], tmp_path)
    assert row.stored.wrong == []
    assert row.stored.ledger["lost"] == row.stored.ledger["filled"] == 0
    assert row.stored.ledger["arrived"] == pytest.approx(row.sent.sent, abs=3)
    assert row.stored.lag_worst == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("name", ["gap 60 s", "loss 5 %"])
def test_losses_are_counted_and_the_grid_stays(name: str, tmp_path: Path) -> None:
    row = run_case(CASES[name], tmp_path)
    assert row.stored.wrong == []
    missing_s = row.sent.short_gaps_s + row.sent.long_gaps_s
    known_s = (row.stored.ledger["filled"] + row.stored.ledger["lost"]) / 100.0
    # Losses in the first 5 s are not counted: the monitor does not yet know that stamps are clean.
    assert known_s == pytest.approx(missing_s, abs=0.5 + 0.01 * missing_s)
    assert row.stored.lag_last == pytest.approx(0.0, abs=0.1)


def test_all_faults_together_end_nothing_and_most_losses_are_counted(tmp_path: Path) -> None:
    """Some packets lost among stamps that jitter by 10 ms cannot be seen."""
    row = run_case(CASES["loss, jitter, drift, reordering"], tmp_path)
    assert row.stored.wrong == [] and row.stored.unscored == {}
    missing_s = row.sent.short_gaps_s + row.sent.long_gaps_s
    assert row.stored.ledger["filled"] + row.stored.ledger["lost"] > 50.0 * missing_s


def test_a_step_of_the_senders_clock_leaves_no_trace(tmp_path: Path) -> None:
    row = run_case(FaultCase("step", "step=-2.5@15", minutes=1.6, speed=1.0), tmp_path)
    assert row.stored.wrong == []
    assert row.stored.ledger["lost"] == row.stored.ledger["filled"] == 0
    assert row.stored.lag_last == pytest.approx(0.0, abs=0.1)


def test_a_headband_that_dies_repeatedly_is_joined_again(tmp_path: Path) -> None:
    case = FaultCase("outlet", accident=lambda night: kill_outlet(night, times=3), minutes=20.0)
    row = run_case(case, tmp_path)
    assert row.stored.wrong == []
    assert row.stored.lag_last == pytest.approx(0.0, abs=0.25)


def test_a_live_night_survives_kills(tmp_path: Path) -> None:
    report = kill_live(3, tmp_path, seed=1)
    assert report.wrong == []
    assert report.live_differing == report.revised_differing == 0


def test_a_killed_replay_equals_one_that_ran_through(tmp_path: Path) -> None:
    assert kill_replay(3, tmp_path, seed=1).wrong == []


def test_an_app_misses_and_doubles_nothing_while_all_are_killed(tmp_path: Path) -> None:
    row = with_kills("the app and the server", 3, tmp_path / "server", ())
    # Only the epoch that is in the app's hands when it is killed may come twice.
    *_, missed, twice = [cell.strip() for cell in row.strip("|").split("|")]
    assert missed == "0"
    assert int(twice) <= 3
    assert with_killed_monitor(2, tmp_path / "monitor").endswith("| 0 | 0 |")
