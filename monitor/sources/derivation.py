"""Which EEG derivation of a recording is staged, and why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from monitor.errors import InputError
from monitor.types import MIN_SFREQ_HZ, Derivation, Montage

PREFERENCE = (
    "Fpz-Cz",  # what the network is trained on (Sleep-EDF)
    "AF7-TP9",  # Muse headbands: the same forehead, against the ear
    "AF8-TP10",
    "AF7-TP10",  # where an ear electrode has lost contact: the other ear
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
"""Derivations tried in this order where none is asked for; A1 and A2 count as M1 and M2."""

# fmt: off
PREFERRED_ELECTRODES = (
    "Fpz", "AF7", "AF8", "Fp1", "Fp2", "AFz", "Fz", "F3", "F4", "Cz", "C3", "C4",
)
# fmt: on
"""Electrodes tried next, against whatever reference they were recorded with."""

MAX_CANDIDATES = 4
"""Derivations that a live night chooses from; each is conditioned and judged all night."""

_TYPE_PREFIX = re.compile(r"^EEG[ :_]+(?=\S)", re.IGNORECASE)
_COMMON_REFERENCE = re.compile(r"[-_ ](REF|LE|AVG|AVE|AV|CAR|AR|GND)$", re.IGNORECASE)
_ELECTRODE = re.compile(
    r"^(FPZ|FP[12]|AFZ|AF\d+|F(Z|\d+)|FC(Z|\d+)|FT\d+|C(Z|\d+)|CP(Z|\d+)|TP\d+|T\d+|P(Z|\d+)"
    r"|PO(Z|\d+)|O(Z|\d+)|M[12]|A[12]|CB[12]|IZ|NZ)$"
)
_NOT_EEG = re.compile(
    r"EOG|EMG|E[CK]G|CHIN|RESP|FLOW|THOR|ABD|EFFORT|NASAL|SNOR|SP?[AO]O?2|PULSE|PLETH|PPG|TEMP"
    r"|POS|LEG|TIB|LIGHT|ACC|GYR|BATT|EVENT|MARK|STAT|TRIG|SUM|^(HR|LOC|ROC|E[12]|[RL]AT|DC\d*|MIC"
    r"|H\.?R\.?|OX.*|BPM|AUX.*)\b"
)


class RecordedChannel(Protocol):
    """What a source says about a channel it has."""

    @property
    def name(self) -> str: ...

    @property
    def sfreq_hz(self) -> float: ...


@dataclass(frozen=True, slots=True)
class RecordedDerivation:
    """One channel to stage: a recorded one, or the difference of two.

    - ``recorded``: the source's own names; the second, where there is one, is subtracted from the
      first. Both have the rate ``sfreq_hz``.
    - ``why``: a sentence for the user.
    """

    name: str
    recorded: tuple[str, ...]
    sfreq_hz: float
    why: str


def choose_derivation(
    channels: Sequence[RecordedChannel], wanted: str | None = None
) -> RecordedDerivation:
    """The derivation called ``wanted``, or without one the best that ``channels`` allow.

    ``wanted`` is a recorded name, in any case, with or without 'EEG ' before and a common
    reference such as '-REF' after; or two of them as 'F3-M2', unless a channel of that very name
    was recorded. Without it: `PREFERENCE`, `PREFERRED_ELECTRODES`, then the first EEG channel;
    never EOG, EMG, ECG or breathing.

    Raises InputError when there is no such channel, more than one, when it is slower than 80 Hz,
    or when the two channels of a derivation have different rates.
    """
    if wanted is not None:
        return _asked_for(channels, wanted)
    usable = [c for c in channels if c.sfreq_hz >= MIN_SFREQ_HZ]
    if not usable:
        raise InputError(
            f"no channel is sampled at {MIN_SFREQ_HZ:g} Hz or more, which staging needs: "
            f"recorded are {_listing(channels)}"
        )
    for name, recorded in _preferred(usable):
        why = (
            f"Staging {name}, the derivation the network is trained on."
            if name_key(name) == name_key(PREFERENCE[0])
            else f"Staging {name}, the closest to {PREFERENCE[0]} among the recorded channels "
            "(choose another with --channel)."
        )
        return _derivation(name, recorded, why)
    eeg = [c for c in usable if is_eeg(c.name)]
    if not eeg and len(usable) == 1 and not _NOT_EEG.search(name_key(usable[0].name)):
        eeg = usable
    if not eeg:
        raise InputError(
            f"no EEG channel could be told by its name: name one with --channel, recorded are "
            f"{_listing(channels)}"
        )
    count = "the only EEG channel" if len(eeg) == 1 else f"the first of {len(eeg)} EEG channels"
    return _derivation(eeg[0].name, [eeg[0]], f"Staging {eeg[0].name}, {count}.")


def live_montage(
    channels: Sequence[str],
    sfreq_hz: float,
    wanted: Sequence[str] = (),
    candidates: Sequence[str] = (),
) -> Montage:
    """What to condition of a headband's ``channels``, and the derivations to choose from all
    night, the preferred one first.

    ``wanted``: by name, as for `choose_derivation`. Without it those of ``candidates`` that there
    are; without these the pairs of `PREFERENCE`, else single electrodes, else the first channels;
    never more than `MAX_CANDIDATES`. Raises `InputError` as `choose_derivation`, and if more are
    wanted.
    """
    if len(wanted) > MAX_CANDIDATES:
        raise InputError(
            f"a night chooses from {MAX_CANDIDATES} derivations at most, {len(wanted)} were given "
            "with --channel"
        )
    offered: list[RecordedChannel] = [_LiveChannel(name, sfreq_hz) for name in channels]
    if wanted:
        found = [choose_derivation(offered, name) for name in wanted]
    else:
        found = [
            _derivation(name, recorded, "") for name, recorded in _candidates(offered, candidates)
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
    named = False
    for name in candidates:
        with suppress(InputError):
            found = choose_derivation(offered, name)
            yield name, [c for part in found.recorded for c in offered if c.name == part]
            named = True
    if named:
        return
    preferred = list(_preferred(offered))
    pairs = [(name, recorded) for name, recorded in preferred if len(recorded) == 2]
    # A source of EEG may name its channels 1, 2, ...: better these than no night.
    singles = [c for c in offered if is_eeg(c.name)] or offered
    yield from pairs or preferred or ((each.name, [each]) for each in singles)


@dataclass(frozen=True, slots=True)
class _LiveChannel:
    name: str
    sfreq_hz: float


def name_key(name: str) -> str:
    """``name`` reduced to what identifies it: 'EEG F3-A2' and 'f3-m2' are both 'F3-M2'."""
    key = _COMMON_REFERENCE.sub("", _TYPE_PREFIX.sub("", name.strip())).upper()
    return re.sub(r"\bA([12])\b", r"M\1", key.replace(" ", ""))


def is_eeg(name: str) -> bool:
    """Whether a channel's name says that it is EEG: an electrode of the 10-20 system, or 'EEG'."""
    key = name_key(name)
    if _NOT_EEG.search(key):
        return False
    return bool(_ELECTRODE.match(key.split("-")[0])) or "EEG" in name.upper()


