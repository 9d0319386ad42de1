"""The folder of prepared recordings, which `sleep-train prepare` writes and training reads.

::

    PREPARED/index.json                 every recording: name, data set, subject, licence, size
    PREPARED/<dataset>/<name>.npy       float32 (n, 3000), microvolts at 100 Hz
    PREPARED/<dataset>/<name>.json      stages, unusable epochs, origin, checksums (`Card`)

A card exists only while its samples are whole: it is removed before they are replaced, and written
after them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import models.reading
from models.contract import STAGES, Gain
from monitor.errors import InputError
from offline_training.data.condition import CONDITIONING, ConditionedNight, SourceRecording
from offline_training.data.files import sha256_of, write_error, write_whole

LAYOUT_VERSION = 2
"""Version of this layout. Files of another version are refused."""

INDEX = "index.json"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that a recording was prepared from.

    ``modified_ns``, the modification time, shows without reading the file that it is unchanged.
    """

    name: str
    bytes: int
    modified_ns: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> SourceFile:
        """Describe ``path`` as it is now; read all of it for the checksum. Raises OSError."""
        stat = path.stat()
        return cls(path.name, stat.st_size, stat.st_mtime_ns, sha256_of(path))

    def is_still(self, path: Path) -> bool:
        """Return True if ``path`` has the same name and content. Raises OSError.

        Equal size and time count as equal content; if only the times differ, the file is read.
        """
        stat = path.stat()
        if (path.name, stat.st_size) != (self.name, self.bytes):
            return False
        return stat.st_mtime_ns == self.modified_ns or sha256_of(path) == self.sha256


@dataclass(frozen=True, slots=True)
class Card:
    """Everything known of a prepared recording of n epochs, except its samples.

    - ``stages``: n indices into `models.contract.STAGES`; -1 if the expert scored none.
    - ``unusable``: the epochs that the monitor leaves unscored, by its reason; samples are zeros.
    - ``channels`` are the channels that were requested, ``channel`` is the one that was used.
    - ``wake_min``: minutes of wake kept around sleep; None if nothing was cut off.
    - ``gain``: the gain with which signal quality was judged.
    - Epoch 0 is ``first_epoch`` on the recording's grid, which begins ``origin_s`` after its start.
    - ``notes``: what the user must know about the recording and its stages.
    - ``sha256`` and ``bytes`` are those of the ``.npy`` file.
    """

    name: str
    dataset: str
    subject: str
    licence: str
    channels: tuple[str, ...]
    channel: str
    source_sfreq_hz: float
    wake_min: float | None
    gain: Gain
    origin_s: float
    first_epoch: int
    stages: tuple[int, ...]
    unusable: dict[str, list[int]]
    sources: tuple[SourceFile, ...]
    sha256: str
    bytes: int
    conditioning: dict[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def n_epochs(self) -> int:
        return len(self.stages)

    def is_current(self, source: SourceRecording) -> bool:
        """Return True if ``source`` would be prepared to this recording again. Raises OSError."""
        return (
            self.conditioning == CONDITIONING
            and (self.subject, self.licence) == (source.subject, source.licence)
            and (self.channels, self.wake_min) == (source.channels, source.wake_min)
            and self.gain == source.gain
            and len(self.sources) == len(source.files)
            and all(map(SourceFile.is_still, self.sources, source.files))
            and source.published in ((), tuple(known.sha256 for known in self.sources))
        )

    def to_json(self) -> dict[str, Any]:
        return {"layout": LAYOUT_VERSION, **asdict(self)}

    @classmethod
    def read(cls, path: Path) -> Card:
        """Read the card in ``path``. Raises InputError if it is missing or damaged."""
        raw = read_json(path)
        try:
            return cls(
                **{
                    **{key: value for key, value in raw.items() if key != "layout"},
                    "channels": tuple(raw["channels"]),
                    "gain": Gain(raw["gain"]),
                    "stages": tuple(raw["stages"]),
                    "notes": tuple(raw.get("notes", ())),
                    "sources": tuple(SourceFile(**each) for each in raw["sources"]),
                }
            )
        except (ValueError, KeyError, TypeError) as exc:
            raise damaged_error(path) from exc

    def __post_init__(self) -> None:
        if not set(self.stages) <= set(range(-1, len(STAGES))):
            raise ValueError(f"stages must be -1 to {len(STAGES) - 1}, got {set(self.stages)}")
        unusable = [epoch for epochs in self.unusable.values() for epoch in epochs]
        if not all(0 <= epoch < self.n_epochs for epoch in unusable):
            raise ValueError(f"unusable epochs must be 0 to {self.n_epochs - 1}, got {unusable}")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of this layout.

    Raises InputError if it is missing, is damaged or has another layout version.
    """
    try:
        raw = models.reading.read_json(path)
    except FileNotFoundError as exc:
        raise InputError(f"{path} is missing: run the same sleep-train prepare again") from exc
    except models.reading.UnreadableError as exc:
        raise InputError(f"{damaged_error(path)} (it {exc})") from exc
    if not isinstance(raw, dict):
        raise damaged_error(path)
    if raw.get("layout") != LAYOUT_VERSION:
        raise InputError(
            f"{path} has layout {raw.get('layout')}, this program's is {LAYOUT_VERSION}: "
            "prepare into another folder"
        )
    return raw


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` on one line. Raises MonitorError if that fails."""
    text = json.dumps(content, separators=(",", ":")) + "\n"
    write_whole(path, lambda file: file.write(text.encode()))


def damaged_error(path: Path) -> InputError:
    """Return the error to raise because a prepared file is damaged."""
    return InputError(f"{path} is damaged: remove it and run the same sleep-train prepare again")


def samples_path(out: Path, dataset: str, name: str) -> Path:
    return out / dataset / f"{name}.npy"


def card_path(out: Path, dataset: str, name: str) -> Path:
    return out / dataset / f"{name}.json"


def write_recording(
    out: Path, source: SourceRecording, files: tuple[SourceFile, ...], night: ConditionedNight
) -> Card:
    """Write ``night``, made from ``files``, in place of any earlier version in ``out``.

    Returns its card. Raises MonitorError if writing fails.
    """
    samples = samples_path(out, source.dataset, source.name)
    remove_recording(out, source)
    write_whole(samples, lambda file: np.lib.format.write_array(file, night.epochs_uv))
    card = Card(
        name=source.name,
        dataset=source.dataset,
        subject=source.subject,
        licence=source.licence,
        channels=source.channels,
        channel=night.channel,
        source_sfreq_hz=night.source_sfreq_hz,
        wake_min=source.wake_min,
        gain=source.gain,
        origin_s=night.origin_s,
        first_epoch=night.first_epoch,
        stages=night.stages,
        unusable=night.unusable,
        sources=files,
        sha256=sha256_of(samples),
        bytes=samples.stat().st_size,
        conditioning=CONDITIONING,
        notes=night.notes,
    )
    write_json(card_path(out, source.dataset, source.name), card.to_json())
    return card


def remove_recording(out: Path, source: SourceRecording) -> None:
    """Remove the card, so that readers no longer find the recording. Raises MonitorError."""
    card = card_path(out, source.dataset, source.name)
    try:
        card.unlink(missing_ok=True)
    except OSError as exc:
        raise write_error(card, exc) from exc
