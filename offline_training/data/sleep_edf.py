"""Sleep-EDF Expanded 1.0.0: 153 cassette and 44 telemetry nights (Kemp et al. 2000; PhysioNet)."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from monitor.errors import InputError
from offline_training.data.condition import SourceRecording
from offline_training.data.download import is_published
from offline_training.data.left_out import LeftOut
from offline_training.data.licences import ODC_BY

BASE_URL = "https://physionet.org/files/sleep-edfx/1.0.0/"
CHECKSUMS = Path(str(files("offline_training") / "data" / "sleep_edf_sha256.csv"))

# SC4ssN: subject ss and night N of the cassette study. ST7ssN: the same of the telemetry study,
# whose subjects are other people.
_NIGHT = re.compile(r"(SC4|ST7)(\d{2})\d")
_DATASETS = {"SC4": "sleep-edf-cassette", "ST7": "sleep-edf-telemetry"}


@dataclass(frozen=True, slots=True)
class Published:
    """A file as PhysioNet published it: its path below `BASE_URL`, its SHA-256 and its size."""

    path: str
    sha256: str
    bytes: int

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def dataset(self) -> str | None:
        night = _NIGHT.match(self.name)
        return None if night is None else _DATASETS[night[1]]


def subject_of(path: Path) -> str | None:
    """Return the subject that a file's name states; None if it is not from Sleep-EDF."""
    night = _NIGHT.match(path.name.upper())
    return None if night is None else f"{_DATASETS[night[1]]}-{night[2]}"


def read_checksums(path: Path) -> list[Published]:
    """Read the table in ``path``: CSV with the columns path, sha256 and bytes.

    Raises InputError if it cannot be read, lacks a column or names a file outside the data set.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [
                Published(row["path"], row["sha256"].lower(), int(row["bytes"]))
                for row in csv.DictReader(file)
            ]
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror}") from exc
    except (KeyError, ValueError, TypeError, AttributeError) as exc:
        raise InputError(f"{path} is not a table of path,sha256,bytes") from exc
    # A table from elsewhere must not make --download write outside --root.
    if any(".." in Path(row.path).parts or Path(row.path).is_absolute() for row in rows):
        raise InputError(f"{path} names files outside the data set's folder")
    return rows


def local_files(root: Path, published: Sequence[Published]) -> dict[str, Path]:
    """Return the local path of each published file, by its name.

    A file is found by name in any folder below ``root``. The path of a missing file is the place
    where a download puts it.
    """
    found = defaultdict[str, list[Path]](list)
    for path in sorted(root.rglob("*.edf")):
        found[path.name].append(path)
    return {file.name: _local_path(found[file.name], file, root) for file in published}


def _local_path(found: Sequence[Path], file: Published, root: Path) -> Path:
    """Return the path of ``file``; if several have its name, the one with its content."""
    if len(found) < 2:
        return found[0] if found else root / file.path
    return next((path for path in found if is_published(path, file)), found[0])


def sleep_edf_sources(
    published: Sequence[Published], paths_by_name: dict[str, Path], channel: str
) -> tuple[list[SourceRecording], list[LeftOut]]:
    """Return the nights whose two files have the published size, and the nights left out.

    A recording and its hypnogram share the first six characters of their names. Checksums are
    compared later, when the night is prepared. A night with neither file is in neither list.
    """
    sources, left_out = [], []
    for name, pair in sorted(_nights(published).items()):
        paths = [paths_by_name[file.name] for file in pair]
        if not any(path.is_file() for path in paths):
            continue
        wrong = [_wrong(path, file) for path, file in zip(paths, pair, strict=True)]
        if reason := wrong[0] or wrong[1]:
            left_out.append(LeftOut(name, reason))
            continue
        dataset, subject = pair[0].dataset, subject_of(paths[0])
        assert dataset is not None and subject is not None, "only nights are paired"
        sources.append(
            SourceRecording(
                dataset=dataset,
                name=name,
                subject=subject,
                licence=ODC_BY,
                recording=paths[0],
                hypnogram=paths[1],
                channels=(channel,),
                published=tuple(file.sha256 for file in pair),
            )
        )
    return sources, left_out


def _wrong(path: Path, file: Published) -> str | None:
    """Describe the problem if ``path`` is missing or has another size; None if it is fine."""
    if not path.is_file():
        return f"{path} is missing: fetch it with --download"
    size = path.stat().st_size
    if size == file.bytes:
        return None
    return f"{path} has {size} bytes, published are {file.bytes}: fetch it with --download"


def _nights(published: Sequence[Published]) -> dict[str, tuple[Published, Published]]:
    """Return (PSG, hypnogram) by the six characters that name subject and night."""
    kinds = {"PSG.edf": 0, "Hypnogram.edf": 1}
    nights: dict[str, dict[int, Published]] = {}
    for file in published:
        kind = kinds.get(file.name.partition("-")[2])
        if file.dataset is not None and kind is not None:
            nights.setdefault(file.name[:6], {})[kind] = file
    return {name: (each[0], each[1]) for name, each in nights.items() if len(each) == 2}
