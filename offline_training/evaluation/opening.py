"""Open the recordings to measure, before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monitor.errors import InputError
from offline_training.data.left_out import LeftOut
from offline_training.data.pairs import Pair, find_pairs
from offline_training.data.scored import ScoredNight


def open_nights(
    paths: Sequence[Path], hypnogram: Path | None, channel: str | None, wake_min: float | None
) -> tuple[list[ScoredNight], list[LeftOut]]:
    """Open every recording of ``paths``, files and folders; return also those left out.

    Raises InputError if a folder holds no recording, if two recordings have the same name, if a
    ``hypnogram`` is given for more than one recording, or if ``paths`` is one file and that cannot
    be used.
    """
    alone = len(paths) == 1 and not paths[0].is_dir()
    if hypnogram is not None and not alone:
        raise InputError("--hypnogram belongs to one recording: give that one alone")
    nights, left_out = [], []
    for pair in _pairs(paths, hypnogram):
        channels = () if channel is None else (channel,)
        try:
            nights.append(
                ScoredNight.open(pair.recording, pair.hypnogram, channels, wake_min, pair.name)
            )
        except Exception as exc:  # One odd file must not end the run.
            if alone:
                raise
            left_out.append(LeftOut.because_of(exc, pair.name, pair.recording))
    return nights, left_out


def _pairs(paths: Sequence[Path], hypnogram: Path | None) -> list[Pair]:
    pairs: dict[str, Pair] = {}
    for path in paths:
        for pair in find_pairs(path) if path.is_dir() else [Pair(path, hypnogram, path.stem)]:
            if (other := pairs.setdefault(pair.name, pair)) is not pair:
                raise InputError(
                    f"{other.recording} and {pair.recording} are both called {pair.name}: "
                    "evaluate the folder that holds both, or rename one"
                )
    return list(pairs.values())
