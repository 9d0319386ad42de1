"""Files fetched over HTTP until they hold exactly what was published."""

from __future__ import annotations

import random
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Protocol

from monitor.clock import Clock
from monitor.errors import InputError, MonitorError
from offline_training.data.files import PART, sha256_of, unwritable

TIMEOUT_S = 60.0
TRIES = 5
"""A file is given up after this many requests in a row that brought nothing more of it."""

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
GIVE_UP_AFTER = 3
"""The server is given up after this many files in a row that could not be fetched."""

_BLOCK_BYTES = 64 * 1024
_WORTH_RETRYING = {408, 425, 429, 500, 502, 503, 504}
_RANGE_NOT_SATISFIABLE = 416


class Wanted(Protocol):
    """A file to fetch: its path below the address, and what it must hold."""

    @property
    def path(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def bytes(self) -> int: ...


Progress = Callable[[int, int, str], None]
"""Called with the bytes that are there, the bytes of all files, and the path of this one."""


class FetchError(MonitorError):
    """One file could not be fetched."""


def fetch_all(
    base_url: str, wanted: Sequence[tuple[Wanted, Path]], progress: Progress, clock: Clock
) -> list[FetchError]:
    """Fetches what is missing, goes on with what is cut short, replaces what is wrong.

    Files that are there and right are only read. Returns one error for each file that could not
    be fetched; a server that fails again and again ends it early. A file takes its place when it
    is whole and right; until then it is called ``.part``.

    Raises InputError for an address that is not HTTP, MonitorError when the disk is full.
    """
    if urllib.parse.urlsplit(base_url).scheme not in ("http", "https"):
        raise InputError(f"--base-url must begin with https:// or http://, got '{base_url}'")
    todo = [(file, path) for file, path in wanted if not is_right(path, file)]
    total = sum(file.bytes for file, _ in wanted)
    done = total - sum(file.bytes for file, _ in todo)
    _check_room(todo)
    errors: list[FetchError] = []
    failed_in_a_row = 0
    for file, path in todo:

        def tell(there: int, before: int = done, name: str = file.path) -> None:
            progress(before + there, total, name)

        url = urllib.parse.urljoin(base_url.rstrip("/") + "/", urllib.parse.quote(file.path))
        try:
            fetch(url, file, path, tell, clock)
            failed_in_a_row = 0
        except FetchError as exc:
            errors.append(exc)
            failed_in_a_row += 1
            if failed_in_a_row == GIVE_UP_AFTER:
                break
        done += file.bytes
        tell(file.bytes)
    return errors


def fetch(
    url: str, file: Wanted, path: Path, progress: Callable[[int], None], clock: Clock
) -> None:
    """Makes ``path`` hold ``file``. Raises FetchError when the server does not give it.

    A part that is there is gone on with, as is a file that is too short; what has the right size
    and is wrong is fetched anew, once.
    """
    part = path.with_name(path.name + PART)
    try:
        if 0 < _size(path) < file.bytes:
            path.replace(part)
        path.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(2):
            _complete(url, file, part, progress, clock)
            if is_right(part, file):
                part.replace(path)
                return
            part.unlink(missing_ok=True)
    except OSError as exc:
        raise unwritable(path, exc) from exc
    raise FetchError(f"{url} is not the published file, fetched twice: its checksum differs")


def _complete(
    url: str, file: Wanted, part: Path, progress: Callable[[int], None], clock: Clock
) -> None:
    """Asks for what ``part`` lacks until it has the published size, or the server's end."""
    failures, most = 0, _size(part)
    while _size(part) < file.bytes:
        why = "the connection was closed early"
        try:
            _append(url, file, part, progress)
        except urllib.error.HTTPError as exc:
            exc.close()
            if exc.code == _RANGE_NOT_SATISFIABLE:  # the server's file is shorter
                return
            why = f"{exc.code} {exc.reason}"
            if exc.code not in _WORTH_RETRYING:
                raise FetchError(f"{url} cannot be fetched: {why}") from exc
        except _ConnectionError as exc:
            why = str(exc)
        if _size(part) > most:
            failures, most = 0, _size(part)
            continue
        failures += 1
        if failures == TRIES:
            raise FetchError(f"{url} cannot be fetched: {why}, {TRIES} times")
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (failures - 1))
        clock.sleep(wait_s * random.uniform(0.5, 1.0))


def _append(url: str, file: Wanted, part: Path, progress: Callable[[int], None]) -> None:
    """One request: what comes is added to ``part``, or takes its place if it is the whole file."""
    there = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={there}-"} if there else {})
    try:
        response: HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError:
        raise
    except (OSError, HTTPException) as exc:
        raise _ConnectionError(_reason(exc)) from exc
    with response:
        goes_on = response.status == 206
        if goes_on and not response.headers.get("Content-Range", "").startswith(f"bytes {there}-"):
            raise _ConnectionError("the server sent another part than was asked for")
        if not goes_on:
            there = 0
        with part.open("ab" if goes_on else "wb") as out:
            while there <= file.bytes:  # one block beyond it tells that it is another file
                try:
                    block = response.read(_BLOCK_BYTES)
                except (OSError, HTTPException) as exc:
                    raise _ConnectionError(_reason(exc)) from exc
                if not block:
                    return
                out.write(block)
                there += len(block)
                progress(there)


class _ConnectionError(Exception):
    """The server could not be reached, or stopped answering."""


def _reason(exc: OSError | HTTPException) -> str:
    if isinstance(exc, urllib.error.URLError):
        return str(exc.reason)
    return str(exc) or type(exc).__name__


def _size(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def is_right(path: Path, file: Wanted) -> bool:
    return _size(path) == file.bytes and sha256_of(path) == file.sha256


def _check_room(todo: Sequence[tuple[Wanted, Path]]) -> None:
    if not todo:
        return
    needed = sum(file.bytes - _size(path.with_name(path.name + PART)) for file, path in todo)
    folder = next(parent for parent in todo[0][1].absolute().parents if parent.is_dir())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"the disk of {folder} has {free / 1e9:.1f} GB free and {needed / 1e9:.1f} GB are to "
            "be fetched: make room or choose another --root"
        )
