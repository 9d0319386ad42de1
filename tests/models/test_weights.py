"""Weights on disk: `load` returns what `save` wrote, and refuses a damaged file."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.card import WeightsError, default_weights, read_card
from models.contract import Gain, ModelContract
from models.mc2sleepnet import MC2SleepNet, NetworkConfig
from models.weights import load, save

CONFIG = NetworkConfig(
    raw=False, frames=False, d_model=16, n_heads=4, d_ff=32, sequence_layers=1, gain_free=True
)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, MC2SleepNet, ModelContract]:
    torch.manual_seed(0)
    network = MC2SleepNet(CONFIG).eval()
    network.temperature.copy_(torch.tensor([1.25, 0.75]))
    contract = ModelContract(
        name="test",
        version="1",
        gain=Gain.UNKNOWN,
        channel="EEG Fpz-Cz",
        context_epochs=20,
        revision_epochs=5,
        embedding_dim=16,
        weights_sha256="",
    )
    path = tmp_path / "test.safetensors"
    return path, network, save(path, network, contract, {"licence": "none"})


def test_load_returns_the_saved_network(saved: tuple[Path, MC2SleepNet, ModelContract]) -> None:
    path, network, contract = saved
    loaded, loaded_contract = load(path)
    assert loaded_contract == contract and len(contract.weights_sha256) == 64
    assert loaded.config == CONFIG and not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    epochs_uv = 20 * torch.randn(3, 3000)
    assert torch.equal(loaded.encode(epochs_uv), network.encode(epochs_uv))
    assert torch.equal(loaded.temperature, network.temperature)
    assert read_card(path)["licence"] == "none"


def test_load_is_quick_and_leaves_nothing_behind(tmp_path: Path) -> None:
    program = (
        "import os, sys, torch\n"
        "from models.mc2sleepnet import MC2SleepNet, NetworkConfig\n"
        "with torch.device('meta'):\n"
        "    MC2SleepNet(NetworkConfig())\n"
        "print([name for name in sys.modules if name == 'torch._dynamo'], os.listdir())"
    )
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": root}
    answer = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == "[] []\n", "PyTorch imports its compiler to load weights"


def test_damaged_tensors_are_refused(saved: tuple[Path, MC2SleepNet, ModelContract]) -> None:
    path, _, _ = saved
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="damaged"):
        load(path)
    path.unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        load(path)


def test_a_card_of_other_tensors_is_refused(
    saved: tuple[Path, MC2SleepNet, ModelContract],
) -> None:
    path, _, _ = saved
    card_path = path.with_suffix(".json")
    card = json.loads(card_path.read_text())
    card_path.write_text(json.dumps({**card, "network": {**card["network"], "d_ff": 64}}))
    with pytest.raises(WeightsError, match="does not hold the network"):
        load(path)
    del card["network"]["gain_free"]  # False would stage another network
    card_path.write_text(json.dumps(card))
    with pytest.raises(WeightsError, match="gain_free is missing"):
        load(path)
    card_path.write_text(json.dumps({**card, "contract": {}}))
    with pytest.raises(WeightsError, match="bad contract"):
        load(path)
    card_path.write_text("[1]")
    with pytest.raises(WeightsError, match="not a weights card"):
        load(path)
    card_path.write_text("{")
    with pytest.raises(WeightsError, match="JSON"):
        load(path)
    card_path.unlink()
    with pytest.raises(ValueError, match="has no card"):
        load(path)


def test_weights_that_cannot_be_written_leave_the_old_ones(
    saved: tuple[Path, MC2SleepNet, ModelContract], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, network, contract = saved

    def full_disk(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    network.temperature.fill_(2.0)
    with pytest.raises(OSError, match="No space left"):
        save(path, network, contract, {})
    assert load(path)[1] == contract
    assert sorted(each.name for each in path.parent.iterdir()) == [
        "test.json",
        "test.safetensors",
    ]


@pytest.mark.parametrize("gain", list(Gain))
def test_the_cards_of_the_default_weights_describe_them(gain: Gain) -> None:
    path = default_weights(gain)
    network, contract = load(path)
    assert contract.gain is gain
    assert network.config.gain_free is (gain is Gain.UNKNOWN)
    card = read_card(path)
    assert card["data"]["licences"] == ["ODC-By 1.0"] and card["data"]["may_ship"]
    assert card["command"].startswith("sleep-train ")
    assert any("Not a medical device" in limit for limit in card["limits"])


@pytest.mark.parametrize("gain", list(Gain))
def test_default_weights_ignore_polarity_and_unknown_gain(gain: Gain) -> None:
    network, contract = load(default_weights(gain))
    random = torch.Generator().manual_seed(0)
    walk_uv = torch.randn(contract.context_epochs, 3000, generator=random).cumsum(dim=1) / 3
    epochs_uv = walk_uv - walk_uv.mean(dim=1, keepdim=True)
    scored = torch.ones(1, contract.context_epochs, dtype=torch.bool)
    live, revised = network.stage(network.encode(epochs_uv)[None], scored)
    inverted, _ = network.stage(network.encode(-epochs_uv)[None], scored)
    assert torch.equal(inverted, live)
    for factor in (0.5, 2.0):
        other, other_revised = network.stage(network.encode(factor * epochs_uv)[None], scored)
        same = torch.allclose(other, live, atol=1e-4) and torch.allclose(
            other_revised, revised, atol=1e-4
        )
        assert same is (gain is Gain.UNKNOWN)
