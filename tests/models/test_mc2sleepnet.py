"""The network's parts, parameter counts and masks: no epoch reads what is hidden from it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models.calibration import calibrated
from models.mc2sleepnet import MC2SleepNet, NetworkConfig, RawBackbone

SMALL = {"d_model": 16, "n_heads": 4, "d_ff": 32, "frame_layers": 1, "sequence_layers": 2}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def build(**fields: object) -> MC2SleepNet:
    torch.manual_seed(0)
    config = NetworkConfig(**{**SMALL, **fields})  # type: ignore[arg-type]
    return MC2SleepNet(config).eval().requires_grad_(False)


INPUTS = [
    {"raw": raw, "frames": frames, "band_power": band_power}
    for raw in (True, False)
    for frames in (True, False)
    for band_power in (True, False)
    if raw or frames or band_power
]


def history(network: MC2SleepNet, length: int, batch: int = 2) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    embeddings = torch.randn(batch, length, network.config.embedding_dim)
    return embeddings, torch.ones(batch, length, dtype=torch.bool)


def test_the_papers_network_has_the_papers_number_of_parameters() -> None:
    network = MC2SleepNet(NetworkConfig(band_power=False))
    assert count(network.raw_encoder.backbone) == 1_543_621
    assert count(network.raw_encoder) == 1_543_621 + 256 * 128 + 128
    layer = 4 * 128 * 128 + 2 * 128 * 1024 + 2 * 2 * 128
    assert count(network.spectral_encoder) == 4 * layer + 128 * 64 + 64 + 64
    crossed = layer + 4 * 128 * 128 + 2 * 128
    distances = 2 * 8 * (2 * 20 + 1)
    assert count(network.raw_stack) == count(network.spectral_stack) == 4 * crossed + distances
    assert count(network.joint_head) == 256 * 5 + 5
    assert count(network) == pytest.approx(6.0e6, rel=0.02)


def test_the_backbone_returns_five_samples() -> None:
    assert RawBackbone(64)(torch.zeros(1, 1, 3000)).shape == (1, 256, 5)


@pytest.mark.parametrize(
    "inputs", INPUTS, ids=lambda inputs: "+".join(k for k in inputs if inputs[k])
)
def test_every_combination_of_inputs_stages(inputs: dict[str, bool]) -> None:
    network = build(**inputs)
    epochs_uv = 20 * torch.randn(3, 3000)
    embeddings = network.encode(epochs_uv)
    assert embeddings.shape == (3, network.config.embedding_dim)
    live, revised = network.stage(embeddings.unsqueeze(0), torch.ones(1, 3, dtype=torch.bool))
    assert live.shape == (1, 5) and revised.shape == (1, 3, 5)
    torch.testing.assert_close(live.sum(dim=1), torch.ones(1))
    torch.testing.assert_close(revised.sum(dim=2), torch.ones(1, 3))


@pytest.mark.parametrize(
    "inputs", INPUTS, ids=lambda inputs: "+".join(k for k in inputs if inputs[k])
)
def test_every_weight_gets_a_gradient(inputs: dict[str, bool]) -> None:
    network = build(**inputs).train().requires_grad_(True)
    embeddings = network.encode(20 * torch.randn(6, 3000)).view(2, 3, -1)
    logits = network.views(embeddings, torch.ones(2, 3, dtype=torch.bool), causal=False)
    torch.stack([each.square().sum() for each in logits if each is not None]).sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_two_streams_give_five_sets_of_logits() -> None:
    network = build()
    logits = network.views(*history(network, 4), causal=False)
    assert [each is not None and each.shape == (2, 4, 5) for each in logits] == [True] * 5
    assert logits.prediction is logits.joint
    alone = build(raw=False)
    logits = alone.views(*history(alone, 4), causal=False)
    assert logits.prediction is logits.spectral and logits.joint is None


def test_the_single_view_ignores_the_other_stream_and_the_multi_view_does_not() -> None:
    network = build()
    embeddings, scored = history(network, 4)
    other = embeddings.clone()
    other[:, :, 16:] += 1.0  # the spectrogram half
    a, b = (network.views(each, scored, causal=False) for each in (embeddings, other))
    assert a.raw is not None and b.raw is not None and torch.equal(a.raw, b.raw)
    assert a.raw_multi is not None and b.raw_multi is not None
    assert not torch.allclose(a.raw_multi, b.raw_multi)


def test_every_layer_attends_to_the_same_unmasked_other_sequence() -> None:
    network = build(pretraining=True)
    embeddings, scored = history(network, 5)
    raw, spectral = embeddings.chunk(2, dim=2)
    seen: list[Tensor] = []
    for layer in network.raw_stack.layers:
        layer.cross.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))  # type: ignore[union-attr]
    masked = torch.zeros(2, 5, dtype=torch.bool)
    masked[:, 2] = True
    network.reconstruct(embeddings, scored, masked, masked)
    assert len(seen) == 2 and all(torch.equal(source, spectral) for source in seen)
    assert raw.shape == spectral.shape


def test_a_masked_epoch_is_reconstructed_without_its_own_stream() -> None:
    network = build(pretraining=True)
    embeddings, scored = history(network, 5)
    masked, nothing = torch.zeros(2, 5, dtype=torch.bool), torch.zeros(2, 5, dtype=torch.bool)
    masked[:, 2] = True
    changed = embeddings.clone()
    changed[:, 2, :16] += 5.0  # the masked epoch's raw embedding
    a, _ = network.reconstruct(embeddings, scored, masked, nothing)
    b, _ = network.reconstruct(changed, scored, masked, nothing)
    assert torch.equal(a, b)
    changed = embeddings.clone()
    changed[:, 2, 16:] += 5.0  # its spectrogram embedding, which is not masked
    c, _ = network.reconstruct(changed, scored, masked, nothing)
    assert not torch.allclose(a, c)


def test_contrastive_heads_return_unit_vectors_and_exist_only_for_pretraining() -> None:
    network = build(pretraining=True)
    for vectors in network.contrast(torch.randn(4, 32)):
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(4))
    staging = build()
    assert count(network) - count(staging) == 2 * 16 + 2 * 2 * (16 * 16 + 16)
    with pytest.raises(ValueError, match="pretraining"):
        staging.contrast(torch.randn(4, 32))
    with pytest.raises(ValueError, match="both streams"):
        NetworkConfig(raw=False, pretraining=True)


@pytest.mark.parametrize("raw", [True, False])
def test_the_live_track_reads_no_later_epoch_and_the_revised_track_does(raw: bool) -> None:
    network = build(raw=raw)
    embeddings, scored = history(network, 6)
    changed = embeddings.clone()
    changed[:, 4:] += 3.0
    a = network.views(embeddings, scored, causal=True).prediction
    b = network.views(changed, scored, causal=True).prediction
    assert torch.equal(a[:, :4], b[:, :4]) and not torch.allclose(a[:, 4:], b[:, 4:])
    _, a = network.stage(embeddings, scored)
    _, b = network.stage(changed, scored)
    assert not torch.allclose(a[:, :4], b[:, :4])


@pytest.mark.parametrize("raw", [True, False])
def test_unscored_epochs_in_front_do_not_change_the_stages(raw: bool) -> None:
    network = build(raw=raw, max_distance=4)
    embeddings, scored = history(network, 4)
    padded = torch.cat([torch.full((2, 7, embeddings.shape[2]), 1e3), embeddings], dim=1)
    exists = torch.cat([torch.zeros(2, 7, dtype=torch.bool), scored], dim=1)
    live, revised = network.stage(embeddings, scored)
    padded_live, padded_revised = network.stage(padded, exists)
    torch.testing.assert_close(padded_live, live, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(padded_revised[:, 7:], revised, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("content", [0.0, 1e4, float("nan")])
def test_the_content_of_an_unscored_epoch_does_not_change_the_stages(content: float) -> None:
    network = build()
    embeddings, scored = history(network, 6)
    scored[0, 2] = scored[1, 5] = False
    live, revised = network.stage(embeddings, scored)
    other = embeddings.clone()
    other[0, 2] = other[1, 5] = content
    other_live, other_revised = network.stage(other, scored)
    assert torch.equal(live, other_live) and torch.equal(revised, other_revised)
    assert revised.isfinite().all()


def test_an_unscored_epoch_keeps_its_place_in_time() -> None:
    network = build()
    embeddings, scored = history(network, 6)
    gap = scored.clone()
    gap[:, 2] = False
    closed = torch.cat([embeddings[:, :2], embeddings[:, 3:]], dim=1)
    live_gap, _ = network.stage(embeddings, gap)
    live_closed, _ = network.stage(closed, scored[:, 1:])
    assert not torch.allclose(live_gap, live_closed)


def test_gain_does_not_change_a_gain_free_network_nor_polarity_a_spectral_one() -> None:
    network = build(gain_free=True)
    epochs_uv = 20 * torch.randn(2, 3000)
    for gain in (0.5, 0.7, 2.0):
        torch.testing.assert_close(
            network.encode(gain * epochs_uv), network.encode(epochs_uv), atol=1e-5, rtol=1e-4
        )
    spectral = build(raw=False)
    assert torch.equal(spectral.encode(-epochs_uv), spectral.encode(epochs_uv))


def test_an_error_names_a_wrong_input() -> None:
    with pytest.raises(ValueError, match=r"\(B, 3000\)"):
        build().encode(torch.zeros(1, 2999))
    with pytest.raises(ValueError, match="at least one"):
        NetworkConfig(raw=False, frames=False, band_power=False)
    with pytest.raises(ValueError, match="multiple"):
        NetworkConfig(d_model=10, n_heads=4)


@pytest.mark.parametrize(
    "inputs", [{}, {"raw": False}, {"frames": False, "band_power": False}], ids=str
)
def test_staging_is_the_calibrated_causal_and_whole_view(inputs: dict[str, bool]) -> None:
    network = build(**inputs)
    network.temperature.copy_(torch.tensor([2.0, 0.5]))
    embeddings, scored = history(network, 6)
    scored[0, 2] = False
    live, revised = network.stage(embeddings, scored)
    past = network.views(embeddings, scored, causal=True).prediction[:, -1]
    whole = network.views(embeddings, scored, causal=False).prediction
    torch.testing.assert_close(live, (past / 2.0).softmax(dim=1))
    torch.testing.assert_close(revised, (whole / 0.5).softmax(dim=2))


@pytest.mark.parametrize("inputs", [{}, {"raw": False}], ids=str)
def test_logits_track_by_track_are_those_of_both_tracks_at_once(inputs: dict[str, bool]) -> None:
    network = build(**inputs)
    network.temperature.copy_(torch.tensor([2.0, 0.5]))
    embeddings, scored = history(network, 6)
    live, revised = calibrated(*network.track_logits(embeddings, scored, 3), network.temperature)
    expected_live, expected_revised = network.stage(embeddings, scored, 3)
    assert revised.shape == (2, 3, 5)
    torch.testing.assert_close(live, expected_live)
    torch.testing.assert_close(revised, expected_revised)


def test_the_whole_network_encodes_every_epoch_and_stages_the_sequence() -> None:
    network = build()
    epochs_uv, scored = 20 * torch.randn(2, 3, 3000), torch.ones(2, 3, dtype=torch.bool)
    embeddings = torch.stack([network.encode(window) for window in epochs_uv])
    for ours, expected in zip(
        network(epochs_uv, scored), network.stage(embeddings, scored), strict=True
    ):
        torch.testing.assert_close(ours, expected)


def test_untrained_frames_beside_band_powers_do_not_change_the_embedding() -> None:
    epochs_uv = 20 * torch.randn(2, 3000)
    alone = build(raw=False, frames=False)
    grown = build(raw=False)
    grown.load_state_dict({**grown.state_dict(), **alone.state_dict()})
    torch.testing.assert_close(grown.encode(epochs_uv), alone.encode(epochs_uv))
    nn.init.eye_(grown.spectral_encoder.add.weight)
    assert not torch.allclose(grown.encode(epochs_uv), alone.encode(epochs_uv))
