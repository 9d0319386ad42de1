"""Night stores: changed bytes, lost pages, cut files, foreign tables and values."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from models.contract import STAGES
from monitor.night.events import mark_event, session_started, stage_event
from monitor.night.live_night import LiveNight
from monitor.night.restoring import restored_night
from monitor.night.store import NightStore
from monitor.night.stored import night_to_continue, stored_night
from monitor.types import Mark, MarkKind, Montage, Track
from tests.fuzz import nasty
from tests.fuzz.case import Case, Kind
from tests.night.stored import LIVE, SESSION, epoch
from tests.signals import START

FILE = "night.sqlite"
N_EPOCHS = 6
NOW = START + timedelta(seconds=30 * N_EPOCHS)


@dataclass(frozen=True, kw_only=True)
class StoreCase(Case):
    """A night's file. ``same``: an answer other than the night's is wrong."""

    same: bool = True


class StoreKind(Kind):
    """Files of nights that were sound once."""

    name = "store"

    def generate(self, random: Random) -> StoreCase:
        content = night_bytes()
        match random.randrange(4):
            case 0:
                changed, story = _other_rows(random)
                return StoreCase(story=story, files={FILE: changed}, same=False)
            case 1:
                changed, story = _lost_pages(random, content)
            case _:
                changed, story = content, ""
                for _ in range(random.choice((1, 1, 1, 5))):
                    # The blobs of the epochs fill most of the file. Half of the changes go into the
                    # small tables before them.
                    if random.random() < 0.5:
                        start = 4096 * random.randrange(max(1, min(24, len(changed) // 4096)))
                        page, what = nasty.changed(random, changed[start : start + 4096])
                        changed = changed[:start] + page + changed[start + 4096 :]
                        what = f"page {start // 4096}: {what}"
                    else:
                        changed, what = nasty.changed(random, changed)
                    story = f"{story}, {what}".strip(", ")
        return StoreCase(story=story, files={FILE: changed}, sound=changed == content)

    def check(self, case: StoreCase, folder: Path) -> None:
        path = folder / FILE
        # Another night must be able to begin and to go on, whatever this file holds.
        found = night_to_continue(folder, "lsl:other", "", NOW)
        assert found is None, "the night of another headband would be continued"
        stored_night(path)
        with closing(NightStore.open(path, durable=False)) as store:
            answers = read_all(store)
        if case.same:
            right = right_answers()
            for name, answer in answers.items():
                assert answer == right[name], f"{name} is {answer!r:.300}, not {right[name]!r:.300}"


def read_all(store: NightStore) -> dict[str, Any]:
    """Return everything that a store answers, as values that can be compared."""
    session = store.session()
    answers: dict[str, Any] = {
        "session": session,
        "live_night": store.live_night(),
        "ended": store.ended(),
        "n_epochs": store.n_epochs(),
        "derivations": store.derivations(),
        "verdicts": store.verdicts(),
        "ledger": store.ledger(),
        "marks": store.marks(),
        "events": store.events_after(0, 1000),
        "last_sequence": store.last_sequence(),
        "epochs": [
            (np.nan_to_num(each.data_uv, nan=-1.0).tobytes(), replace(each, data_uv=b""))  # type: ignore[arg-type]
            for each in store.epochs()
        ],
        **{f"predictions {track}": store.predictions(track) for track in Track},
    }
    answers["epochs"] = [(data, repr(each)) for data, each in answers["epochs"]]
    if session is not None:
        night = restored_night(store, session)
        answers["stages"] = [prediction.stage for prediction in night.revised]
        answers["statistics"] = night.statistics
    return answers


@cache
def night_bytes() -> bytes:
    """Return the file of a short night with everything in it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILE
        with closing(NightStore.open(path, durable=False)) as store:
            live = LiveNight("lsl:fuzz", Montage.of_one("EEG"), "boot", 1.5, 0.25)
            store.begin(SESSION, START, session_started(SESSION, 1), live)
            for index in range(N_EPOCHS):
                stage = STAGES[index % 5]
                prediction = replace(LIVE, epoch_index=index, stage=stage)
                revised = replace(prediction, track=Track.REVISED, revision=1)
                number = 2 + 2 * index
                events = [
                    stage_event(SESSION, number, prediction),
                    stage_event(SESSION, number + 1, revised),
                ]
                store.write(events, [prediction, revised], epoch(index))
            at = START + timedelta(seconds=45)
            number = store.last_sequence() + 1
            event = mark_event(SESSION, number, MarkKind.NOTE, time=at, text="woke")
            store.write([event], marks=[Mark(MarkKind.NOTE, at, "woke")])
        return path.read_bytes()


@cache
def right_answers() -> dict[str, Any]:
    """Return what the sound night answers."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILE
        path.write_bytes(night_bytes())
        with closing(NightStore.open(path, durable=False)) as store:
            return read_all(store)


def _lost_pages(random: Random, content: bytes) -> tuple[bytes, str]:
    """Lose or swap pages of 4096 bytes, as a disk does that loses power."""
    n_pages = len(content) // 4096
    first, second = random.randrange(n_pages), random.randrange(n_pages)
    pages = [content[4096 * n : 4096 * (n + 1)] for n in range(n_pages)]
    match random.randrange(3):
        case 0:
            pages[first] = bytes(4096)
            story = f"page {first} is zero"
        case 1:
            pages[first], pages[second] = pages[second], pages[first]
            story = f"pages {first} and {second} are exchanged"
        case _:
            pages = pages[: first + 1]
            story = f"only {first + 1} pages are left"
    return b"".join(pages), story


COLUMNS = {
    "session": ("source", "channels", "start_s", "start_utc", "sfreq_hz", "gain", "sleeper"),
    "epoch": ("epoch_index", "start_utc", "derivation", "quality", "verdicts", "ledger"),
    "prediction": ("epoch_index", "track", "revision", "stage", "reason", "p_w", "confidence"),
    "mark": ("time_utc", "kind", "text"),
    "event": ("sequence", "id", "type", "time", "data"),
    "live": ("source_key", "montage", "timeline_offset_s", "clock_offset_s"),
}
JSON = ("[]", "{}", "null", "1", '"x"', "[" * 100_000, "1" * 5000, "NaN", "[[1]]", '{"a": 1}', "[")


def _other_rows(random: Random) -> tuple[bytes, str]:
    """Change a value by SQL, as another program could: then any answer is right but a traceback."""
    table = random.choice(list(COLUMNS))
    column = random.choice(COLUMNS[table])
    value = random.choice(
        (
            random.choice(JSON),
            nasty.text(random).encode("utf-8", "replace").decode(),
            nasty.number(random),
            random.choice((0, -1, 2**62, 1e308, float("inf"), None, b"\xff\x00")),
        )
    )
    statement = random.choice(
        (f"UPDATE {table} SET {column} = ?", f"UPDATE OR IGNORE {table} SET {column} = ?")
    )
    if random.random() < 0.15:
        statement, value = random.choice((f"DELETE FROM {table}", f"DROP TABLE {table}")), None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILE
        path.write_bytes(night_bytes())
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA ignore_check_constraints = 1")
            connection.execute("PRAGMA synchronous = OFF")
            try:
                connection.execute(statement, (value,) if "?" in statement else ())
                connection.commit()
            except (sqlite3.Error, OverflowError, UnicodeError):
                connection.rollback()
            connection.execute("PRAGMA journal_mode = DELETE")
        return path.read_bytes(), f"{statement} ({value!r:.80})"
