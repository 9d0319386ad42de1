"""Makes reports: reads the nights, draws them, and writes the pages where only the user reads."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import date, tzinfo
from functools import partial
from importlib.resources import files
from pathlib import Path

from models.files import whole_file
from monitor.clock import Clock
from monitor.errors import InputError, MonitorError, one_line
from monitor.night.catalogue import listed_nights, named_night
from monitor.night.lock import is_being_written
from monitor.night.page import SUFFIX as PAGE
from monitor.night.page import page_of
from monitor.night.record import NightRecord, read_night
from monitor.report.expert import ExpertStages, found_expert, named_expert
from monitor.report.network import KnownNetwork, known_network
from monitor.report.night_page import night_page
from monitor.report.picture import picture_file
from monitor.report.reported import ReportedNight
from monitor.report.trend import TrendNight
from monitor.report.trend_page import trend_page
from monitor.sinks.words import local_time

ALL = "all"
"""Name of every live night that was no test."""

PICTURE = ".svg"
_BEGINNINGS = {PAGE: b"<!DOCTYPE html>", PICTURE: b"<?xml"}
"""First bytes of the files that a report may replace."""

_log = logging.getLogger(__name__)


def make_report(
    names: Sequence[str],
    folder: Path,
    clock: Clock,
    *,
    out: Path | None = None,
    hypnogram: Path | None = None,
    picture: Path | None = None,
    since: date | None = None,
    timezone: tzinfo | None = None,
) -> list[Path]:
    """Write the report of the nights that a person calls ``names``; return the files it wrote.

    - ``names``: see `named_night`; `ALL` for every live night that was no test. Several nights get
      a page of their trend. ``folder`` has the user's nights.
    - ``out``: the page, or a folder for it. Default: beside the night's file.
    - ``hypnogram``: the expert's stages. ``picture``: an SVG file for the picture.
    - ``since``: of all nights, those from this evening on.
    - ``timezone``: None for local time.

    Raises `InputError` before anything is written, and `MonitorError` if it cannot be written.
    """
    paths = night_files(names, folder, since, timezone)
    if len(paths) > 1:
        if hypnogram is not None or picture is not None:
            raise InputError(
                f"--hypnogram and --picture belong to one night, and {len(paths)} were named: "
                "name one"
            )
        return [_write_trend(paths, out, clock, timezone)]
    (path,) = paths
    page = _page_path(out, page_of(path))
    check_place(page, PAGE)
    if picture is not None:
        check_place(picture, PICTURE)
    night, network = _reported(path, clock, hypnogram, timezone)
    write_private(page, night_page(night, network))
    if picture is not None:
        write_private(picture, picture_file(night))
    return [page, *([picture] if picture is not None else [])]


def night_files(
    names: Sequence[str],
    folder: Path,
    since: date | None = None,
    timezone: tzinfo | None = None,
) -> list[Path]:
    """Return the files of the nights that a person calls ``names``, in this order, each once.

    See `make_report`. Raises `InputError` if there is none.
    """
    found: dict[Path, None] = {}
    for name in names:
        if name != ALL:
            found[named_night(name, folder, timezone)] = None
            continue
        for night in listed_nights(folder):
            evening = night.evening(timezone)
            is_one = night.is_live and night.session is not None and not night.was_a_test
            if is_one and evening is not None and (since is None or evening >= since):
                found[night.path] = None
    if not found:
        raise InputError(
            f"no live night is stored in {folder}{f' since {since}' if since else ''}: name nights "
            "or files. sleep-monitor nights lists them"
        )
    return list(found)


def _reported(
    path: Path, clock: Clock, hypnogram: Path | None, timezone: tzinfo | None
) -> tuple[ReportedNight, KnownNetwork | None]:
    goes_on = is_being_written(path)
    record = read_night(path)
    if not record.n_epochs:
        raise InputError(f"{path} has no epoch yet: there is nothing to report")
    reader = partial(local_time, state=record.state, timezone=timezone)
    network = known_network(record.stored.weights_sha256)
    expert: ExpertStages | None = None
    if hypnogram is not None:
        expert = named_expert(hypnogram, record, reader)
    else:
        expert = found_expert(record, _recordings(record))
    made = clock.utc().astimezone(timezone)
    return ReportedNight(record, reader, made, goes_on, expert), network


def _recordings(record: NightRecord) -> list[Path]:
    """Return the folders where the recording of a replay may be found again."""
    return [record.path.parent, Path.cwd(), Path(str(files("monitor") / "demo"))]


def _write_trend(
    paths: Sequence[Path], out: Path | None, clock: Clock, timezone: tzinfo | None
) -> Path:
    nights, left_out = [], []
    for path in paths:
        try:
            record = read_night(path)
        except MonitorError as exc:
            left_out.append(one_line(exc))
            continue
        reader = partial(local_time, state=record.state, timezone=timezone)
        if record.n_epochs:
            nights.append(TrendNight.of(record, reader))
        else:
            left_out.append(f"{path} has no epoch")
    if not nights:
        raise InputError(f"none of the {len(paths)} nights can be read: {left_out[0]}")
    nights.sort(key=lambda night: night.start)
    first, last = nights[0].evening, nights[-1].evening
    page = _page_path(out, nights[-1].path.with_name(f"nights-{first}-to-{last}{PAGE}"))
    check_place(page, PAGE)
    made = clock.utc().astimezone(timezone)
    write_private(page, trend_page(nights, left_out, made))
    return page


def _page_path(out: Path | None, default: Path) -> Path:
    """Return where the page goes: ``out``, or ``default``'s name in the folder ``out``."""
    if out is None:
        return default
    return out / default.name if out.is_dir() else out


