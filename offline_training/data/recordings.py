"""The protocol of the nights that training reads, and their split by subject."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol, TypeVar

import numpy as np

from monitor.errors import InputError
from offline_training.arrays import F32, I64, Bool

HOLD_OUT_SEED = 2025
FOLD_SEED = 2026
"""Fixed seeds of the splits by subject, so that every run and every network has the same splits."""


class LabelledNight(Protocol):
    """A night of n contiguous 30-s epochs, conditioned as the monitor conditions them.

    - ``subject`` is unique over all data sets: two nights share it only if they are of one person.
    - ``stage``: int64 (n,), index into `models.contract.STAGES`; -1 if the expert scored none.
    - ``usable``: bool (n,), False if the monitor would leave the epoch unscored.
    - ``licence``: the conditions on weights trained on it, as the weights' card states them.
    - ``sha256``: checksum of its samples, or of the data they are made from. It changes if the
      samples change.
    """

    @property
    def name(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def dataset(self) -> str: ...
    @property
    def licence(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def stage(self) -> I64: ...
    @property
    def usable(self) -> Bool: ...

    def epochs_uv(self, start: int, stop: int) -> F32:
        """Return epochs ``start`` to ``stop``: float32 (stop - start, 3000), microvolts at 100 Hz.

        All values are finite: short losses are bridged as in staging, unusable epochs are zeros.
        """
        ...


class HasSubject(Protocol):
    """Anything that belongs to one person."""

    @property
    def subject(self) -> str: ...


T = TypeVar("T", bound=HasSubject)


def split_subjects(
    recordings: Sequence[T], n_folds: int, seed: int
) -> list[tuple[list[T], list[T]]]:
    """Split ``recordings`` by subject: return (rest, fold) for each of ``n_folds`` folds.

    No subject is on both sides, and each is in exactly one fold. Raises InputError if there are
    fewer subjects than folds.
    """
    subjects = sorted({one.subject for one in recordings})
    if not 2 <= n_folds <= len(subjects):
        raise InputError(
            f"folds must be from 2 to the number of subjects ({len(subjects)}), got {n_folds}"
        )
    order = np.random.default_rng(seed).permutation(len(subjects))
    folds = [{subjects[i] for i in order[k::n_folds]} for k in range(n_folds)]
    return [
        (
            [one for one in recordings if one.subject not in fold],
            [one for one in recordings if one.subject in fold],
        )
        for fold in folds
    ]


def hold_out_subjects(
    recordings: Sequence[T], one_in: int, known: Collection[str] = ()
) -> tuple[list[T], list[T]]:
    """Split ``recordings`` by subject into (train, held out); the same split at every call.

    One subject in ``one_in`` is held out. Subjects ``known`` from an earlier training are held out
    only if there are no others: the network has already seen them. Raises InputError if there are
    fewer than two subjects.
    """
    n_subjects = len({one.subject for one in recordings})
    folds = split_subjects(recordings, min(one_in, n_subjects), HOLD_OUT_SEED)
    queue = list(dict.fromkeys(one.subject for _, fold in folds for one in fold))
    n_held_out = len({one.subject for one in folds[0][1]})
    held_out = ([one for one in queue if one not in known] or queue)[:n_held_out]
    return (
        [one for one in recordings if one.subject not in held_out],
        [one for one in recordings if one.subject in held_out],
    )
