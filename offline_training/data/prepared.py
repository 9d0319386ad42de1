"""Load prepared recordings, as training reads them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.contract import EPOCH_SAMPLES
from monitor.errors import InputError
from offline_training.arrays import F32, I64, Bool
from offline_training.data.condition import CONDITIONING
from offline_training.data.files import sha256_of
from offline_training.data.layout import (
    INDEX,
    Card,
    card_path,
    damaged_error,
    read_json,
    samples_path,
)

_EPOCH_BYTES = EPOCH_SAMPLES * np.dtype(np.float32).itemsize


@dataclass(frozen=True, slots=True, eq=False)
class PreparedRecording:
    """A `LabelledNight` whose samples stay on disk.

    - ``stage``, int64 (n,), and ``usable``, bool (n,), are in memory.
    - No file is held open, so any number of recordings can be loaded and sent to other processes.
    - ``first_byte`` is the position of the first sample in the file. It is kept because training
      reads millions of single epochs, and parsing the file's header each time would cost more.
    """

    card: Card
    path: Path
    first_byte: int
    stage: I64
    usable: Bool

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def subject(self) -> str:
        return self.card.subject

    @property
    def dataset(self) -> str:
        return self.card.dataset

    @property
    def licence(self) -> str:
        return self.card.licence

    @property
    def sha256(self) -> str:
        return self.card.sha256

    def epochs_uv(self, start: int, stop: int) -> F32:
        """Read epochs ``start`` to ``stop``: float32 (stop - start, 3000), microvolts at 100 Hz.

        Raises ValueError if the recording has no such epochs, InputError if the file is missing or
        has another size than its card states.
        """
        n = self.card.n_epochs
        if not 0 <= start <= stop <= n:
            raise ValueError(f"epochs must be within 0 to {n}, got {start} to {stop}")
        epochs_uv = np.empty((stop - start, EPOCH_SAMPLES), np.float32)
        try:
            with self.path.open("rb", buffering=0) as file:
                whole = os.fstat(file.fileno()).st_size == self.card.bytes
                file.seek(self.first_byte + start * _EPOCH_BYTES)
                whole &= file.readinto(epochs_uv.data) == epochs_uv.nbytes
        except OSError as exc:
            raise damaged_error(self.path) from exc
        if not whole:
            raise damaged_error(self.path)
        return epochs_uv


def load_prepared(root: Path) -> list[PreparedRecording]:
    """Load every recording that `sleep-train prepare` wrote into ``root``, by data set and name.

    File sizes are compared with the cards; contents are not (`is_damaged` compares them).

    Raises InputError if there is no recording, or if one is missing, has another size, or was
    conditioned with other constants than the monitor has now.
    """
    index = read_json(root / INDEX) if (root / INDEX).is_file() else {"recordings": []}
    try:
        names = [(str(each["dataset"]), str(each["name"])) for each in index["recordings"]]
    except (KeyError, TypeError) as exc:
        raise InputError(
            f"{root / INDEX} is damaged: run the same sleep-train prepare again"
        ) from exc
    if not names:
        raise InputError(
            f"{root} holds no prepared recordings: make them with sleep-train prepare ... "
            f"--out {root}"
        )
    return [_open(root, dataset, name) for dataset, name in names]


def is_damaged(recording: PreparedRecording) -> bool:
    """Return True if the samples differ from those written. Reads all of them; raises OSError."""
    return sha256_of(recording.path) != recording.card.sha256


def _open(root: Path, dataset: str, name: str) -> PreparedRecording:
    card = Card.read(card_path(root, dataset, name))
    path = samples_path(root, dataset, name)
    if card.conditioning != CONDITIONING:
        raise InputError(
            f"{path} was conditioned by another version of this program: "
            "run the same sleep-train prepare again"
        )
    try:
        size = path.stat().st_size
    except OSError as exc:
        raise InputError(f"{path} is missing: run the same sleep-train prepare again") from exc
    if size != card.bytes:
        raise damaged_error(path)
    try:
        samples = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as exc:
        raise damaged_error(path) from exc
    if samples.shape != (card.n_epochs, EPOCH_SAMPLES) or samples.dtype != np.float32:
        raise damaged_error(path)
    usable = np.ones(card.n_epochs, np.bool_)
    for epochs in card.unusable.values():
        usable[epochs] = False
    stage = np.array(card.stages, np.int64)
    return PreparedRecording(card, path, samples.offset, stage, usable)
