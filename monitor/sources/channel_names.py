"""Channel names: which spellings name the same channel, and which names are EEG."""

from __future__ import annotations

import re

_TYPE_PREFIX = re.compile(r"^EEG[ :_]+(?=\S)", re.IGNORECASE)
_COMMON_REFERENCE = re.compile(r"[-_ ](REF|LE|AVG|AVE|AV|CAR|AR|GND)$", re.IGNORECASE)
_TRAILING_DOTS = re.compile(r"\.+(?=$|[- ])")
# A label may have another dash than that of ASCII.
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"))
_ELECTRODE = re.compile(
    r"^(FPZ|FP[12]|AFZ|AF\d+|F(Z|\d+)|FC(Z|\d+)|FT\d+|C(Z|\d+)|CP(Z|\d+)|TP\d+|T\d+|P(Z|\d+)"
    r"|PO(Z|\d+)|O(Z|\d+)|M[12]|A[12]|CB[12]|IZ|NZ)$"
)
_NOT_EEG = re.compile(
    r"EOG|EMG|E[CK]G|CHIN|RESP|FLOW|THOR|ABD|EFFORT|NASAL|SNOR|SP?[AO]O?2|PULSE|PLETH|PPG|TEMP"
    r"|POS|LEG|TIB|LIGHT|ACC|GYR|BATT|EVENT|MARK|STAT|TRIG|SUM|^(HR|LOC|ROC|E[12]|[RL]AT|DC\d*|MIC"
    r"|H\.?R\.?|OX.*|BPM|AUX.*)\b"
)


def short_name(name: str) -> str:
    """Return ``name`` without 'EEG ' before it and without a common reference after it.

    Dots that fill up a label, as in 'Fpz.' and 'Fc5.' of PhysioNet's EEGMMI, are left out.
    """
    name = _TRAILING_DOTS.sub("", _TYPE_PREFIX.sub("", name.translate(_DASHES).strip()))
    return _COMMON_REFERENCE.sub("", name)


def name_key(name: str) -> str:
    """Return a key that is equal for all spellings of a name: 'EEG F3-A2' and 'f3-m2' are 'F3-M2'.

    A1 and A2 (ear lobes) count as M1 and M2 (mastoids): scorers use either pair.
    """
    return re.sub(r"\bA([12])\b", r"M\1", short_name(name).upper().replace(" ", ""))


def is_eeg(name: str) -> bool:
    """Return True if ``name`` is an electrode of the 10-20 system or contains 'EEG'."""
    if is_other_signal(name):
        return False
    return bool(_ELECTRODE.match(name_key(name).split("-")[0])) or "EEG" in name.upper()


def is_other_signal(name: str) -> bool:
    """Return True if ``name`` names a signal that is not EEG, such as EOG, ECG or breathing."""
    return bool(_NOT_EEG.search(name_key(name)))
