"""The two worked examples of ADDING.md run as they stand, each alone, and stage their sleep."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

import monitor.sources
from tests.pages import python_blocks

PAGE = Path(str(monitor.sources.__path__[0])) / "ADDING.md"
LIVE, RECORDING = python_blocks(PAGE)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the examples away from the user's files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def run(block: str) -> None:
    path = Path("example.py")
    path.write_text(block, encoding="utf-8")
    runpy.run_path(str(path), run_name="__main__")


def test_a_live_source_from_its_first_line_to_a_staged_night(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(LIVE)
    printed = capsys.readouterr().out
    assert "live stages: N3 N3 N3 N1 W" in printed
    assert "5 epochs, 22:00:00 to 22:02:35  pillow number 1" in printed
    assert "15,000 = 15,000 received + 0 filled + 0 lost" in printed


def test_a_recording_format_from_its_file_to_a_staged_night(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(RECORDING)
    printed = capsys.readouterr().out
    assert "10 epochs, 22:00:00 to 22:05:00  night.npz" in printed
    assert "30,000 = 30,000 received + 0 filled + 0 lost" in printed


def test_each_example_is_short() -> None:
    assert all(30 <= block.count("\n") <= 60 for block in (LIVE, RECORDING))
