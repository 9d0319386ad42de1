"""A recording of a day and seven channels needs little memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.edf_files import Signal, write_edf

_MEASURE = """
import sys
from pathlib import Path

def peak_mib():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

from monitor.sources.derivation import choose_derivation
from monitor.sources.edf import EdfRecording

before_mib = peak_mib()
recording = EdfRecording.open(sys.argv[1])
n = sum(c.data_uv.size for c in recording.chunks(choose_derivation(recording.channels, "F3-M2")))
print(n, peak_mib() - before_mib)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
def test_a_day_of_seven_channels_adds_little_memory(tmp_path: Path) -> None:
    n = 24 * 3600 * 256
    digital = (np.arange(n, dtype=np.int32) % 30000).astype(np.int16)
    names = ("F3", "M2", "C4", "O2", "EOG", "EMG", "ECG")
    path = write_edf(
        tmp_path / "day.edf",
        [Signal(name, digital, 256) for name in names],
        annotations=[(30.0 * i, 30.0, "Sleep stage N2") for i in range(2880)],
        record_s=1.0,
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _MEASURE, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    n_samples, added_mib = done.stdout.split()
    assert int(n_samples) == n
    assert float(added_mib) < 40
