"""The reasons for which an epoch is unscored, and signals that are scored."""

from __future__ import annotations

import numpy as np

from models.contract import Gain
from monitor.types import Quality, Reason
from tests.signals import chunk, condition, pink_noise_uv

SFREQ_HZ = 256.0
N_SAMPLES = round(30 * SFREQ_HZ)
TIMES_S = np.arange(N_SAMPLES) / SFREQ_HZ
EEG_UV = pink_noise_uv(N_SAMPLES)


def quality(data_uv: np.ndarray, gain: Gain = Gain.KNOWN) -> Quality:
    data = np.atleast_2d(data_uv).astype(np.float32)
    return condition([chunk(data, TIMES_S, SFREQ_HZ)], gain=gain)[0].quality


def test_clean_eeg_is_scored() -> None:
    assert quality(EEG_UV).reason is None


def test_a_flat_channel_is_unscored() -> None:
    assert quality(np.full(N_SAMPLES, 12.0)).reason is Reason.FLAT
    assert quality(EEG_UV * 0.01).reason is Reason.FLAT


def test_with_unknown_gain_a_small_signal_is_not_flat_but_a_constant_is() -> None:
    assert quality(EEG_UV * 0.01, Gain.UNKNOWN).reason is None
    assert quality(np.full(N_SAMPLES, 12.0), Gain.UNKNOWN).reason is Reason.FLAT


def test_a_railed_channel_is_unscored() -> None:
    """In a real Muse recording, 40 % of the samples were at the converter's limit."""
    railed = EEG_UV.copy()
    railed[0, : round(0.4 * N_SAMPLES)] = 1000.0
    for gain in Gain:
        assert quality(railed, gain).reason is Reason.RAILED


def test_white_noise_of_an_electrode_that_touches_nothing_is_unscored() -> None:
    white = np.random.default_rng(1).standard_normal(N_SAMPLES)
    for rms_uv in (5.0, 30.0):
        for gain in Gain:
            assert quality(white * rms_uv, gain).reason is Reason.NOISE


def test_an_offset_is_not_a_rail() -> None:
    """OpenBCI boards deliver millivolts of electrode offset."""
    assert quality(EEG_UV + 20_000.0).reason is None


def test_an_electrode_that_records_only_mains_is_unscored() -> None:
    for freq_hz in (50.0, 60.0):
        hum = 800.0 * np.sin(2.0 * np.pi * freq_hz * TIMES_S)
        assert quality(EEG_UV + hum).reason is Reason.MAINS


def test_eeg_with_strong_hum_is_scored() -> None:
    """The hum is ten times the EEG: conditioning removes it."""
    hum = 280.0 * np.sin(2.0 * np.pi * 60.0 * TIMES_S)
    judged = quality(EEG_UV + hum)
    assert judged.reason is None
    assert judged.mains_fraction is not None and judged.mains_fraction > 0.95
    assert abs(judged.std_uv - quality(EEG_UV).std_uv) < 1.0


def test_movement_is_unscored_only_if_it_fills_most_of_the_epoch() -> None:
    swing = 400.0 * np.sin(2.0 * np.pi * 2.0 * TIMES_S)
    assert quality(EEG_UV + swing).reason is Reason.AMPLITUDE
    assert quality(EEG_UV + swing * (TIMES_S < 5.0)).reason is None


def test_missing_and_flat_parts_add_up() -> None:
    """A third is missing and a third is flat: together they are most of the epoch."""
    data = EEG_UV.copy()
    data[0, TIMES_S > 20.0] = 5.0
    kept = TIMES_S >= 10.0
    judged = condition([chunk(data[:, kept], TIMES_S[kept], SFREQ_HZ)])[0].quality
    assert judged.reason is Reason.FLAT
    assert judged.missing_fraction < 0.5 and judged.flat_fraction < 0.6
