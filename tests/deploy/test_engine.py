"""Half precision is approved, and engines are built, only if they stage real sleep as PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from deploy.engine import approve_half, build_engines, programs
from deploy.parity import ParityGate
from models.card import default_weights
from models.contract import Gain, ModelContract
from monitor.errors import MonitorError
from monitor.staging.backend import Backend, BackendUnavailableError
from monitor.staging.cuda_backend import FULL, HALF, approved
from monitor.staging.device_backend import DeviceBackend
from monitor.staging.gpu import Sidecar, nvidia_gpu
from monitor.staging.network_parts import load_parts
from monitor.staging.tensorrt_backend import EMBED, STAGE
from monitor.types import F32, Bool
from tests.nights import excerpt_uv

WEIGHTS = default_weights(Gain.KNOWN)
HERE = {"gpu": "a GPU", "torch": "2.13.0"}
CPU = torch.device("cpu")


class CudaOnCpu:
    """The CUDA backend on the CPU. ``errors`` are added to its live probabilities, by precision."""

    name = "cuda"
    trouble = ""

    def __init__(self, precision: str, errors: dict[str, float]) -> None:
        self.runs_on = precision
        self._error = errors.get(precision, 0.0)
        # Half precision is slow on a CPU, and not needed for results that are wrong anyway.
        dtype = torch.float32 if precision in errors else getattr(torch, precision)
        self._backend = DeviceBackend("cuda", precision, load_parts(WEIGHTS, CPU, dtype))

    @property
    def contract(self) -> ModelContract:
        return self._backend.contract

    def encode(self, epochs_uv: F32) -> F32:
        return self._backend.encode(epochs_uv)

    def stage(self, embeddings: F32, scored: Bool) -> tuple[F32, F32]:
        live, revised = self._backend.stage(embeddings, scored)
        return live + np.float32(self._error), revised


def approve(sidecar: Path, force: bool = False, **errors: float) -> tuple[str, list[str]]:
    """Return the precision that was approved now, or "", and the messages."""
    messages: list[str] = []

    def open_backend(precision: str) -> Backend:
        return CudaOnCpu(precision, errors)

    gate = ParityGate(WEIGHTS)
    parity = approve_half(open_backend, gate, sidecar, HERE, force, messages.append)
    return parity.runs_on if parity else "", messages


def test_half_precision_is_approved_on_real_sleep_and_then_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "cuda.json"
    assert approve(path) == (HALF, [])
    sidecar = Sidecar.read(path)
    assert sidecar is not None and sidecar.made_for == HERE
    assert sidecar.parity["n_epochs"] == 167
    assert sidecar.parity["label_agreement"] >= 0.995
    assert 0 < sidecar.parity["largest_difference"] < 0.01
    assert approve(path) == ("", ["  cuda: up to date, float16"])


def test_an_approval_of_another_setup_is_repeated_and_half_may_be_refused(
    tmp_path: Path,
) -> None:
    path = tmp_path / "cuda.json"
    Sidecar({**HERE, "torch": "2.11.0"}, HALF, {}).write(path)
    precision, messages = approve(path, float16=0.03)
    assert precision == FULL
    assert len(messages) == 1 and "float16 stages differently" in messages[0]
    sidecar = Sidecar.read(path)
    assert sidecar is not None and sidecar.precision == FULL and sidecar.made_for == HERE
    assert approve(path) == ("", ["  cuda: up to date, float32"])
    with pytest.raises(MonitorError, match="not even float32"):
        approve(path, force=True, float16=0.03, float32=float("nan"))
    # The earlier approval is no longer valid.
    with pytest.raises(BackendUnavailableError, match="stages differently"):
        approved(Sidecar.read(path), HERE)


def test_the_parts_that_become_engines_stage_batches_of_any_length() -> None:
    parts = programs(WEIGHTS, CPU)
    attention = torch.ops.aten.scaled_dot_product_attention.default
    attends = [node for node in parts[STAGE].graph.nodes if node.target is attention]
    assert {arg.meta["val"].dtype for node in attends for arg in node.args} == {torch.float16}
    plain_parts = load_parts(WEIGHTS, CPU, torch.float32)
    plain = DeviceBackend("cuda", "the CPU", plain_parts)
    for n in (1, 3, 64):
        epochs_uv = torch.from_numpy(excerpt_uv()[0, : 3000 * n].reshape(n, 3000).copy())
        measured = plain_parts.measure(epochs_uv)
        (embeddings,) = parts[EMBED].module()(*measured)
        assert embeddings.dtype == torch.float32
        expected = plain.encode(epochs_uv.numpy())
        assert embeddings.numpy() == pytest.approx(expected, abs=0.02)
        windows = np.repeat(expected[np.newaxis], n, axis=0)[:, -120:]
        length = windows.shape[1]
        context = np.zeros((n, 120, 64), np.float32)
        context[:, -length:] = windows
        scored = np.zeros((n, 120), bool)
        scored[:, -length:] = True
        results = parts[STAGE].module()(torch.from_numpy(context), torch.from_numpy(scored))
        for result, right in zip(results, plain.stage(context, scored), strict=True):
            assert result.dtype == torch.float32
            assert result.numpy() == pytest.approx(right, abs=0.01)


def test_without_a_gpu_nothing_is_built_and_the_error_names_the_reason(tmp_path: Path) -> None:
    try:
        nvidia_gpu()
    except BackendUnavailableError:
        pass
    else:
        pytest.skip("there is an NVIDIA GPU here")
    with pytest.raises(MonitorError, match="nothing can be built: there is no NVIDIA GPU"):
        build_engines(WEIGHTS, tmp_path, False, print)
    assert not any(tmp_path.iterdir())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_gpu_is_approved_once(tmp_path: Path) -> None:
    messages: list[str] = []
    made = build_engines(WEIGHTS, tmp_path, False, messages.append)
    assert made[0].backend == "cuda" and made[0].passed
    messages.clear()
    build_engines(WEIGHTS, tmp_path, False, messages.append)
    assert any("cuda: up to date" in line for line in messages)
    again = build_engines(WEIGHTS, tmp_path, True, messages.append)
    assert again[0] == made[0]
