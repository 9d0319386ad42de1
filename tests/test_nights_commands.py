"""`sleep-monitor nights` as a user types it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.commands import run
from tests.night.stored import store_night


class Keyboard(io.StringIO):
    """The keyboard of a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Store a night in the user's folder of nights."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (folder := tmp_path / "sleep-monitor" / "nights").mkdir(parents=True)
    return store_night(folder, "2026-11-26 23:10")


def test_nights_are_listed_shown_and_deleted(
    night: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("nights", monkeypatch=monkeypatch) == 0
    found = capsys.readouterr().out
    assert "1 night, " in found and f" kB in {night.parent}" in found
    for name in ([], ["last"], ["2026-11-26"], [night.stem], [night]):
        assert run("nights", "show", *name, monkeypatch=monkeypatch) == 0
        assert "40 epochs" in capsys.readouterr().out
    assert run("nights", "delete", "last", "--yes", monkeypatch=monkeypatch) == 0
    assert "Deleted 1 night" in capsys.readouterr().out
    assert not any(night.parent.iterdir())
    assert run("nights", "show", monkeypatch=monkeypatch) == 2
    assert run("nights", monkeypatch=monkeypatch) == 0


@pytest.mark.parametrize(("answer", "is_left"), [("y", False), ("n", True), ("", True)])
def test_delete_asks_at_the_terminal(
    answer: str, is_left: bool, night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Keyboard(f"{answer}\n"))
    assert run("nights", "delete", "last", monkeypatch=monkeypatch) == 0
    assert night.exists() is is_left


def test_delete_without_a_terminal_needs_yes(
    night: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert run("nights", "delete", "last", monkeypatch=monkeypatch) == 2
    assert capsys.readouterr().err == (
        "sleep-monitor: nothing was deleted: there is no terminal to ask; give --yes\n"
    )
    assert night.exists()
