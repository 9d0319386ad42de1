"""Reading returns what was drawn: usable epochs, whole windows, nights as the monitor encodes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monitor.errors import InputError
from offline_training.training.distributed import Ranks
from offline_training.training.reading import (
    UsableEpochs,
    encode_nights,
    read_stretches,
    standardise,
    truth,
)
from offline_training.training.windows import Windows
from tests.offline_training.training.synthetic import build, nights

CPU = Ranks(0, 1, torch.device("cpu"))


def test_only_usable_epochs_are_drawn_and_each_only_once() -> None:
    recordings = nights(3)
    source = UsableEpochs(recordings)
    total = sum(int(one.usable.sum()) for one in recordings)
    epochs_uv, stage = source.draw(np.random.default_rng(0), total)
    assert len(epochs_uv) == total and np.abs(epochs_uv).max(axis=1).min() > 0
    assert len(np.unique(epochs_uv[:, 0])) == total
    expected = np.concatenate([one.stage[one.usable] for one in recordings])
    np.testing.assert_array_equal(np.sort(stage), np.sort(expected))
    assert len(source.draw(np.random.default_rng(0), 2 * total)[0]) == 2 * total
    assert len(source.spread(5)) == 5 and len(source.spread(10**6)) == total


def test_recordings_without_a_usable_epoch_are_refused() -> None:
    recordings = nights(1)
    recordings[0].usable[:] = False
    with pytest.raises(InputError, match="no usable epoch"):
        UsableEpochs(recordings)


def test_windows_of_signal_hold_the_epochs_of_their_stages() -> None:
    recordings = nights(3, n=9)
    windows = Windows(
        [truth(one) for one in recordings], [one.usable for one in recordings], 6, hide=0.0
    )
    drawn = windows.draw(np.random.default_rng(0), 50)
    signal = read_stretches(recordings, windows.stretches(drawn), 6)
    assert signal.shape == (50, 6, 3000)
    samples = windows.lay_out([one.samples for one in recordings], 0)
    np.testing.assert_array_equal(signal, samples[drawn.rows])
    assert (np.abs(signal[drawn.scored.numpy()]).max(axis=1) > 0).all()
    places = [part.place for part in windows.stretches(drawn)]
    assert min(places) == 0 and max(places) > 2


def test_a_batch_without_stages_is_drawn_again() -> None:
    stage = np.full(40, -1)
    stage[17] = 2
    windows = Windows([stage], [np.ones(40, np.bool_)], 4, hide=0.0)
    for seed in range(5):
        drawn = windows.draw_labelled(np.random.default_rng(seed), 2)
        assert (drawn.stage == 2).any()


def test_nights_are_encoded_as_the_monitor_encodes_them() -> None:
    recordings = nights(2)
    network = build(recordings)
    found = encode_nights(network.train(), recordings, CPU)
    expected = network.eval().encode(torch.from_numpy(recordings[1].samples)).detach()
    torch.testing.assert_close(found[1].embeddings, expected)
    np.testing.assert_array_equal(found[1].stage >= 0, recordings[1].usable)


def test_spectra_get_mean_0_and_deviation_1_over_the_training_set() -> None:
    recordings = nights(2)
    network = build(recordings)
    usable = np.concatenate([one.samples[one.usable] for one in recordings])
    inputs = network.measure(torch.from_numpy(usable))
    assert inputs.frames is not None
    scaled = network.spectral_encoder.standardise(inputs.frames).flatten(0, 1)
    torch.testing.assert_close(scaled.mean(dim=0), torch.zeros(128), atol=1e-3, rtol=0)
    torch.testing.assert_close(scaled.std(dim=0), torch.ones(128), atol=1e-3, rtol=0)
    alone = build(recordings, frames=False, band_power=False, pretraining=False)
    standardise(alone, recordings)  # has no spectral stream: does nothing
