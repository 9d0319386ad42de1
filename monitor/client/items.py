"""The values that an app gets from `follow`, and how an event becomes one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from models.contract import STAGES, Stage
from monitor.night.envelope import Envelope
from monitor.text import clean


@dataclass(frozen=True, slots=True)
class StagedEpoch:
    """The stage of one 30-s epoch.

    - ``stage``: ``W``, ``N1``, ``N2``, ``N3`` or ``R``, which also compare with text:
      ``epoch.stage == "N2"``. None: unscored, which is not awake.
    - ``reason``: why it is unscored, such as ``flat``; None if it is scored.
    - ``confidence``: the probability of ``stage``, 0 to 1; None if it is unscored.
    - ``probabilities``: of W, N1, N2, N3, R, in this order; None if it is unscored.
    - ``track``, ``epoch_index``, ``revision``, ``final``, ``model``: as in EVENTS.md.
    - ``start_utc``, ``end_utc``: of the epoch, on the recording's clock.
    - ``age_s``: seconds from the moment of the staging until the app got it.
    - ``session``, ``sleeper``, ``mode``: the night, its sleeper ("" if there is only one), and
      ``live`` or ``replay``.
    - ``id``: names the event within the session. Two events with equal ``session`` and ``id`` are
      the same event.
    """

    session: str
    sleeper: str
    mode: str
    id: str
    track: str
    epoch_index: int
    revision: int
    final: bool
    start_utc: datetime
    end_utc: datetime
    stage: Stage | None
    reason: str | None
    confidence: float | None
    probabilities: tuple[float, ...] | None
    model: str
    age_s: float


@dataclass(frozen=True, slots=True)
class Gone:
    """The monitor is gone: no stage comes until `Back`. ``reason`` is one line for people."""

    reason: str


@dataclass(frozen=True, slots=True)
class Back:
    """The monitor is there again, or for the first time, with ``session`` of ``sleeper``."""

    session: str
    sleeper: str


def staged_epoch(
    event: Envelope, *, session: str, sleeper: str, mode: str, age_s: float
) -> StagedEpoch:
    """Return the epoch in a stage event. Raises ValueError that names what is wrong in it."""
    data = event["data"]
    try:
        stage = None if data["stage"] is None else Stage(data["stage"])
        shares = data["probabilities"]
        return StagedEpoch(
            session=session,
            sleeper=sleeper,
            mode=mode,
            id=event["id"],
            track=_text(data["track"]),
            epoch_index=_integer(data["epoch_index"]),
            revision=_integer(data["revision"]),
            final=bool(data["final"]),
            start_utc=datetime.fromisoformat(data["start_utc"]),
            end_utc=event["time"],
            stage=stage,
            reason=None if stage is not None else _text(data["reason"]),
            confidence=None if stage is None else _share(data["confidence"]),
            probabilities=None if stage is None else tuple(_share(shares[s]) for s in STAGES),
            model=_text(data["model"]),
            age_s=age_s,
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise ValueError(
            f"not a stage event of this monitor: {clean(f'{type(exc).__name__}: {exc}')}"
        ) from exc


def _integer(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no integer from 0")
    return value


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{value!r} is no number from 0 to 1")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return clean(value)
