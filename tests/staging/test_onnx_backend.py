"""The network without PyTorch: the same results, and a clear reason if it cannot run."""

from __future__ import annotations

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
from monitor.staging.backend import BackendUnavailableError, network_folder
from monitor.staging.onnx_backend import ENCODE, STAGE, OnnxBackend
from monitor.types import F32
from tests.nights import backend
from tests.staging.inputs import epochs, history

WEIGHTS = default_weights(Gain.KNOWN)


@pytest.fixture(scope="module")
def without_torch(exported: Path) -> OnnxBackend:
    return OnnxBackend(WEIGHTS, exported)


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


def test_torch_is_not_imported(exported: Path) -> None:
    program = f"""
import sys
from pathlib import Path
import numpy as np
from monitor.conditioning.conditioner import Conditioner
from monitor.staging.chain import open_backend
from monitor.staging.stager import Stager
backend = open_backend("onnx", Path({str(WEIGHTS)!r}), Path({str(exported)!r}))
embedding = backend.encode(np.ones((1, 3000), np.float32))
backend.stage(embedding[np.newaxis], np.ones((1, 1), np.bool_))
print([name for name in ("torch", "onnx", "safetensors") if name in sys.modules])
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr


def test_without_onnxruntime_the_error_names_the_remedy(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendUnavailableError, match="pip install onnxruntime"):
        OnnxBackend(WEIGHTS, exported)


def test_weights_that_were_never_exported_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailableError, match="not exported yet"):
        OnnxBackend(WEIGHTS, tmp_path)


@pytest.mark.parametrize("name", [ENCODE, STAGE])
def test_a_damaged_file_is_refused(exported: Path, tmp_path: Path, name: str) -> None:
    folder = copied(exported, tmp_path)
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BackendUnavailableError, match=rf"cannot load .*{name}.* export again"):
        OnnxBackend(WEIGHTS, tmp_path)


@pytest.mark.parametrize("metadata", [{}, {"contract": "{"}, {"contract": '{"gain": "known"}'}])
def test_a_file_of_another_network_is_refused(
    exported: Path, tmp_path: Path, metadata: dict[str, str]
) -> None:
    folder = copied(exported, tmp_path)
    model = onnx.load(folder / STAGE)
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, folder / STAGE)
    with pytest.raises(BackendUnavailableError, match="made from other weights"):
        OnnxBackend(WEIGHTS, tmp_path)


def test_a_file_with_another_contract_is_refused(exported: Path, tmp_path: Path) -> None:
    """The tensors are the same, but the context has 60 epochs instead of 120."""
    folder = copied(exported, tmp_path)
    card = json.loads(WEIGHTS.with_suffix(".json").read_text())
    card["contract"]["context_epochs"] = 60
    changed = tmp_path / "changed.safetensors"
    changed.with_suffix(".json").write_text(json.dumps(card))
    assert folder.is_dir()
    with pytest.raises(BackendUnavailableError, match="made from other weights"):
        OnnxBackend(changed, tmp_path)


def copied(exported: Path, to: Path) -> Path:
    """Copy the exported files to ``to``, where a test may change them."""
    folder = network_folder(to, backend().contract)
    shutil.copytree(network_folder(exported, backend().contract), folder)
    return folder
