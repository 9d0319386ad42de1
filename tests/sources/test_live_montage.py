"""What is staged of a headband's channels, and how a source is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.config import BrainflowConfig, LslConfig
from monitor.errors import InputError
from monitor.sources.derivation import MAX_CANDIDATES, live_montage
from monitor.sources.live import source_key
from monitor.types import Montage

MUSE = ("TP9", "AF7", "AF8", "TP10")


def names(montage: Montage) -> list[str]:
    return [each.name for each in montage.derivations]


def recorded(montage: Montage) -> list[str]:
    """Each derivation by the channels that it is made of."""
    return ["-".join(montage.channels[n] for n in each.channels) for each in montage.derivations]


def test_a_muse_has_four_derivations_each_with_the_other_ear_in_reserve() -> None:
    montage = live_montage(MUSE, 256.0)
    assert names(montage) == ["AF7-TP9", "AF8-TP10", "AF7-TP10", "AF8-TP9"]
    assert recorded(montage) == names(montage)
    assert montage.channels == MUSE


@pytest.mark.parametrize(
    ("channels", "derivations"),
    [
        (("EEG Fpz-Cz", "EEG Pz-Oz"), ["EEG Fpz-Cz"]),
        (("T3", "T4", "O1", "O2"), ["T3", "T4", "O1", "O2"]),  # BrainBit
        (("Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2"), ["Fp1", "Fp2", "C3", "C4"]),
        (("CP3", "C3", "F5", "PO3", "PO4", "F6", "C4", "CP4"), ["C3", "C4"]),  # Crown
        (("1", "2"), ["1", "2"]),
        (("Fp1",), ["Fp1"]),
        (("Fp1", "Fp1.2"), ["Fp1"]),
        (("EOG L", "C3", "C4", "EMG"), ["C3", "C4"]),
    ],
)
def test_the_best_of_any_channels(channels: tuple[str, ...], derivations: list[str]) -> None:
    montage = live_montage(channels, 250.0)
    assert names(montage) == derivations
    assert recorded(montage) == derivations
    # Only what is needed is conditioned, in the order of the device.
    assert list(montage.channels) == [c for c in channels if c in set(montage.channels)]
    assert {n for each in montage.derivations for n in each.channels} == set(
        range(len(montage.channels))
    )


def test_a_board_may_name_its_own() -> None:
    montage = live_montage(MUSE, 256.0, (), ("AF8-TP9", "Cz-M1", "AF7"))
    assert names(montage) == ["AF8-TP9", "AF7"]
    assert montage.channels == ("TP9", "AF7", "AF8")
    assert names(live_montage(("X1", "X2"), 256.0, (), ("Cz-M1",))) == ["X1", "X2"]


def test_what_is_asked_for_is_taken_in_the_order_asked_for() -> None:
    montage = live_montage(MUSE, 256.0, ("af8", "AF7-TP9", "AF8"), ("AF7-TP9",))
    assert names(montage) == ["AF8", "AF7-TP9"]
    assert recorded(montage) == names(montage)
    assert montage.channels == ("TP9", "AF7", "AF8")


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ("Cz", "there is no channel 'Cz': recorded are 'TP9' (256 Hz), 'AF7' (256 Hz)"),
        ("AF7-Cz", "there is no channel 'AF7-Cz'"),
        ("AF7-AF7", "subtracts a channel from itself"),
    ],
)
def test_what_is_not_there_is_said(wanted: str, problem: str) -> None:
    with pytest.raises(InputError) as raised:
        live_montage(MUSE, 256.0, ("AF7", wanted))
    assert problem in str(raised.value)


def test_no_more_are_judged_all_night_than_can_be_of_use() -> None:
    channels = tuple(str(n) for n in range(1, 17))
    assert len(live_montage(channels, 250.0).derivations) == MAX_CANDIDATES


def test_a_source_is_named_by_what_was_asked_for() -> None:
    assert source_key(LslConfig()) == "lsl:"
    assert source_key(LslConfig(source_id="muse", name="Muse")) == "lsl:name=Muse,source_id=muse"
    assert source_key(BrainflowConfig(board="muse_s", mac="00:11")) == (
        "brainflow:board=muse_s,mac=00:11"
    )
    assert source_key(BrainflowConfig(board="playback", file=Path("a.csv"))).endswith("file=a.csv")


def test_the_unit_is_no_part_of_it() -> None:
    """A night whose unit was told wrongly may go on with the right one."""
    assert source_key(LslConfig(name="a", unit="mV")) == source_key(LslConfig(name="a"))


@pytest.mark.parametrize("board", ["Muse_S", "muse-s", "MUSE S"])
def test_a_board_is_one_source_however_it_is_spelled(board: str) -> None:
    assert source_key(BrainflowConfig(board=board)) == "brainflow:board=muse_s"