def _preferred(
    channels: Sequence[RecordedChannel],
) -> Iterator[tuple[str, list[RecordedChannel]]]:
    by_key: dict[str, RecordedChannel] = {}
    for channel in channels:
        by_key.setdefault(name_key(channel.name), channel)
    for name in PREFERENCE:
        if recorded := by_key.get(name_key(name)):
            yield recorded.name, [recorded]
        pair = [by_key.get(name_key(part)) for part in name.split("-")]
        both = [channel for channel in pair if channel is not None]
        if len(both) == 2 and both[0].sfreq_hz == both[1].sfreq_hz:
            yield "-".join(_short(c.name) for c in both), both
    for electrode in PREFERRED_ELECTRODES:
        for key, channel in by_key.items():
            if key.split("-")[0] == electrode.upper():
                yield channel.name, [channel]


def _asked_for(channels: Sequence[RecordedChannel], wanted: str) -> RecordedDerivation:
    if found := _find(channels, wanted):
        why = f"Staging {found.name}, as asked."
        if not is_eeg(found.name):
            why = f"Staging {found.name}, as asked, though its name does not say that it is EEG."
        return _checked(found.name, [found], why)
    for dash in (m.start() for m in re.finditer("-", wanted)):
        pair = _find(channels, wanted[:dash]), _find(channels, wanted[dash + 1 :])
        if pair[0] and pair[1]:
            both = [pair[0], pair[1]]
            if pair[0] is pair[1]:
                raise InputError(f"'{wanted}' subtracts a channel from itself: name two")
            name = "-".join(_short(c.name) for c in both)
            return _checked(name, both, f"Staging {name}, the difference of two channels.")
    raise InputError(f"there is no channel '{wanted}': recorded are {_listing(channels)}")


def _find(channels: Sequence[RecordedChannel], wanted: str) -> RecordedChannel | None:
    """The one channel called ``wanted``: exactly, else in another case, else by its key."""
    folded, key = wanted.strip().casefold(), name_key(wanted)
    for matches in (
        [c for c in channels if c.name == wanted],
        [c for c in channels if c.name.casefold() == folded],
        [c for c in channels if name_key(c.name) == key],
    ):
        if len(matches) > 1:
            names = ", ".join(f"'{c.name}'" for c in matches)
            raise InputError(f"'{wanted}' may be any of {names}: give one of these names")
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
    return _derivation(name, recorded, why)


def _derivation(name: str, recorded: list[RecordedChannel], why: str) -> RecordedDerivation:
    return RecordedDerivation(name, tuple(c.name for c in recorded), recorded[0].sfreq_hz, why)


def _short(name: str) -> str:
    return _COMMON_REFERENCE.sub("", _TYPE_PREFIX.sub("", name.strip()))


def _listing(channels: Sequence[RecordedChannel]) -> str:
    return ", ".join(f"'{c.name}' ({c.sfreq_hz:g} Hz)" for c in channels)
