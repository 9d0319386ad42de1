"""Sleep statistics under their exact names. Undefined is None, never 0.

Definitions follow the AASM Manual (2.6). Where tools disagree, the name says which number it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.contract import EPOCH_S, Stage

EPOCH_MIN = EPOCH_S / 60.0
PERSISTENT_SLEEP_EPOCHS = 20
"""Ten minutes of uninterrupted sleep (latency to persistent sleep)."""


@dataclass(frozen=True, slots=True)
class SleepStatistics:
    """The statistics of a night: durations in minutes, percentages from 0 to 100.

    - ``bounds``: "lights" if lights off and on were marked; else "worn" if the band was worn for
      less than the recording; else "recording". If the two bounds differ, it names both.
    - ``trt_min``: total recording time, lights off to lights on (within ``bounds``).
    - ``tst_min``: total sleep time: N1, N2, N3 and R. ``se_percent``: TST / TRT.
    - ``sol_min``: sleep onset latency, lights off to the first epoch of any sleep.
    - ``lps_min``: lights off to the first 10 min of unbroken sleep.
    - ``rem_latency_min``: sleep onset to the first R epoch.
    - ``waso_aasm_min``: W from sleep onset to lights on. ``waso_last_sleep_min``: W from sleep
      onset to the last sleep epoch (YASA, Luna).
    - ``n1_percent`` ... ``r_percent``: share of TST.
    - ``unscored_min`` is part of TRT, and neither sleep nor wake.
    """

    bounds: str
    trt_min: float
    tst_min: float
    w_min: float
    n1_min: float
    n2_min: float
    n3_min: float
    r_min: float
    unscored_min: float
    sol_min: float | None
    lps_min: float | None
    rem_latency_min: float | None
    waso_aasm_min: float | None
    waso_last_sleep_min: float | None
    se_percent: float | None
    n1_percent: float | None
    n2_percent: float | None
    n3_percent: float | None
    r_percent: float | None


def sleep_statistics(
    hypnogram: Sequence[Stage | None],
    lights_off: int | None = None,
    lights_on: int | None = None,
    worn: tuple[int, int] | None = None,
) -> SleepStatistics:
    """Compute the statistics of ``hypnogram``: one stage per epoch, None for unscored.

    ``lights_off`` is the first epoch in bed in the dark, ``lights_on`` the first epoch after that
    time. None: the bound of the ``worn`` window (first epoch, one after the last), or without a
    window the bound of the recording. Raises ValueError if the two are out of order.
    """
    band_on, band_off = worn or (0, len(hypnogram))
    first, stop = recording_time(len(hypnogram), lights_off, lights_on, worn)
    night = list(hypnogram[first:stop])
    asleep = [stage is not None and stage is not Stage.W for stage in night]
    onset = asleep.index(True) if any(asleep) else None
    minutes = {stage: night.count(stage) * EPOCH_MIN for stage in Stage}
    tst_min = sum(asleep) * EPOCH_MIN
    trt_min = len(night) * EPOCH_MIN

    rem_latency_min = waso_aasm_min = waso_last_sleep_min = None
    if onset is not None:
        after = night[onset:]
        waso_aasm_min = after.count(Stage.W) * EPOCH_MIN
        last_sleep = len(asleep) - asleep[::-1].index(True)
        waso_last_sleep_min = night[onset:last_sleep].count(Stage.W) * EPOCH_MIN
        if Stage.R in after:
            rem_latency_min = after.index(Stage.R) * EPOCH_MIN

    def share(stage: Stage) -> float | None:
        return 100.0 * minutes[stage] / tst_min if tst_min else None

    return SleepStatistics(
        bounds=_bounds(
            _bound(lights_off is not None, band_on > 0),
            _bound(lights_on is not None, band_off < len(hypnogram)),
        ),
        trt_min=trt_min,
        tst_min=tst_min,
        w_min=minutes[Stage.W],
        n1_min=minutes[Stage.N1],
        n2_min=minutes[Stage.N2],
        n3_min=minutes[Stage.N3],
        r_min=minutes[Stage.R],
        unscored_min=night.count(None) * EPOCH_MIN,
        sol_min=None if onset is None else onset * EPOCH_MIN,
        lps_min=unbroken_sleep_latency_min(asleep, PERSISTENT_SLEEP_EPOCHS),
        rem_latency_min=rem_latency_min,
        waso_aasm_min=waso_aasm_min,
        waso_last_sleep_min=waso_last_sleep_min,
        se_percent=100.0 * tst_min / trt_min if trt_min else None,
        n1_percent=share(Stage.N1),
        n2_percent=share(Stage.N2),
        n3_percent=share(Stage.N3),
        r_percent=share(Stage.R),
    )


def recording_time(
    n_epochs: int,
    lights_off: int | None,
    lights_on: int | None,
    worn: tuple[int, int] | None,
) -> tuple[int, int]:
    """Return the first epoch of the total recording time, and the one after its last.

    See `sleep_statistics`, also for what it raises.
    """
    band_on, band_off = worn or (0, n_epochs)
    first = band_on if lights_off is None else lights_off
    stop = band_off if lights_on is None else lights_on
    # A mark outside the worn window wins over the window: the time is then empty, not reversed.
    if lights_off is None and lights_on is not None:
        first = min(first, lights_on)
    if lights_on is None and lights_off is not None:
        stop = max(stop, lights_off)
    if not 0 <= first <= stop <= n_epochs:
        raise ValueError(
            f"lights off (epoch {first}) and lights on (epoch {stop}) must be in order and within "
            f"the {n_epochs} epochs of the night"
        )
    return first, stop


def _bound(lights: bool, worn: bool) -> str:
    return "lights" if lights else "worn" if worn else "recording"


def _bounds(start: str, end: str) -> str:
    if start == end:
        return start
    starts = {"lights": "lights off", "worn": "band on", "recording": "recording start"}
    ends = {"lights": "lights on", "worn": "band off", "recording": "recording end"}
    return f"{starts[start]} to {ends[end]}"


def unbroken_sleep_latency_min(asleep: Sequence[bool], n_epochs: int) -> float | None:
    """Return the minutes to the first ``n_epochs`` of unbroken sleep; None if there are none."""
    run = 0
    for index, is_asleep in enumerate(asleep):
        run = run + 1 if is_asleep else 0
        if run == n_epochs:
            return (index + 1 - run) * EPOCH_MIN
    return None
