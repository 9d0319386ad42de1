"""The derivations of a headband that a live night chooses from, and the key of a source."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.config import BrainflowConfig, LslConfig
from monitor.errors import InputError
from monitor.sources.live import source_key
from monitor.sources.live_montage import MAX_CANDIDATES, live_montage
from monitor.types import Montage

MUSE = ("TP9", "AF7", "AF8", "TP10")


def names(montage: Montage) -> list[str]:
    return [each.name for each in montage.derivations]


def recorded(montage: Montage) -> list[str]:
    """Return the names of the channels in each derivation."""
    return ["-".join(montage.channels[n] for n in each.channels) for each in montage.derivations]


def test_a_muse_has_four_derivations_each_ear_with_each_side_of_the_forehead() -> None:
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
def test_the_best_derivations_of_any_channels(
    channels: tuple[str, ...], derivations: list[str]
) -> None:
    montage = live_montage(channels, 250.0)
    assert names(montage) == derivations
    assert recorded(montage) == derivations
    # The montage holds only the channels that are used, in the order of the device.
    assert list(montage.channels) == [c for c in channels if c in set(montage.channels)]
    assert {n for each in montage.derivations for n in each.channels} == set(
        range(len(montage.channels))
    )


def test_a_source_may_name_its_own_candidates() -> None:
    montage = live_montage(MUSE, 256.0, (), ("AF8-TP9", "Cz-M1", "AF7"))
    assert names(montage) == ["AF8-TP9", "AF7"]
    assert montage.channels == ("TP9", "AF7", "AF8")
    assert names(live_montage(("X1", "X2"), 256.0, (), ("Cz-M1",))) == ["X1", "X2"]


def test_the_users_derivations_come_in_the_users_order() -> None:
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
def test_a_channel_that_does_not_exist_is_refused(wanted: str, problem: str) -> None:
    with pytest.raises(InputError) as raised:
        live_montage(MUSE, 256.0, ("AF7", wanted))
    assert problem in str(raised.value)


def test_a_night_chooses_from_a_limited_number_of_derivations() -> None:
    channels = tuple(str(n) for n in range(1, 17))
    assert len(live_montage(channels, 250.0).derivations) == MAX_CANDIDATES


def test_the_key_of_a_source_consists_of_its_options() -> None:
    assert source_key(LslConfig()) == "lsl:"
    assert source_key(LslConfig(source_id="muse", name="Muse")) == "lsl:name=Muse,source_id=muse"
    assert source_key(BrainflowConfig(board="muse_s", mac="00:11")) == (
        "brainflow:board=muse_s,mac=00:11"
    )
    assert source_key(BrainflowConfig(board="playback", file=Path("a.csv"))).endswith("file=a.csv")


def test_the_unit_is_not_part_of_the_key() -> None:
    """A night that began with the wrong unit may continue with the right one."""
    assert source_key(LslConfig(name="a", unit="mV")) == source_key(LslConfig(name="a"))


@pytest.mark.parametrize("board", ["Muse_S", "muse-s", "MUSE S"])
def test_a_board_has_one_key_however_it_is_spelled(board: str) -> None:
    assert source_key(BrainflowConfig(board=board)) == "brainflow:board=muse_s"
