"""The network without PyTorch: the same results, and a clear reason if it cannot run."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest

from models.card import default_weights
from models.contract import Gain
from models.graphs import ENCODE, GRAPHS, STAGE, checksums_path, graph_files, graph_path
from monitor.errors import InputError
from monitor.staging.backend import BackendUnavailableError
from monitor.staging.chain import BackendChain
from monitor.staging.onnx_backend import OnnxBackend
from monitor.types import F32
from tests.nights import backend
from tests.staging.inputs import epochs, history

WEIGHTS = default_weights(Gain.KNOWN)


@pytest.fixture(scope="module")
def without_torch() -> OnnxBackend:
    """Return the export that ships."""
    return OnnxBackend(WEIGHTS)


def test_embeddings_equal_pytorchs_also_for_silence(without_torch: OnnxBackend) -> None:
    epochs_uv = epochs(5)
    epochs_uv = np.concatenate([epochs_uv, np.zeros_like(epochs_uv[:1])])
    assert without_torch.encode(epochs_uv) == pytest.approx(backend().encode(epochs_uv), abs=1e-5)


@pytest.mark.parametrize("length", [1, 2, 10, 11, 12, 60, 120])
def test_stages_equal_pytorchs_with_any_context(without_torch: OnnxBackend, length: int) -> None:
    embeddings, scored = history(5, length)
    scored[0] = False  # A window without any scored epoch.
    results = without_torch.stage(embeddings, scored)
    for result, expected in zip(results, backend().stage(embeddings, scored), strict=True):
        assert result.shape == expected.shape
        assert result == pytest.approx(expected, abs=1e-5)


def test_epochs_staged_at_once_or_by_many_threads_equal_those_staged_one_by_one(
    without_torch: OnnxBackend,
) -> None:
    epochs_uv, (embeddings, scored) = epochs(21), history(21, 120)

    def one(i: int) -> tuple[F32, F32, F32]:
        live, revised = without_torch.stage(embeddings[i : i + 1], scored[i : i + 1])
        return without_torch.encode(epochs_uv[i : i + 1]), live, revised

    with ThreadPoolExecutor(8) as threads:
        alone = list(zip(*threads.map(one, range(21)), strict=True))
    together = (without_torch.encode(epochs_uv), *without_torch.stage(embeddings, scored))
    for each, all_at_once in zip(alone, together, strict=True):
        assert np.array_equal(np.concatenate(each), all_at_once)


def test_torch_is_not_imported(tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
import numpy as np
from monitor.conditioning.conditioner import Conditioner
from monitor.staging.chain import open_backend
from monitor.staging.stager import Stager
backend = open_backend("onnx", Path({str(WEIGHTS)!r}), Path({str(tmp_path)!r}))
embedding = backend.encode(np.ones((1, 3000), np.float32))
backend.stage(embedding[np.newaxis], np.ones((1, 1), np.bool_))
print([name for name in ("torch", "onnx", "safetensors") if name in sys.modules])
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr


def test_without_onnxruntime_the_error_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendUnavailableError, match="pip install onnxruntime"):
        OnnxBackend(WEIGHTS)


@pytest.mark.parametrize("installed", [True, False])
def test_weights_that_were_never_exported_are_refused(
    tmp_path: Path, installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To install onnxruntime would not help."""
    if not installed:
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
    weights = copied(tmp_path)
    for path in graph_files(weights):
        path.unlink()
    with pytest.raises(BackendUnavailableError) as error:
        OnnxBackend(weights)
    assert "not exported yet" in str(error.value)
    assert f"run sleep-deploy export --weights {weights}" in str(error.value)


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_flipped_bit_is_one_clear_line(tmp_path: Path, graph: str) -> None:
    weights = copied(tmp_path)
    path = graph_path(weights, graph)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(BackendUnavailableError, match=rf"{path.name} is damaged: .*run sleep-dep"):
        OnnxBackend(weights)
    with pytest.raises(InputError) as error:  # In the chain too, if there is no other backend.
        BackendChain(weights, tmp_path, "onnx")
    assert "is damaged: its sha256 is" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_damaged_file_is_refused(tmp_path: Path, graph: str) -> None:
    """Half a file is refused, also if the checksums name it."""
    weights = copied(tmp_path)
    path = graph_path(weights, graph)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BackendUnavailableError, match=rf"{path.name} is damaged"):
        OnnxBackend(weights)
    write_checksums(weights)
    with pytest.raises(BackendUnavailableError, match=rf"cannot load .*{path.name}.*ploy export"):
        OnnxBackend(weights)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "[" * 100_000, '{"encode": "\\u001b[31m", "stage": 1}']
)
def test_damaged_checksums_are_refused(tmp_path: Path, text: str) -> None:
    weights = copied(tmp_path)
    checksums_path(weights).write_text(text)
    with pytest.raises(BackendUnavailableError, match=r"onnx.json does not name the sha256 of"):
        OnnxBackend(weights)
    checksums_path(weights).unlink()
    with pytest.raises(BackendUnavailableError, match=r"onnx.json cannot be read"):
        OnnxBackend(weights)


