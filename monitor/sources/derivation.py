"""Choose the EEG derivation of a recording that is staged."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

from monitor.errors import InputError
from monitor.sources.channel_names import is_eeg, is_other_signal, name_key, short_name
from monitor.types import MAX_SFREQ_HZ, MIN_SFREQ_HZ

PREFERENCE = (
    "Fpz-Cz",  # the network is trained on it (Sleep-EDF)
    "AF7-TP9",  # Muse headbands: also the forehead, against the ear
    "AF8-TP10",
    "AF7-TP10",  # the other ear, in case an ear electrode has lost contact
    "AF8-TP9",
    "Fpz-M2",
    "Fpz-M1",
    "Fp1-M2",
    "Fp2-M1",
    "F3-M2",  # frontal against the opposite mastoid: AASM Manual
    "F4-M1",
    "Fz-Cz",
    "Fz-M2",
    "Fz-M1",
    "C3-M2",
    "C4-M1",
    "Cz-M2",
    "Cz-M1",
)
"""Derivations to try, best first, if the user names none. A1 and A2 count as M1 and M2."""

# fmt: off
PREFERRED_ELECTRODES = (
    "Fpz", "AF7", "AF8", "Fp1", "Fp2", "AFz", "Fz", "F3", "F4", "Cz", "C3", "C4",
)
# fmt: on
"""Electrodes to try after `PREFERENCE`, best first, with whatever reference they were recorded."""


_LISTED = 500
"""Letters of channel names in a message: a recording may have thousands of channels."""


class RecordedChannel(Protocol):
    """A channel that a source offers: its name and its sampling rate."""

    @property
    def name(self) -> str: ...

    @property
    def sfreq_hz(self) -> float: ...


@dataclass(frozen=True, slots=True)
class NamedChannel:
    """A `RecordedChannel` with nothing but a name and a rate."""

    name: str
    sfreq_hz: float


@dataclass(frozen=True, slots=True)
class RecordedDerivation:
    """A signal to stage: a recorded channel, or the difference of two.

    - ``recorded``: the source's own names of the one or two channels. The second is subtracted
      from the first. Both have the rate ``sfreq_hz``.
    - ``why``: the reason for the choice, a sentence for the user.
    """

    name: str
    recorded: tuple[str, ...]
    sfreq_hz: float
    why: str

    @classmethod
    def of(cls, name: str, channels: Sequence[RecordedChannel], why: str) -> RecordedDerivation:
        """Derive the signal ``name`` from one channel, or from two of the same rate."""
        return cls(name, tuple(c.name for c in channels), channels[0].sfreq_hz, why)


def choose_derivation(
    channels: Sequence[RecordedChannel], wanted: str | None = None
) -> RecordedDerivation:
    """Return the derivation ``wanted``, or the best one that ``channels`` allow.

    ``wanted`` is a recorded name, in any case, with or without 'EEG ' before it and a common
    reference such as '-REF' after it. It may also be two names, such as 'F3-M2'; a channel that
    was recorded under this very name comes first.

    Without ``wanted``: `PREFERENCE`, then `PREFERRED_ELECTRODES`, then the first EEG channel; never
    EOG, EMG, ECG or breathing.

    Raises `InputError` if no channel or more than one matches, if the channel is slower than 80 Hz
    or faster than 50 kHz, or if the two channels of a derivation have different rates.
    """
    if wanted is not None:
        return _named(channels, wanted)
    usable = [c for c in channels if MIN_SFREQ_HZ <= c.sfreq_hz <= MAX_SFREQ_HZ]
    if not usable:
        raise InputError(
            f"no channel is sampled at {MIN_SFREQ_HZ:g} Hz or more, which staging needs: "
            f"recorded are {_listing(channels)}"
        )
    for name, recorded in preferred_derivations(usable):
        why = (
            f"Staging {name}, the derivation the network is trained on."
            if name_key(name) == name_key(PREFERENCE[0])
            else f"Staging {name}, the closest to {PREFERENCE[0]} among the recorded channels "
            "(choose another with --channel)."
        )
        return RecordedDerivation.of(name, recorded, why)
    eeg = [c for c in usable if is_eeg(c.name)]
    # A recording of a single channel may give it any name, such as 'Signal 1'.
    if not eeg and len(usable) == 1 and not is_other_signal(usable[0].name):
        eeg = usable
    if not eeg:
        raise InputError(
            "no channel has the name of an EEG channel: name one with --channel, recorded are "
            f"{_listing(channels)}"
        )
    count = "the only EEG channel" if len(eeg) == 1 else f"the first of {len(eeg)} EEG channels"
    return RecordedDerivation.of(eeg[0].name, [eeg[0]], f"Staging {eeg[0].name}, {count}.")


def preferred_derivations(
    channels: Sequence[RecordedChannel],
) -> Iterator[tuple[str, list[RecordedChannel]]]:
    """Yield name and channels of each derivation that ``channels`` allow, the best first."""
    by_key: dict[str, RecordedChannel] = {}
    for channel in channels:
        by_key.setdefault(name_key(channel.name), channel)
    for name in PREFERENCE:
        if recorded := by_key.get(name_key(name)):
            yield recorded.name, [recorded]
        pair = [by_key.get(name_key(part)) for part in name.split("-")]
        both = [channel for channel in pair if channel is not None]
        if len(both) == 2 and both[0].sfreq_hz == both[1].sfreq_hz:
            yield "-".join(short_name(c.name) for c in both), both
    for electrode in PREFERRED_ELECTRODES:
        for key, channel in by_key.items():
            if key.split("-")[0] == electrode.upper():
                yield channel.name, [channel]


def _named(channels: Sequence[RecordedChannel], wanted: str) -> RecordedDerivation:
    """Return the derivation that the user named."""
    if found := _find(channels, wanted):
        why = f"Staging {found.name}, as requested."
        if not is_eeg(found.name):
            why = f"Staging {found.name}, as requested, although its name does not look like EEG."
        return _checked(found.name, [found], why)
    # A channel's own name may contain a dash, so every dash may be the one between two names.
    for dash in (m.start() for m in re.finditer("-", wanted)):
        pair = _find(channels, wanted[:dash]), _find(channels, wanted[dash + 1 :])
        if pair[0] and pair[1]:
            both = [pair[0], pair[1]]
            if pair[0] is pair[1]:
                raise InputError(f"'{wanted}' subtracts a channel from itself: name two")
            name = "-".join(short_name(c.name) for c in both)
            return _checked(name, both, f"Staging {name}, the difference of two channels.")
    raise InputError(f"there is no channel '{wanted}': recorded are {_listing(channels)}")


def _find(channels: Sequence[RecordedChannel], wanted: str) -> RecordedChannel | None:
    """Find a channel by its exact name, then in another case, then by its key."""
    folded, key = wanted.strip().casefold(), name_key(wanted)
    for matches in (
        [c for c in channels if c.name == wanted],
        [c for c in channels if c.name.casefold() == folded],
        [c for c in channels if name_key(c.name) == key],
    ):
        if len(matches) > 1:
            names = _shortened([f"'{c.name}'" for c in matches])
            raise InputError(f"'{wanted}' matches several channels, {names}: give one of them")
        if matches:
            return matches[0]
    return None


def _checked(name: str, recorded: list[RecordedChannel], why: str) -> RecordedDerivation:
    if recorded[0].sfreq_hz != recorded[-1].sfreq_hz:
        raise InputError(
            f"{name} cannot be derived, its channels have different rates: {_listing(recorded)}. "
            "Choose another --channel"
        )
    if recorded[0].sfreq_hz < MIN_SFREQ_HZ:
        raise InputError(
            f"{name} is sampled at {recorded[0].sfreq_hz:g} Hz, and staging needs "
            f"{MIN_SFREQ_HZ:g} Hz or more: choose another --channel"
        )
    if recorded[0].sfreq_hz > MAX_SFREQ_HZ:
        raise InputError(
            f"{name} is sampled at {recorded[0].sfreq_hz:g} Hz, above {MAX_SFREQ_HZ:g} Hz, which "
            "no EEG has: choose another --channel"
        )
    return RecordedDerivation.of(name, recorded, why)


def _listing(channels: Sequence[RecordedChannel]) -> str:
    return _shortened([f"'{c.name}' ({c.sfreq_hz:g} Hz)" for c in channels])


def _shortened(names: Sequence[str]) -> str:
    """Join the first ``names``, `_LISTED` letters of them, and count the rest."""
    reached = accumulate(len(name) for name in names)
    n = max(1, sum(length <= _LISTED for length in reached))
    rest = len(names) - n
    return ", ".join(names[:n]) + (f" and {rest:,} more" if rest > 0 else "")
