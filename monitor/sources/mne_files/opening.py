"""Open a file with MNE-Python: no warning and no exception of MNE's reaches the user."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from monitor.errors import InputError
from monitor.sources.extras import load_extra
from monitor.sources.mne_files.kinds import EEGLAB, FIF, MneKind
from monitor.text import clean

LONGEST_CHECK_S = 300.0
"""Seconds that a process may take to try a .set file. A night inside it takes some seconds."""

_TAG = struct.Struct(">iiii")
_HDF5 = b"\x89HDF"


def open_raw(path: Path, main: Path, kind: MneKind) -> Any:
    """Return MNE's ``Raw`` of ``main``; messages name ``path``, the file that the user gave.

    The samples stay in the file where MNE can leave them there. Raises `InputError` if the extra
    is not installed, or if MNE cannot read the file.
    """
    mne = load_extra("mne", path, f"a recording in the format {kind.name}")
    if kind is EEGLAB:
        _check_matlab(main)
    if kind is FIF:
        _check_tags(path, main)
    options = {"on_split_missing": "raise"} if kind is FIF else {}
    try:
        with quiet():
            raw = getattr(mne.io, kind.reader)(main, preload=False, verbose="CRITICAL", **options)
            if main.suffix.lower() == ".gz":
                raw.load_data(verbose="CRITICAL")  # each look into it would unpack its beginning
            return raw
    except (Exception, SystemExit) as exc:  # damaged bytes lead to any error
        raise InputError(_refusal(path, kind, exc)) from exc


@contextmanager
def quiet() -> Iterator[None]:
    """Let MNE neither warn nor log meanwhile.

    It warns of names of files, and of what `MneRecording.notes` reports.
    """
    import mne  # only with a file of MNE's, so that it is installed

    with warnings.catch_warnings(), np.errstate(all="ignore"), mne.use_log_level("CRITICAL"):
        warnings.simplefilter("ignore")
        yield


def _refusal(path: Path, kind: MneKind, exc: BaseException) -> str:
    reason = clean(f"{type(exc).__name__}: {exc}")
    if isinstance(exc, ImportError) or "could not be imported" in str(exc):
        return f"{path} is {kind.name}, for which MNE needs another package: {reason}"
    if isinstance(exc, FileNotFoundError) or "Split raw file detected" in str(exc):
        return f"{path} lacks a file that belongs to it ({reason}): copy all files of the recording"
    return f"{path} cannot be read as {kind.name} ({reason}): copy or export it again"


def _check_tags(path: Path, main: Path) -> None:
    """Raise `InputError` if the tags of a damaged FIF file lead back to one another.

    MNE follows them for ever. A tag is kind, type, size and the place of the next one, big-endian
    (FIFF 1.3).
    """
    try:
        packed = main.suffix.lower() == ".gz"
        with cast(IO[bytes], gzip.open(main) if packed else main.open("rb")) as file:
            at, seen = 0, set[int]()
            while at not in seen and len(header := _header_at(file, at)) == _TAG.size:
                seen.add(at)
                _, _, size, following = _TAG.unpack(header)
                if following < 0:
                    return
                at = following or at + _TAG.size + max(size, 0)
    except (OSError, EOFError, zlib.error) as exc:
        raise InputError(f"{path} cannot be read ({clean(str(exc))}): copy it again") from exc
    if at in seen:
        raise InputError(
            f"{path} is damaged: its parts lead back to byte {at:,}. Copy or export it again"
        )


def _header_at(file: IO[bytes], at: int) -> bytes:
    file.seek(at)
    return file.read(_TAG.size)


def _check_matlab(path: Path) -> None:
    """Raise `InputError` if a damaged .set crashes SciPy, whose reader checks no lengths.

    A process of its own tries it first, so that the crash does not end the monitor.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) == _HDF5:
                return
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror}") from exc
    code = "import sys; from scipy.io import loadmat; loadmat(sys.argv[1], squeeze_me=True)"
    command = [sys.executable, "-W", "ignore", "-c", code, str(path.absolute())]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LONGEST_CHECK_S
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise InputError(f"{path} cannot be read as EEGLAB: {clean(str(exc))}") from exc
    if done.returncode not in (0, 1):  # 1: an exception, which this process meets and reports
        raise InputError(
            f"{path} is damaged: SciPy crashes while it reads it. Copy or export it again"
        )
