"""`summary.csv`: a row for each recording, written as they are done, and read again to resume."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from models.files import whole_file
from monitor.config import private_folder
from monitor.errors import InputError, MonitorError
from monitor.scoring.outputs import own_names
from monitor.scoring.row import COLUMNS, DONE, Row
from monitor.scoring.worker import Task
from monitor.sources.hypnogram_files import SCORED

NAME = "summary.csv"

_HEAD = ",".join(COLUMNS)
# A file's name may hold bytes that are no UTF-8.
_ERRORS = "surrogateescape"


class SummaryTable:
    """The table in a folder. One process at a time writes it.

    - Each row is in the file as soon as it is added: a process that is killed loses none.
    - Rows of recordings that this run does not name stay. At the end the rows are in order.
    """

    def __init__(self, folder: Path) -> None:
        """Open the table in ``folder``, which is made if needed.

        Raises `InputError` if it cannot be written, if another process writes it, or if a file of
        this name is there that is no such table.
        """
        self.path = folder / NAME
        self._folder = folder.resolve()
        self._lock = FileLock(folder / f".{NAME}.lock", mode=0o600)
        try:
            private_folder(folder)
            self._lock.acquire(timeout=0)
        except Timeout as exc:
            raise InputError(
                f"another sleep-monitor score writes {self.path}: let it finish, or name another "
                "folder with --out"
            ) from exc
        except OSError as exc:
            raise InputError(
                f"cannot write {self.path}: {exc.strerror}; name a folder with --out"
            ) from exc
        try:
            self._rows = self._read()
            self._write()
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let others write the table."""
        Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()

    def key(self, path: Path) -> str:
        """Return the name of ``path`` in the table: without the table's folder, if it is in it."""
        full = path.parent.resolve() / path.name  # a link to a recording keeps its own name
        inside = full.is_relative_to(self._folder)
        return str(full.relative_to(self._folder) if inside else full)

    def is_done(self, recording: Path, fingerprint: str) -> bool:
        """Return True if ``recording`` was staged with this fingerprint."""
        row = self._rows.get(self.key(recording), {"status": ""})
        return row["status"] == DONE and row["fingerprint"] == _sealed(row, fingerprint)

    def outputs(self, recordings: Sequence[Path], out: Path | None) -> dict[Path, Path]:
        """Return for each recording the beginning of the paths of its files, of no other.

        A recording keeps what it had before. Recordings of one name in different folders get
        numbers in ``out``.
        """
        taken = {_spelling(row["output"]): key for key, row in self._rows.items() if row["output"]}
        chosen, names = {}, own_names(recordings)
        for recording in recordings:
            key, folder = self.key(recording), recording.parent if out is None else out
            before = self._rows.get(key, {}).get("output", "")
            output, number = self._folder / before, 1
            if not before or output.parent != folder.resolve():
                output = folder / (names[recording] + SCORED)
                while taken.get(_spelling(self.key(output)), key) != key:
                    number += 1
                    output = folder / f"{names[recording]}-{number}{SCORED}"
            taken[_spelling(self.key(output))] = key
            chosen[recording] = output
        return chosen

    def add(self, task: Task, row: Row) -> None:
        """Append the row of a task. Raises `MonitorError` if that fails."""
        key = self.key(task.options.recording)
        more = {
            "file": key,
            "output": self.key(task.output) if row["status"] == DONE else "",
        }
        full = {name: row.get(name, "") for name in COLUMNS} | more
        self._rows[key] = full | {"fingerprint": _sealed(full, task.fingerprint)}
        try:
            with self.path.open("a", newline="", encoding="utf-8", errors=_ERRORS) as file:
                file.write(_lines([self._rows[key]]))
        except OSError as exc:
            raise MonitorError(str(self._failed(exc))) from exc

    def finish(self) -> None:
        """Write the rows in order. Raises `MonitorError` if that fails."""
        try:
            self._write()
        except InputError as exc:
            raise MonitorError(str(exc)) from exc

    def _read(self) -> dict[str, Row]:
        """Return the rows by file. A line that a killed process left unfinished is left out."""
        if not os.path.lexists(self.path):
            return {}
        try:
            text = self.path.read_text(encoding="utf-8-sig", errors=_ERRORS)
        except OSError as exc:
            raise InputError(f"cannot read {self.path}: {exc.strerror}") from exc
        # A spreadsheet may have saved the table with its own delimiter.
        first = text.removeprefix(COLUMNS[0])[:1]
        delimiter = first if first in (";", "\t") else ","
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        try:
            head = next(lines, [])
            if head[:3] != list(COLUMNS[:3]) or "fingerprint" not in head:
                raise InputError(
                    f"{self.path} is not from sleep-monitor score: move it away, or name another "
                    "folder with --out"
                )
            rows = [dict(zip(head, line, strict=True)) for line in lines if len(line) == len(head)]
        except csv.Error as exc:
            raise InputError(f"{self.path} is damaged ({exc}): move it away") from exc
        # The newest row of a file counts. Columns that this version does not know are left out.
        return {row["file"]: {name: row.get(name, "") for name in COLUMNS} for row in rows}

    def _write(self) -> None:
        rows = [self._rows[key] for key in sorted(self._rows)]
        try:
            with whole_file(self.path, mode=0o600) as file:  # nights are private
                file.write(f"{_HEAD}\r\n{_lines(rows)}".encode(errors=_ERRORS))
        except OSError as exc:
            raise self._failed(exc) from exc

    def _failed(self, exc: OSError) -> InputError:
        return InputError(
            f"cannot write {self.path}: {exc.strerror}; make room, or name a folder with --out"
        )


def _lines(rows: Iterable[Row]) -> str:
    text = io.StringIO(newline="")
    csv.DictWriter(text, COLUMNS).writerows(rows)
    return text.getvalue()


def _sealed(row: Row, fingerprint: str) -> str:
    """Return ``fingerprint`` with the values of ``row``: one that a spreadsheet changed differs."""
    values = [row[name] for name in COLUMNS if name != "fingerprint"]
    return hashlib.sha256(json.dumps([fingerprint, *values]).encode()).hexdigest()[:16]


def _spelling(path: Path | str) -> str:
    """Return ``path`` as systems that ignore case compare it."""
    return str(path).casefold()
