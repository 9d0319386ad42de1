"""The export writes whole files of a network that stages as PyTorch's does, or nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from deploy import cli
from deploy.export import _export, export_onnx
from models.card import default_weights
from models.contract import Gain, ModelContract
from models.mc2sleepnet import MC2SleepNet, NetworkConfig
from models.weights import load, save
from monitor.errors import InputError, MonitorError
from monitor.staging.backend import network_folder
from monitor.staging.onnx_backend import ENCODE, STAGE, OnnxBackend
from monitor.staging.torch_backend import TorchBackend
from tests.nights import backend, excerpt_uv

BANDS = {"raw": False, "frames": False, "band_power": True}
ALL_INPUTS = [
    {"raw": raw, "frames": frames, "band_power": band_power, "gain_free": gain_free}
    for raw in (True, False)
    for frames in (True, False)
    for band_power in (True, False)
    for gain_free in (True, False)
    if raw or frames or band_power
]


def tiny_weights(folder: Path, inputs: dict[str, bool], broken: bool = False) -> Path:
    torch.manual_seed(0)
    config = NetworkConfig(
        raw_channels=16, d_model=16, n_heads=4, d_ff=32, frame_layers=1, sequence_layers=2, **inputs
    )
    network = MC2SleepNet(config).eval()
    network.temperature.copy_(torch.tensor([1.25, 0.75]))
    if broken:
        network.temperature.fill_(torch.nan)
    contract = ModelContract(
        name="tiny",
        version="1",
        gain=Gain.UNKNOWN if config.gain_free else Gain.KNOWN,
        channel="EEG Fpz-Cz",
        context_epochs=6,
        revision_epochs=3,
        embedding_dim=config.embedding_dim,
        weights_sha256="",
    )
    path = folder / "tiny.safetensors"
    save(path, network, contract, {})
    return path


def check_export(folder: Path, inputs: dict[str, bool]) -> None:
    weights = tiny_weights(folder, inputs)
    assert export_onnx(weights, folder).largest_difference < 1e-5
    made, reference = OnnxBackend(weights, folder), TorchBackend(weights)
    epochs_uv = excerpt_uv()[0, :9000].reshape(3, 3000)
    assert made.encode(epochs_uv) == pytest.approx(reference.encode(epochs_uv), abs=1e-4)
    rng = np.random.default_rng(0)
    for length in range(1, 7):
        embeddings = rng.normal(size=(5, length, made.contract.embedding_dim)).astype(np.float32)
        scored = rng.random((5, length)) < 0.5
        results = made.stage(embeddings, scored)
        for result, expected in zip(results, reference.stage(embeddings, scored), strict=True):
            assert result.shape == expected.shape
            assert result == pytest.approx(expected, abs=1e-5)


def test_a_network_with_another_context_is_exported(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    check_export(tmp_path, BANDS)
    assert capfd.readouterr() == ("", "")  # The exporter's remarks are suppressed.


@pytest.mark.filterwarnings("ignore")  # Of the exporter.
def test_an_export_does_not_change_its_network(tmp_path: Path) -> None:
    network, contract = load(tiny_weights(tmp_path, BANDS))
    before = str(network), {name: each.clone() for name, each in network.state_dict().items()}
    _export(network, contract)
    assert str(network) == before[0]
    assert network.state_dict().keys() == before[1].keys()
    assert all(torch.equal(each, before[1][name]) for name, each in network.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize("inputs", ALL_INPUTS, ids=str)
def test_every_kind_of_network_is_exported(tmp_path: Path, inputs: dict[str, bool]) -> None:
    check_export(tmp_path, inputs)


def test_a_file_is_whole_and_its_metadata_describe_it(exported: Path) -> None:
    folder = network_folder(exported, backend().contract)
    assert sorted(path.name for path in folder.iterdir()) == [ENCODE, STAGE]
    assert list(exported.iterdir()) == [folder]  # The temporary folder is gone.
    for name, inputs in ((ENCODE, ["epochs_uv"]), (STAGE, ["embeddings", "scored"])):
        model = onnx.load(folder / name, load_external_data=False)
        onnx.checker.check_model(model)
        assert [each.name for each in model.graph.input] == inputs
        properties = {each.key: each.value for each in model.metadata_props}
        assert backend().contract.weights_sha256 in properties["contract"]
        assert properties["torch"] == torch.__version__
        assert str(Path(cli.__file__).parent).encode() not in (folder / name).read_bytes()


def test_a_network_that_stages_differently_is_not_kept(tmp_path: Path) -> None:
    """This network returns NaN, which differs from every number and from NaN."""
    weights = tiny_weights(tmp_path, BANDS, broken=True)
    with pytest.raises(MonitorError, match="stages differently from PyTorch"):
        export_onnx(weights, tmp_path / "exported")
    assert not list((tmp_path / "exported").rglob("*.onnx"))


def test_bad_input_is_refused_before_anything_is_exported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no card"):
        export_onnx(tmp_path / "none.safetensors", tmp_path)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(InputError, match="--exported"):
        export_onnx(default_weights(Gain.KNOWN), file)


def test_without_the_exporters_packages_the_error_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.setattr(sys, "argv", ["sleep-deploy", "export", "--exported", str(tmp_path)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 1
    assert "pip install onnx onnxruntime onnxscript" in capsys.readouterr().err
