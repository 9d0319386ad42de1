"""Fetch files over HTTP until they hold exactly the published content."""

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

from models.files import PART
from monitor.clock import Clock
from monitor.errors import InputError, MonitorError, one_line
from offline_training.data.files import sha256_of, write_error

TIMEOUT_S = 60.0
TRIES = 5
"""Number of requests in a row without a new byte after which a file is given up."""

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
GIVE_UP_AFTER = 3
"""Number of failed files in a row after which the server is given up."""

_BLOCK_BYTES = 64 * 1024
_WORTH_RETRYING = {408, 425, 429, 500, 502, 503, 504}
_RANGE_NOT_SATISFIABLE = 416


class RemoteFile(Protocol):
    """A file to fetch: its path below the base URL, and the SHA-256 and size it must have."""

    @property
    def path(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def bytes(self) -> int: ...


Progress = Callable[[int, int, str], None]
"""Called with the bytes present so far, the bytes of all files, and the current file's path."""


class FetchError(MonitorError):
    """A file could not be fetched."""


def fetch_all(
    base_url: str, files: Sequence[tuple[RemoteFile, Path]], progress: Progress, clock: Clock
) -> list[FetchError]:
    """Fetch missing files, complete partial ones and replace wrong ones.

    A file that is already correct is only read. While a file is being fetched its name ends in
    ``.part``; it gets its own name once it is whole and its checksum matches. Returns one error for
    each file that could not be fetched. After `GIVE_UP_AFTER` failures in a row the rest is not
    tried.

    Raises InputError if the address is not HTTP or the disk is too small, MonitorError if a file
    cannot be written.
    """
    if urllib.parse.urlsplit(base_url).scheme not in ("http", "https"):
        raise InputError(f"--base-url must begin with https:// or http://, got '{base_url}'")
    todo = [(file, path) for file, path in files if not is_published(path, file)]
    total = sum(file.bytes for file, _ in files)
    done = total - sum(file.bytes for file, _ in todo)
    _check_room(todo)
    errors: list[FetchError] = []
    failed_in_a_row = 0
    for file, path in todo:
        # The defaults bind this round's values: a closure would see those of a later round.
        def report(present: int, before: int = done, name: str = file.path) -> None:
            progress(before + present, total, name)

        url = urllib.parse.urljoin(base_url.rstrip("/") + "/", urllib.parse.quote(file.path))
        try:
            fetch(url, file, path, report, clock)
            failed_in_a_row = 0
        except FetchError as exc:
            errors.append(exc)
            failed_in_a_row += 1
            if failed_in_a_row == GIVE_UP_AFTER:
                break
        done += file.bytes
        report(file.bytes)
    return errors


def fetch(
    url: str, file: RemoteFile, path: Path, progress: Callable[[int], None], clock: Clock
) -> None:
    """Make ``path`` hold ``file``; call ``progress`` with the bytes present so far.

    A partial file, under ``path`` or its ``.part`` name, is completed. A file of the right size but
    with another checksum is fetched again from the start, once.

    Raises FetchError if the server does not deliver the published file, MonitorError if it cannot
    be written.
    """
    part = path.with_name(path.name + PART)
    try:
        if 0 < _size(path) < file.bytes:
            path.replace(part)
        path.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(2):
            _complete(url, file, part, progress, clock)
            if is_published(part, file):
                part.replace(path)
                return
            part.unlink(missing_ok=True)
    except OSError as exc:
        raise write_error(path, exc) from exc
    raise FetchError(f"{url} is not the published file, fetched twice: its checksum differs")


def _complete(
    url: str, file: RemoteFile, part: Path, progress: Callable[[int], None], clock: Clock
) -> None:
    """Request the missing rest of ``part`` until it has the published size.

    Also returns if the server's file is shorter: the caller's checksum then finds the difference.
    """
    failures, most = 0, _size(part)
    while _size(part) < file.bytes:
        reason = "the connection was closed early"
        try:
            _append(url, file, part, progress)
        except urllib.error.HTTPError as exc:
            exc.close()
            if exc.code == _RANGE_NOT_SATISFIABLE:  # The server's file is shorter.
                return
            reason = f"{exc.code} {exc.reason}"
            if exc.code not in _WORTH_RETRYING:
                raise FetchError(f"{url} cannot be fetched: {reason}") from exc
        except _ConnectionError as exc:
            reason = str(exc)
        if _size(part) > most:
            failures, most = 0, _size(part)
            continue
        failures += 1
        if failures == TRIES:
            raise FetchError(f"{url} cannot be fetched: {reason}, {TRIES} times")
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (failures - 1))
        clock.sleep(wait_s * random.uniform(0.5, 1.0))


def _append(url: str, file: RemoteFile, part: Path, progress: Callable[[int], None]) -> None:
    """Send one request and append the reply to ``part``; a reply with the whole file replaces it.

    Raises `_ConnectionError` if the connection fails, HTTPError if the server reports an error.
    """
    present = _size(part)
    headers = {"Range": f"bytes={present}-"} if present else {}
    request = urllib.request.Request(url, headers=headers)
    try:
        response: HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError:
        raise
    except (OSError, HTTPException) as exc:
        raise _ConnectionError(_reason(exc)) from exc
    with response:
        partial = response.status == 206
        content_range = response.headers.get("Content-Range", "")
        if partial and not content_range.startswith(f"bytes {present}-"):
            raise _ConnectionError("the server sent another part than was requested")
        if not partial:  # Simple servers ignore the Range header and send everything.
            present = 0
        with part.open("ab" if partial else "wb") as out:
            # Reading one block beyond the published size shows that it is another file.
            while present <= file.bytes:
                try:
                    block = response.read(_BLOCK_BYTES)
                except (OSError, HTTPException) as exc:
                    raise _ConnectionError(_reason(exc)) from exc
                if not block:
                    return
                out.write(block)
                present += len(block)
                progress(present)


class _ConnectionError(Exception):
    """The server could not be reached, or stopped sending."""


def _reason(exc: OSError | HTTPException) -> str:
    # urllib wraps the real error of a failed connection; the wrapper's text repeats it in brackets.
    cause = exc.reason if isinstance(exc, urllib.error.URLError) else exc
    return one_line(cause) if isinstance(cause, BaseException) else cause


def _size(path: Path) -> int:
    """Return the file's size in bytes, 0 if there is no file."""
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def is_published(path: Path, file: RemoteFile) -> bool:
    """Return True if ``path`` holds exactly the published content of ``file``. Reads it all."""
    return _size(path) == file.bytes and sha256_of(path) == file.sha256


def _check_room(todo: Sequence[tuple[RemoteFile, Path]]) -> None:
    """Raise InputError if the disk of the first file has no room for all of ``todo``."""
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
