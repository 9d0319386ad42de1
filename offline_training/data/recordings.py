"""What training reads: nights of conditioned epochs with expert stages, wherever they come from."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol, TypeVar

import numpy as np

from monitor.errors import InputError
from offline_training.arrays import F32, I64, Bool

HOLD_OUT_SEED = 2025


class Recording(Protocol):
    """One night, n contiguous 30-s epochs, conditioned as the monitor conditions them.

    - ``subject`` is unique over all data sets: two nights of one person share it, and no other.
    - ``stage``: int64 (n,), index into `models.contract.STAGES`; -1 where the expert scored none.
    - ``usable``: bool (n,), False where the monitor would leave the epoch unscored.
    - ``licence``: what may be done with weights trained on it, as their card says it.
    - ``sha256`` of its samples, or of what they are made from: another one, other samples.
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
        """Epochs ``start`` to ``stop``, float32 (stop - start, 3000), microvolts at 100 Hz.

        Always finite: short losses are bridged as in staging, unusable epochs are zeros.
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
    """(rest, fold) for each of ``n_folds`` folds of subjects; no subject is ever in both."""
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
    recordings: Sequence[T], share: int, known: Collection[str] = ()
) -> tuple[list[T], list[T]]:
    """(train, held out): one subject in ``share``, the same at every call.

    Subjects ``known`` from an earlier training are held out only where there are no others.
    """
    subjects = len({one.subject for one in recordings})
    folds = split_subjects(recordings, min(share, subjects), HOLD_OUT_SEED)
    queue = list(dict.fromkeys(one.subject for _, fold in folds for one in fold))
    wanted = len({one.subject for one in folds[0][1]})
    chosen = ([one for one in queue if one not in known] or queue)[:wanted]
    return (
        [one for one in recordings if one.subject not in chosen],
        [one for one in recordings if one.subject in chosen],
    )
