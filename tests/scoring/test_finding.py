"""Recordings in a folder: none is passed over, and no companion is taken for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.scoring.finding import find_recordings
from offline_training.data.pairs import find_pairs


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["n.vhdr", "n.eeg", "n.vmrk"], ["n.vhdr"]),
        (["N.VHDR", "N.EEG", "N.VMRK"], ["N.VHDR"]),
        (["n.eeg", "n.vmrk"], ["n.eeg"]),  # its reader names the missing .vhdr
        (["n.set", "n.fdt"], ["n.set"]),
        (["n.fdt"], ["n.fdt"]),
        (["empty.set", "empty.xdf", "empty.fif"], ["empty.fif", "empty.set", "empty.xdf"]),
        (["n.mff/signal1.bin", "n.ds/n.meg4", "n.ds/n.eeg"], ["n.ds", "n.mff"]),
        (["notes.txt"], []),
    ],
    ids=str,
)
def test_a_folder_lists_each_recording_once(
    tmp_path: Path, files: list[str], found: list[str]
) -> None:
    for name in files:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"" if name.startswith("empty") else b"x")
    expected = [tmp_path / name for name in found]
    assert find_recordings([tmp_path]) == expected
    assert find_recordings([tmp_path], recursive=True) == expected
    assert find_recordings(expected) == expected
    if len({path.stem for path in expected}) == len(expected) > 0:
        assert [pair.recording for pair in find_pairs(tmp_path)] == expected