def check_place(path: Path, suffix: str) -> None:
    """Raise `InputError` unless ``path`` may be written: its name ends in ``suffix``, its folder
    exists, and a file that is there is one of the same kind."""
    if path.suffix.lower() != suffix:
        raise InputError(f"cannot write {path}: name a file that ends in {suffix}")
    try:
        if not path.parent.is_dir():
            raise InputError(f"cannot write {path}: there is no folder {path.parent}")
        if path.exists():
            begins = _BEGINNINGS[suffix]
            if not path.is_file():
                raise InputError(f"cannot write {path}: it is not a file; name one")
            with path.open("rb") as file:
                if file.read(len(begins)) not in (begins, b""):
                    raise InputError(f"{path} is a file of another kind: name another")
    except OSError as exc:
        raise InputError(f"cannot write {path}: {exc.strerror}; name another") from exc


def write_private(path: Path, text: str) -> None:
    """Write a page that only the user can read. Raises `MonitorError`."""
    try:
        with whole_file(path.resolve(), mode=0o600) as file:  # a night is private
            file.write(text.encode())
    except OSError as exc:
        raise MonitorError(
            f"cannot write {path}: {exc.strerror}; make room, or name another with --out"
        ) from exc


def make_in_time(paths: Sequence[Path], clock: Clock, limit_s: float) -> dict[Path, Path]:
    """Write the report of each night beside its file, within ``limit_s`` altogether; never raise.

    Return the pages that were finished, by night. At the end of a live night nothing may go wrong
    for a report's sake: it is made in a thread of its own, which is left if it takes longer.
    """
    made: dict[Path, Path] = {}
    late = threading.Event()

    def make() -> None:
        for path in paths:
            if late.is_set():
                return
            try:
                (page,) = make_report([str(path)], path.parent, clock)
            except Exception as exc:  # a fault of the report, and not of the night
                _log.warning("The report of %s was not made: %s", path, one_line(exc))
            else:
                made[path] = page

    thread = threading.Thread(target=make, name="report", daemon=True)
    thread.start()
    thread.join(limit_s)
    late.set()
    return dict(made)
