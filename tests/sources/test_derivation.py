"""The derivation that is staged, the reason for it, and the errors."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from monitor.errors import InputError
from monitor.sources.channel_names import is_eeg
from monitor.sources.derivation import choose_derivation


@dataclass(frozen=True)
class Channel:
    name: str
    sfreq_hz: float = 256.0


def channels(*names: str) -> list[Channel]:
    return [Channel(name) for name in names]


SLEEP_EDF = channels("EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal", "Resp oro-nasal", "EMG submental")
MUSE = channels("TP9", "AF7", "AF8", "TP10", "AUX R")


@pytest.mark.parametrize(
    ("recorded", "name", "chosen"),
    [
        (SLEEP_EDF[::-1], "EEG Fpz-Cz", ("EEG Fpz-Cz",)),
        (channels("Cz", "EOG", "Fpz", "Fz-Cz"), "Fpz-Cz", ("Fpz", "Cz")),
        (MUSE, "AF7-TP9", ("AF7", "TP9")),
        (channels("AF8", "TP10"), "AF8-TP10", ("AF8", "TP10")),
        (channels("AF8", "AF7"), "AF7", ("AF7",)),
        (channels("EEG C4-A1", "EEG F4-A1", "EEG O2-A1"), "EEG F4-A1", ("EEG F4-A1",)),
        (channels("C4", "F3", "A1", "A2"), "F3-A2", ("F3", "A2")),
        (channels("C3-M2", "F3-REF", "M2-REF"), "F3-M2", ("F3-REF", "M2-REF")),
        (channels("EEG P4", "EEG C4-LE"), "EEG C4-LE", ("EEG C4-LE",)),
        (channels("ECG", "T3", "O1"), "T3", ("T3",)),
        (channels("SaO2", "H.R.", "EEG(sec)", "ECG", "EEG", "EMG"), "EEG(sec)", ("EEG(sec)",)),
        (channels("Fc5.", "Fpz.", "Cz.."), "Fpz-Cz", ("Fpz.", "Cz..")),
        (channels("C3..", "F3.-A2.", "Af7."), "F3.-A2.", ("F3.-A2.",)),
        (channels("O1", "EEG Fpz\u2212Cz"), "EEG Fpz\u2212Cz", ("EEG Fpz\u2212Cz",)),
        (channels("EEG"), "EEG", ("EEG",)),
        (channels("Signal 1"), "Signal 1", ("Signal 1",)),
    ],
)
def test_the_preferred_derivation_is_chosen_if_the_user_names_none(
    recorded: list[Channel], name: str, chosen: tuple[str, ...]
) -> None:
    derivation = choose_derivation(recorded)
    assert (derivation.name, derivation.recorded, derivation.sfreq_hz) == (name, chosen, 256.0)


@pytest.mark.parametrize(
    ("recorded", "wanted", "why"),
    [
        (SLEEP_EDF, None, "Staging EEG Fpz-Cz, the derivation the network is trained on."),
        (
            MUSE,
            None,
            "Staging AF7-TP9, the closest to Fpz-Cz among the recorded channels "
            "(choose another with --channel).",
        ),
        (channels("EEG"), None, "Staging EEG, the only EEG channel."),
        (channels("T3", "O1"), None, "Staging T3, the first of 2 EEG channels."),
        (SLEEP_EDF, "pz-oz", "Staging EEG Pz-Oz, as requested."),
        (MUSE, "AF8-AF7", "Staging AF8-AF7, the difference of two channels."),
        (
            SLEEP_EDF,
            "EOG horizontal",
            "Staging EOG horizontal, as requested, although its name does not look like EEG.",
        ),
    ],
)
def test_the_choice_has_a_reason(recorded: list[Channel], wanted: str | None, why: str) -> None:
    assert choose_derivation(recorded, wanted).why == why


@pytest.mark.parametrize(
    ("recorded", "wanted", "chosen"),
    [
        (SLEEP_EDF, "EEG Pz-Oz", ("EEG Pz-Oz",)),
        (SLEEP_EDF, "eeg pz-oz", ("EEG Pz-Oz",)),
        (SLEEP_EDF, "Pz-Oz", ("EEG Pz-Oz",)),
        (channels("EEG F3-REF", "EEG C3-REF"), "c3", ("EEG C3-REF",)),
        (channels("EEG F3-A2", "F3", "M2"), "F3-M2", ("EEG F3-A2",)),
        (channels("F3-M2", "F3", "M2"), "F3-M2", ("F3-M2",)),
        (channels("F3-M2", "F3", "M2"), "M2-F3", ("M2", "F3")),
        (channels("EEG F3-REF", "EEG A2-REF"), "f3-m2", ("EEG F3-REF", "EEG A2-REF")),
        (channels("F3-Fpz", "C3-Fpz"), "F3-Fpz-C3-Fpz", ("F3-Fpz", "C3-Fpz")),
        (channels("Fz", "fz"), "fz", ("fz",)),
    ],
)
def test_a_channel_is_found_by_any_spelling_of_its_name(
    recorded: list[Channel], wanted: str, chosen: tuple[str, ...]
) -> None:
    assert choose_derivation(recorded, wanted).recorded == chosen


MIXED = [Channel("F3", 256), Channel("M2", 128), Channel("Cz", 50)]


@pytest.mark.parametrize(
    ("recorded", "wanted", "message"),
    [
        (
            MIXED,
            "F4",
            "there is no channel 'F4': recorded are 'F3' (256 Hz), 'M2' (128 Hz), 'Cz' (50 Hz)",
        ),
        (
            MIXED,
            "F3-M1",
            "there is no channel 'F3-M1': recorded are 'F3' (256 Hz), 'M2' (128 Hz), 'Cz' (50 Hz)",
        ),
        (
            MIXED,
            "F3-M2",
            "F3-M2 cannot be derived, its channels have different rates: 'F3' (256 Hz), "
            "'M2' (128 Hz). Choose another --channel",
        ),
        (
            MIXED,
            "Cz",
            "Cz is sampled at 50 Hz, and staging needs 80 Hz or more: choose another --channel",
        ),
        (
            channels("EEG Fz-REF", "Fz-LE"),
            "Fz",
            "'Fz' matches several channels, 'EEG Fz-REF', 'Fz-LE': give one of them",
        ),
        (
            [Channel("EEG", 50), Channel("SpO2", 1)],
            None,
            "no channel is sampled at 80 Hz or more, which staging needs: recorded are "
            "'EEG' (50 Hz), 'SpO2' (1 Hz)",
        ),
        (
            channels("ECG II", "EOG"),
            None,
            "no channel has the name of an EEG channel: name one with --channel, recorded are "
            "'ECG II' (256 Hz), 'EOG' (256 Hz)",
        ),
    ],
)
def test_a_channel_that_cannot_be_staged_is_refused(
    recorded: list[Channel], wanted: str | None, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        choose_derivation(recorded, wanted)
    assert str(caught.value) == message


@pytest.mark.parametrize("wanted", [None, "Fpz", "eeg fpz"])
def test_a_message_names_some_of_very_many_channels(wanted: str | None) -> None:
    recorded = [Channel("EEG Fpz", 1.0) for _ in range(2000)]
    with pytest.raises(InputError, match=r" and 1,\d+ more") as caught:
        choose_derivation(recorded, wanted)
    assert len(str(caught.value)) < 1000


def test_slow_channels_and_pairs_of_different_rates_are_skipped() -> None:
    recorded = [Channel("Fpz", 512), Channel("Cz", 256), Channel("EEG Fpz-Cz", 64)]
    assert choose_derivation(recorded).recorded == ("Fpz",)


OTHER_SIGNALS = (
    "EOG horizontal,EOG(L),LOC,ROC-M1,E1-M2,E2,EMG submental,Chin1,ECG,EKG2,Resp oro-nasal,Flow,"
    "Thorax,THOR RES,ABDO RES,SaO2,SpO2,Snore,Leg/L,Tibialis,RAT,HR,H.R.,Pulse,Pleth,Position,"
    "LIGHT,OX stat,Temp rectal,Event marker,Accelerometer X,DC1,AUX R,Status"
)


@pytest.mark.parametrize("name", OTHER_SIGNALS.split(","))
def test_other_signals_are_never_staged_as_eeg(name: str) -> None:
    assert not is_eeg(name)
    with pytest.raises(InputError, match="no channel has the name of an EEG channel"):
        choose_derivation(channels(name))
