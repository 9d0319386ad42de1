"""Scores recordings as fast as the cores allow, without a server and without a store.

`score` stages one recording and returns a `Score`. `run_scoring` in `folder` does it for files and
folders, and is the command `sleep-monitor score`.
"""

from monitor.scoring.result import Score
from monitor.scoring.single import score

__all__ = ["Score", "score"]
