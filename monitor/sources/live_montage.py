"""Choose the channels and derivations of a headband for a live night."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from monitor.errors import InputError
from monitor.sources.channel_names import is_eeg
from monitor.sources.derivation import (
    NamedChannel,
    RecordedChannel,
    RecordedDerivation,
    choose_derivation,
    preferred_derivations,
)
from monitor.types import Derivation, Montage

MAX_CANDIDATES = 4
"""Derivations that a live night chooses from: the conditioner judges each in every epoch."""


def live_montage(
    channels: Sequence[str],
    sfreq_hz: float,
    wanted: Sequence[str] = (),
    candidates: Sequence[str] = (),
) -> Montage:
    """Return the channels to condition and the derivations to choose from, the best one first.

    The first of these that gives any derivation decides, and at most `MAX_CANDIDATES` are used:

    1. ``wanted``: the user's names, as in `choose_derivation`;
    2. ``candidates``: those of the source's own names that exist among ``channels``;
    3. the pairs of `derivation.PREFERENCE`, then single electrodes, then the first channels.

    Raises `InputError` as `choose_derivation` does, and if more than `MAX_CANDIDATES` are wanted.
    """
    if len(wanted) > MAX_CANDIDATES:
        raise InputError(
            f"a night chooses from {MAX_CANDIDATES} derivations at most, {len(wanted)} were given "
            "with --channel"
        )
    offered: list[RecordedChannel] = [NamedChannel(name, sfreq_hz) for name in channels]
    if wanted:
        found = [choose_derivation(offered, name) for name in wanted]
    else:
        found = [
            RecordedDerivation.of(name, recorded, "")
            for name, recorded in _candidates(offered, candidates)
        ] or [choose_derivation(offered)]
    distinct = {each.name: each for each in found}
    chosen = list(distinct.values())[:MAX_CANDIDATES]
    used = [name for name in channels if any(name in each.recorded for each in chosen)]
    return Montage(
        tuple(used),
        tuple(Derivation(each.name, *map(used.index, each.recorded)) for each in chosen),
    )


def _candidates(
    offered: Sequence[RecordedChannel], candidates: Sequence[str]
) -> Iterator[tuple[str, list[RecordedChannel]]]:
    any_found = False
    for name in candidates:
        # A board's list may name channels that this headband lacks: skip those.
        with suppress(InputError):
            found = choose_derivation(offered, name)
            yield name, [c for part in found.recorded for c in offered if c.name == part]
            any_found = True
    if any_found:
        return
    preferred = list(preferred_derivations(offered))
    pairs = [(name, recorded) for name, recorded in preferred if len(recorded) == 2]
    # A source of EEG may name its channels 1, 2, ...: staging these is better than no night.
    singles = [c for c in offered if is_eeg(c.name)] or offered
    yield from pairs or preferred or ((each.name, [each]) for each in singles)
