"""The command line: `sleep-monitor demo | replay | live | check | nights | streams | ...`."""

import os

# Set before torch is imported: if several OpenMP threads spin on a busy core, one inference takes
# seconds instead of milliseconds.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from monitor.cli.program import app, main
from monitor.cli.stopping import INTERRUPTED

__all__ = ["INTERRUPTED", "app", "main"]
