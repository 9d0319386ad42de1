"""The journal that a killed monitor leaves: what is lost by damage in it is told."""

from __future__ import annotations

import random
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from monitor.errors import MonitorError
from monitor.exports.table import export_epochs
from monitor.night import events
from monitor.night.journal import journal_damage
from monitor.night.live_night import LiveNight
from monitor.night.store import NightStore
from monitor.types import Montage, Track
from tests.night.stored import SESSION, write_epoch
from tests.signals import START

N_EPOCHS = 12


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a night whose monitor was killed: all epochs are in its journal."""
    folder = tmp_path_factory.mktemp("killed")
    with closing(NightStore.open(folder / "running.sqlite", durable=False)) as store:
        live = LiveNight("lsl:test", Montage.of_one("EEG"), "boot", 0.0, None)
        store.begin(SESSION, START, events.session_started(SESSION, 1), live)
        for index in range(N_EPOCHS):
            write_epoch(store, index)
        for suffix in ("", "-wal"):
            shutil.copy(f"{store.path}{suffix}", folder / f"night.sqlite{suffix}")
    return folder / "night.sqlite"


def with_damage(killed: Path, folder: Path, at: int) -> Path:
    """Copy the night, and flip a bit of the byte ``at`` of its journal."""
    path = folder / "night.sqlite"
    shutil.copy(killed, path)
    data = bytearray(Path(f"{killed}-wal").read_bytes())
    data[at] ^= 4
    Path(f"{path}-wal").write_bytes(data)
    return path


def n_epochs(path: Path) -> int:
    with closing(NightStore.open(path, durable=False)) as store:
        return len(store.predictions(Track.LIVE))


def test_a_whole_journal_is_no_damage(killed: Path, tmp_path: Path) -> None:
    assert journal_damage(killed) == ""
    assert journal_damage(tmp_path / "no night") == ""
    broken_off = tmp_path / "night.sqlite"
    shutil.copy(killed, broken_off)
    data = Path(f"{killed}-wal").read_bytes()
    for end in (0, 20, 32, 1000, len(data) - 5000):
        Path(f"{broken_off}-wal").write_bytes(data[:end])
        assert journal_damage(broken_off) == ""


@pytest.mark.parametrize("seed", range(60))
def test_a_night_that_damage_shortens_says_so(
    seed: int, killed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Not the last write: if it is damaged, it looks like one that was broken off.
    size = Path(f"{killed}-wal").stat().st_size
    path = with_damage(killed, tmp_path, random.Random(seed).randrange(size - 40_000))
    try:
        n = n_epochs(path)
    except MonitorError:
        return
    assert n == N_EPOCHS or f"The last epochs of {path} may be missing: " in caplog.text


def test_an_export_of_a_shortened_night_keeps_what_is_sound_and_fails(
    killed: Path, tmp_path: Path
) -> None:
    path = with_damage(killed, tmp_path, Path(f"{killed}-wal").stat().st_size // 2)
    with pytest.raises(MonitorError, match=r"\d of its writes cannot be read\): later epochs may"):
        export_epochs(path, tmp_path / "epochs.csv")
    n_rows = len((tmp_path / "epochs.csv").read_text().splitlines()) - 1
    assert 0 < n_rows < N_EPOCHS


def test_a_damaged_header_of_the_only_file_with_the_night_is_named(
    killed: Path, tmp_path: Path
) -> None:
    path = with_damage(killed, tmp_path, 5)
    with pytest.raises(MonitorError, match="the header of its journal is damaged"):
        export_epochs(path, tmp_path / "epochs.csv")
