"""The export writes whole files of a network that stages as PyTorch's does, or nothing."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from deploy import cli
from models.card import default_weights, read_contract
from models.contract import Gain, ModelContract
from models.export import _export, write_graphs
from models.graphs import ENCODE, GRAPHS, STAGE, graph_files, graph_path
from models.mc2sleepnet import MC2SleepNet, NetworkConfig
from models.weights import load, save
from monitor.errors import InputError, MonitorError
from monitor.staging.onnx_backend import OnnxBackend
from monitor.staging.torch_backend import TorchBackend
from offline_training.exporting import export_onnx
from tests.nights import excerpt_uv

BANDS = {"raw": False, "frames": False, "band_power": True}
ALL_INPUTS = [
    {"raw": raw, "frames": frames, "band_power": band_power, "gain_free": gain_free}
    for raw in (True, False)
    for frames in (True, False)
    for band_power in (True, False)
    for gain_free in (True, False)
    if raw or frames or band_power
]


def tiny_weights(folder: Path, inputs: dict[str, bool], temperature: float = 1.25) -> Path:
    torch.manual_seed(0)
    config = NetworkConfig(
        raw_channels=16, d_model=16, n_heads=4, d_ff=32, frame_layers=1, sequence_layers=2, **inputs
    )
    network = MC2SleepNet(config).eval()
    network.temperature.copy_(torch.tensor([temperature, 0.75]))
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
    assert export_onnx(weights).largest_difference < 1e-5
    made, reference = OnnxBackend(weights), TorchBackend(weights)
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


@pytest.mark.timeout(300)
@pytest.mark.parametrize("gain", Gain)
def test_another_export_of_the_weights_that_ship_equals_the_one_that_ships(
    tmp_path: Path, gain: Gain
) -> None:
    """Byte for byte, except for the versions of PyTorch, which the files name."""
    weights = default_weights(gain)
    again = tmp_path / weights.name
    again.with_suffix(".json").write_bytes(weights.with_suffix(".json").read_bytes())
    write_graphs(weights, again)
    for graph in GRAPHS:
        made, shipped = (onnx.load(graph_path(each, graph)) for each in (again, weights))
        for model in (made, shipped):
            model.producer_version = ""
            del model.metadata_props[:]
        assert made.SerializeToString(deterministic=True) == shipped.SerializeToString(
            deterministic=True
        )
    epochs_uv = excerpt_uv()[0, :300_000].reshape(100, 3000)
    scored = np.ones((1, 100), np.bool_)
    answers = []
    for each in (OnnxBackend(again), OnnxBackend(weights)):
        embeddings = each.encode(epochs_uv)
        answers.append((embeddings, *each.stage(embeddings[np.newaxis], scored)))
    for found, expected in zip(*answers, strict=True):
        assert np.array_equal(found, expected)


def test_a_file_is_whole_and_its_metadata_describe_it() -> None:
    weights = default_weights(Gain.KNOWN)
    contract = read_contract(weights)
    for graph, inputs in ((ENCODE, ["epochs_uv"]), (STAGE, ["embeddings", "scored"])):
        model = onnx.load(graph_path(weights, graph), load_external_data=False)
        onnx.checker.check_model(model)
        assert [each.name for each in model.graph.input] == inputs
        properties = {each.key: each.value for each in model.metadata_props}
        assert contract.weights_sha256 in properties["contract"]
        assert properties["torch"].startswith("2.")
        assert (
            str(Path(cli.__file__).parent.parent).encode()
            not in graph_path(weights, graph).read_bytes()
        )


def test_an_export_leaves_only_its_own_files(tmp_path: Path) -> None:
    weights = tiny_weights(tmp_path, BANDS)
    before = set(tmp_path.iterdir())
    export_onnx(weights)
    assert set(tmp_path.iterdir()) - before == set(graph_files(weights))


def test_a_network_that_stages_differently_is_not_kept(tmp_path: Path) -> None:
    """This network returns NaN, which differs from every number and from NaN."""
    weights = tiny_weights(tmp_path, BANDS, temperature=float("nan"))
    before = set(tmp_path.iterdir())
    with pytest.raises(MonitorError, match="stages differently from PyTorch"):
        export_onnx(weights)
    assert set(tmp_path.iterdir()) == before


def test_real_sleep_is_the_gate_of_an_export(tmp_path: Path) -> None:
    """The graphs are a whole export, but of a network that stages differently."""
    (tmp_path / "other").mkdir()
    other = tiny_weights(tmp_path / "other", BANDS, temperature=20.0)
    weights = tiny_weights(tmp_path, BANDS)

    def write_other(of: Path, beside: Path) -> None:
        shutil.copy(other.with_suffix(".json"), beside.with_suffix(".json"))
        write_graphs(other, beside)

    with pytest.raises(MonitorError, match="of the labels agree"):
        export_onnx(weights, write_other)
    assert not any(path.exists() for path in graph_files(weights))


def test_bad_input_is_refused_before_anything_is_exported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no card"):
        export_onnx(tmp_path / "none.safetensors")


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    weights = tiny_weights(tmp_path, BANDS)

    def full(of: Path, beside: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match=r"cannot write to .*No space left.*--weights"):
        export_onnx(weights, full)


def test_without_the_exporters_packages_the_error_names_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.setattr(sys, "argv", ["sleep-deploy", "export", "--gain", "known"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 1
    assert "pip install '.[train]'" in capsys.readouterr().err