@pytest.mark.parametrize("metadata", [{}, {"contract": "{"}, {"contract": '{"gain": "known"}'}])
def test_a_file_of_another_network_is_refused(tmp_path: Path, metadata: dict[str, str]) -> None:
    weights = copied(tmp_path)
    model = onnx.load(graph_path(weights, STAGE))
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, graph_path(weights, STAGE))
    write_checksums(weights)
    with pytest.raises(BackendUnavailableError, match="made from other weights"):
        OnnxBackend(weights)


def test_a_file_with_another_contract_is_refused(tmp_path: Path) -> None:
    """The tensors are the same, but the context has 60 epochs instead of 120."""
    weights = copied(tmp_path)
    path = weights.with_suffix(".json")
    card = json.loads(path.read_text())
    card["contract"]["context_epochs"] = 60
    path.write_text(json.dumps(card))
    with pytest.raises(InputError, match=r"absolute.json is damaged or was changed"):
        OnnxBackend(weights)
    write_checksums(weights)  # without the card's, as an older export
    with pytest.raises(BackendUnavailableError, match="made from other weights"):
        OnnxBackend(weights)


def test_the_graphs_in_one_another_s_place_are_refused(tmp_path: Path) -> None:
    weights = copied(tmp_path)
    encode, stage = (graph_path(weights, graph) for graph in GRAPHS)
    shutil.copy(stage, encode)
    write_checksums(weights)
    with pytest.raises(BackendUnavailableError, match=r"encode.onnx was made from other weights"):
        OnnxBackend(weights)


def test_a_checksum_that_is_none_is_not_repeated(tmp_path: Path) -> None:
    weights = copied(tmp_path)
    checksums_path(weights).write_text(json.dumps(dict.fromkeys(GRAPHS, "\x1b[31m" * 9999)))
    with pytest.raises(BackendUnavailableError, match="does not name the sha256") as caught:
        OnnxBackend(weights)
    assert str(caught.value).isprintable()


def copied(folder: Path) -> Path:
    """Copy the card and the export that ship to ``folder``, where a test may change them.

    Returns the path that the weights would have there. The backend does not read them.
    """
    for path in (WEIGHTS.with_suffix(".json"), *graph_files(WEIGHTS)):
        shutil.copy(path, folder)
    return folder / WEIGHTS.name


def write_checksums(weights: Path) -> None:
    """Write the checksums of the graphs as they are now."""
    checksums = {
        graph: hashlib.sha256(graph_path(weights, graph).read_bytes()).hexdigest()
        for graph in GRAPHS
    }
    checksums_path(weights).write_text(json.dumps(checksums))


def test_a_graph_in_the_others_place_is_refused(tmp_path: Path) -> None:
    """Both graphs of an export carry the same contract."""
    weights = copied(tmp_path)
    graph_path(weights, STAGE).write_bytes(graph_path(weights, ENCODE).read_bytes())
    write_checksums(weights)
    with pytest.raises(BackendUnavailableError, match=r"stage\.onnx was made from other weights"):
        OnnxBackend(weights)
