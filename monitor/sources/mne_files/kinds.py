"""The formats that MNE-Python reads, and how a file of each is recognised."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from monitor.errors import InputError

_UTF8_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class MneKind:
    """A format of MNE's.

    - ``magic``: the first bytes of a file. A format without them is recognised by ``suffixes``, the
      ends of a file's name.
    - ``reader``: the function of ``mne.io`` that opens it.
    """

    name: str
    reader: str
    magic: tuple[bytes, ...] = ()
    suffixes: tuple[str, ...] = ()

    def recognises(self, head: bytes) -> bool:
        """Return True if a file that begins with ``head`` has this format."""
        return bool(self.magic) and head.removeprefix(_UTF8_MARK).startswith(self.magic)


BRAINVISION = MneKind(
    "BrainVision",
    "read_raw_brainvision",
    (b"Brain Vision Data Exchange", b"BrainVision Data Exchange"),
    (".vhdr", ".ahdr", ".vmrk", ".amrk"),
)
EEGLAB = MneKind("EEGLAB", "read_raw_eeglab", suffixes=(".set", ".fdt"))
FIF = MneKind(
    "FIF",
    "read_raw_fif",
    # The first tag is FIFF_FILE_ID (100), of the type 31, 20 bytes long.
    (b"\x00\x00\x00\x64\x00\x00\x00\x1f\x00\x00\x00\x14",),
    (".fif", ".fif.gz"),
)

MNE_KINDS = (
    BRAINVISION,
    EEGLAB,
    FIF,
    MneKind("GDF", "read_raw_gdf", (b"GDF 0", b"GDF 1", b"GDF 2"), (".gdf",)),
    MneKind("Nihon Kohden", "read_raw_nihon", (b"EEG-",)),
    MneKind("BrainVision", "read_raw_brainvision", suffixes=(".eeg",)),
    MneKind("Neuroscan or ANT CNT", "read_raw", suffixes=(".cnt",)),
    MneKind("EGI MFF", "read_raw", suffixes=(".mff",)),
    MneKind("Curry", "read_raw", suffixes=(".cdt", ".dap")),
    MneKind("Persyst", "read_raw", suffixes=(".lay",)),
    MneKind("Nexstim", "read_raw", suffixes=(".nxe",)),
    MneKind("StarStim", "read_raw", suffixes=(".nedf",)),
    MneKind("MEF3", "read_raw", suffixes=(".mefd",)),
    MneKind("Ripple or Blackrock NSx", "read_raw", suffixes=(".ns3",)),
    MneKind("CTF", "read_raw", suffixes=(".ds",)),
    MneKind("SNIRF", "read_raw", suffixes=(".snirf",)),
)
"""The formats, in the order in which they are tried. A .eeg is one of BrainVision's files unless
its first bytes are Nihon Kohden's."""

FOLDER_SUFFIXES = (".mff", ".ds", ".mefd")
"""Ends of the names of folders that are one recording."""

_HEADERS = {".eeg": ".vhdr", ".vmrk": ".vhdr", ".amrk": ".ahdr", ".fdt": ".set"}
_MARKERS = (".vmrk", ".amrk")
_FIF_PART = re.compile(r"-\d+(?=\.fif(\.gz)?$)", re.IGNORECASE)
_BIDS_PART = re.compile(r"_split-(?!0*1_)\d+_", re.IGNORECASE)


def main_file(path: Path, kind: MneKind) -> Path:
    """Return the file that MNE opens for ``path``: the header beside a data or marker file.

    Raises `InputError` if it is missing.
    """
    suffix = _HEADERS.get(path.suffix.lower())
    if suffix is None or kind.name not in (BRAINVISION.name, EEGLAB.name):
        return path
    if found := _beside(path, suffix):
        return found
    raise InputError(f"{path} lacks the {suffix} file that belongs to it: copy it beside this one")


def is_part(path: Path) -> bool:
    """Return True if ``path`` belongs to another file, which opens the recording.

    Such a file is BrainVision's data and markers, EEGLAB's .fdt, and a FIF file's later parts.
    """
    suffix = path.suffix.lower()
    if suffix in _HEADERS:
        # Data without their header are listed, so that the missing file is named.
        return suffix in _MARKERS or _beside(path, _HEADERS[suffix]) is not None
    first = _FIF_PART.sub("", path.name)
    return bool(_BIDS_PART.search(path.name) and suffix in (".fif", ".gz")) or (
        first != path.name and path.with_name(first).is_file()
    )


def _beside(path: Path, suffix: str) -> Path | None:
    """Return the file beside ``path`` with ``suffix``, in lower or upper case; None without one."""
    names = (path.with_suffix(suffix), path.with_suffix(suffix.upper()))
    return next((name for name in names if name.is_file()), None)
