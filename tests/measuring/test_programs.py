"""A live night with faults, through the real programs. All faults: `tests.live.fault_table`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.live.fault_table import Case, cases, kill_outlet, run_case
from tests.live.kills import kill_live, kill_replay

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FAULTS = {case.name: replace(case, minutes=20.0) for case in cases()}


def test_nothing_is_lost_of_a_night_without_faults(tmp_path: Path) -> None:
    row = run_case(FAULTS["nothing"], tmp_path)
    assert row.left.wrong == []
    assert row.left.ledger["lost"] == row.left.ledger["filled"] == 0
    assert row.left.ledger["arrived"] == pytest.approx(row.sent.sent, abs=3)
    assert row.left.lag_worst == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("name", ["gap 60 s", "loss 5 %"])
def test_what_is_lost_is_known_and_the_grid_stays(name: str, tmp_path: Path) -> None:
    row = run_case(FAULTS[name], tmp_path)
    assert row.left.wrong == []
    missing_s = row.sent.short_gaps_s + row.sent.long_gaps_s
    known_s = (row.left.ledger["filled"] + row.left.ledger["lost"]) / 100.0
    # Packets lost in the first 5 s are not seen: until then nobody knows that stamps are clean.
    assert known_s == pytest.approx(missing_s, abs=0.5 + 0.01 * missing_s)
    assert row.left.lag_last == pytest.approx(0.0, abs=0.1)


def test_all_at_once_ends_nothing_and_most_of_what_is_lost_is_known(tmp_path: Path) -> None:
    """Single packets lost among stamps that are off by 10 ms each: not all of them can be told."""
    row = run_case(FAULTS["loss, jitter, drift, reordering"], tmp_path)
    assert row.left.wrong == [] and row.left.unscored == {}
    missing_s = row.sent.short_gaps_s + row.sent.long_gaps_s
    assert row.left.ledger["filled"] + row.left.ledger["lost"] > 50.0 * missing_s


def test_a_clock_that_is_set_leaves_no_trace(tmp_path: Path) -> None:
    case = Case("step", "step=-2.5@15", minutes=1.6, speed=1.0)
    row = run_case(case, tmp_path)
    assert row.left.wrong == []
    assert row.left.ledger["lost"] == row.left.ledger["filled"] == 0
    assert row.left.lag_last == pytest.approx(0.0, abs=0.1)


def test_a_headband_that_dies_again_and_again_is_rejoined(tmp_path: Path) -> None:
    case = Case("outlet", act=lambda scene: kill_outlet(scene, times=3), minutes=20.0)
    row = run_case(case, tmp_path)
    assert row.left.wrong == []
    assert row.left.lag_last == pytest.approx(0.0, abs=0.25)


def test_a_live_night_survives_being_killed(tmp_path: Path) -> None:
    report = kill_live(3, tmp_path, seed=1)
    assert report.wrong == []
    assert report.live_differing == report.revised_differing == 0


def test_a_killed_replay_is_the_one_that_was_left_alone(tmp_path: Path) -> None:
    assert kill_replay(3, tmp_path, seed=1).wrong == []
