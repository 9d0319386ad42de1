"""`score`: stages one recording, for Python programs."""

from __future__ import annotations

import math
import os
from functools import lru_cache
from pathlib import Path

from models.contract import Gain
from monitor.clock import SystemClock
from monitor.composition import load_backend
from monitor.config import Grid, ReplayOptions, RunOptions
from monitor.errors import InputError
from monitor.scoring.result import Score
from monitor.scoring.staged import stage_night
from monitor.staging.chain import AUTO, BACKENDS, BackendChain


def score(
    path: str | os.PathLike[str],
    *,
    channel: str | None = None,
    hypnogram: str | os.PathLike[str] | None = None,
    expert: bool = True,
    gain: Gain | str = Gain.KNOWN,
    grid: Grid = "auto",
    weights: str | os.PathLike[str] | None = None,
    backend: str = AUTO,
) -> Score:
    """Stage one recording; nothing is written, and no server is started.

    Parameters
    ----------
    path : a recording that `sleep-monitor replay` reads.
    channel : a recorded channel ("EEG Fpz-Cz") or the difference of two ("F3-M2"). None: the best.
    hypnogram : the file with the expert's stages. None: the one beside the recording, else those
        in the recording.
    expert : False: look for no expert's stages. The epochs then begin with the first sample.
    gain : "known", or "unknown" for stages that do not depend on the amplitude.
    grid : the place of the epochs: "auto" (the expert's grid), "start" (the first sample), or a
        time in seconds through which the 30-s grid passes.
    weights : other weights than the default ones. The network is loaded once for many calls.
    backend : what runs the network: "auto", "tensorrt", "cuda", "onnx" or "torch".

    Returns
    -------
    Score : equal to the stages, ids and statistics of a replay with the same options.

    Raises
    ------
    InputError
        The recording, the hypnogram, the weights or an argument cannot be used.
    MonitorError
        The recording changes or disappears while it is read.
    """
    options = ReplayOptions(
        Path(path),
        channel=channel,
        hypnogram=None if hypnogram is None else Path(hypnogram),
        expert=expert,
        grid=grid,
        gain=_gain(gain),
        weights=None if weights is None else Path(weights),
        backend=backend,
        no_redis=True,
    )
    if hypnogram is not None and not expert:
        raise InputError(f"hypnogram {hypnogram} is given, but expert=False: leave one of them out")
    if not isinstance(channel, str | None):
        raise InputError(f"channel must be a name, got {channel!r}")
    if backend not in (AUTO, *BACKENDS):
        raise InputError(f"backend must be {AUTO}, {', '.join(BACKENDS)}, got {backend!r}")
    if not (grid in ("auto", "start") or (isinstance(grid, int | float) and 0 <= grid < math.inf)):
        raise InputError(f"grid must be 'auto', 'start' or seconds of 0 or more, got {grid!r}")
    network = _network(options.gain, options.weights, backend, os.getpid())
    return Score.of(stage_night(options, SystemClock(), network))


def _gain(gain: str) -> Gain:
    try:
        return Gain(gain)
    except ValueError as exc:
        raise InputError(f"gain must be {' or '.join(Gain)}, got {gain!r}") from exc


@lru_cache(maxsize=2)
def _network(gain: Gain, weights: Path | None, backend: str, process: int) -> BackendChain:
    # A forked process inherits a network whose threads it does not have: it would wait for ever.
    return load_backend(RunOptions(gain=gain, weights=weights, backend=backend))
