"""A stored night of chosen stages, and its report, read as a page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from models.contract import STAGES, Stage
from monitor.clock import ManualClock
from monitor.night import events
from monitor.night.live_night import LiveNight
from monitor.night.store import NightStore
from monitor.report import make_report
from monitor.types import Mark, Montage, Reason, Session, StagePrediction, Track
from tests.night.stored import GOOD, LIVE, SESSION, epoch

LETTERS = {"W": Stage.W, "1": Stage.N1, "2": Stage.N2, "3": Stage.N3, "R": Stage.R}
FLAT = replace(GOOD, reason=Reason.FLAT)
XHTML = "{http://www.w3.org/1999/xhtml}"
SVG = "{http://www.w3.org/2000/svg}"
MADE = ManualClock(datetime(2026, 11, 27, 8, 0, tzinfo=UTC))


def store_stages(
    path: Path,
    stages: str,
    *,
    start: datetime = datetime(2026, 11, 26, 22, 0, tzinfo=UTC),
    is_live: bool = True,
    ended: bool = True,
    marks: Sequence[Mark] = (),
    weights_sha256: str = "",
    **session: Any,
) -> Path:
    """Store a night: a letter for each epoch, W 1 2 3 R, or ? for one that is flat."""
    named: Session = replace(SESSION, **{"start_utc": start, **session})
    live_night = LiveNight("lsl:test", Montage.of_one("EEG"), "boot", 0.0, None)
    with closing(NightStore.open(path, durable=False)) as store:
        begun = events.session_started(named, 1)
        store.begin(
            named,
            start,
            begun,
            live_night if is_live else None,
            weights_sha256=weights_sha256,
        )
        for index, letter in enumerate(stages):
            quality = GOOD if letter in LETTERS else FLAT
            made = epoch(index, quality)
            at = start + timedelta(seconds=30 * index)
            live = prediction(index, letter)
            revised = replace(live, track=Track.REVISED, revision=1)
            stored = replace(made, start_utc=at)
            store.write([events.stage_event(named, index + 2, live)], [live, revised], stored)
        store.write([], marks=marks)
        if ended:
            store.write([], ended_utc=start + timedelta(seconds=30 * len(stages)))
    return path


def prediction(index: int, letter: str) -> StagePrediction:
    """Return the live prediction of an epoch; it is 60 % sure."""
    stage = LETTERS.get(letter)
    if stage is None:
        reason = Reason.FLAT
        return replace(
            LIVE,
            epoch_index=index,
            stage=None,
            reason=reason,
            probabilities=None,
            confidence=None,
        )
    probabilities = tuple(0.6 if each is stage else 0.1 for each in STAGES)
    return replace(LIVE, epoch_index=index, stage=stage, probabilities=probabilities)


def report_of(path: Path, timezone: tzinfo | None = UTC, **options: Any) -> ElementTree.Element:
    """Make the report of the night ``path`` and return its page, which is well-formed XML."""
    (page,) = make_report([str(path)], path.parent, MADE, timezone=timezone, **options)
    return read_page(page)


def read_page(page: Path) -> ElementTree.Element:
    """Return the root of a page."""
    return ElementTree.fromstring(page.read_text(encoding="utf-8").split("\n", 1)[1])


def words(element: ElementTree.Element) -> str:
    """Return the text in ``element``, with single blanks."""
    return re.sub(r"\s+", " ", " ".join(element.itertext()))


def rows(page: ElementTree.Element, caption: str) -> dict[str, list[str]]:
    """Return the rows of the table whose caption begins with ``caption``, by their first cell."""
    for table in page.iter(f"{XHTML}table"):
        title = table.find(f"{XHTML}caption")
        if title is not None and words(title).startswith(caption):
            body = table.find(f"{XHTML}tbody")
            assert body is not None
            cells = [[words(cell) for cell in row] for row in body]
            return {first: rest for first, *rest in cells}
    raise AssertionError(f"no table '{caption}'")


def elements(page: ElementTree.Element) -> Iterator[tuple[str, ElementTree.Element]]:
    """Yield each element of a page with its name, without the namespace."""
    for each in page.iter():
        yield each.tag.split("}")[1], each
