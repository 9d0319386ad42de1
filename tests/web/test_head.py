"""The places of electrodes on the head: the 10-20 and the 10-10 system, and real headbands."""

from __future__ import annotations

import math

import pytest

from monitor.web.head import electrode_names, position

HEADBANDS = [
    *("TP9", "AF7", "AF8", "TP10"),  # Muse
    *("Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2"),  # OpenBCI Cyton
    *("Fpz", "Fz", "FCz", "Cz", "CPz", "Pz", "POz", "Oz", "F3", "F4", "M1", "M2", "A1", "A2"),
]


@pytest.mark.parametrize("name", HEADBANDS)
def test_every_electrode_lies_on_the_head_on_its_own_side(name: str) -> None:
    place = position(name)
    assert place is not None
    right, front = place
    assert math.hypot(right, front) <= 1.05
    number = name.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZpz")
    side = 0 if not number else -1 if int(number) % 2 else 1
    assert (right > 0) - (right < 0) == side


def test_the_rows_follow_each_other_from_the_forehead_to_the_back() -> None:
    fronts = [
        position(name) for name in ("Fpz", "AFz", "Fz", "FCz", "Cz", "CPz", "Pz", "POz", "Oz")
    ]
    ys = [place[1] for place in fronts if place is not None]
    assert ys == sorted(ys, reverse=True) and len(set(ys)) == len(fronts)


def test_left_and_right_mirror_each_other() -> None:
    for left, right in (("AF7", "AF8"), ("TP9", "TP10"), ("C3", "C4"), ("M1", "M2")):
        one, other = position(left), position(right)
        assert one is not None and other is not None
        assert one[0] == -other[0] and one[1] == other[1]


def test_the_old_names_of_the_10_20_system() -> None:
    assert position("T3") == position("T7") and position("t6") == position("P8")


@pytest.mark.parametrize("name", ["", "EEG 1", "ch1", "X3", "F11", "AF", "EMG", "F0", "C3\n"])
def test_other_names_have_no_place(name: str) -> None:
    assert position(name) is None


@pytest.mark.parametrize(
    ("channel", "names"),
    [
        ("EEG Fpz-Cz", ["Fpz", "Cz"]),
        ("AF7", ["AF7"]),
        ("eeg_C3-M2", ["C3", "M2"]),
        ("1", ["1"]),
        ("-", ["-"]),
    ],
)
def test_a_channel_names_its_electrodes(channel: str, names: list[str]) -> None:
    assert electrode_names(channel) == names
