"""Half precision is approved, and engines are built, only by and for what they stage like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from deploy.engine import Judge, approve_half, build_engines, programs
from models.card import default_weights
from models.contract import Gain, ModelContract
from monitor.errors import MonitorError
from monitor.staging.backend import Backend, BackendUnavailableError
from monitor.staging.cuda_backend import FULL, HALF, approved
from monitor.staging.device_network import DeviceNetwork
from monitor.staging.gpu import Sidecar, nvidia_gpu
from monitor.staging.tensorrt_backend import EMBED, STAGE
from monitor.types import F32, Bool
from tests.nights import excerpt_uv

WEIGHTS = default_weights(Gain.KNOWN)
HERE = {"gpu": "a GPU", "torch": "2.13.0"}
CPU = torch.device("cpu")


class OnCpu:
    """What `CudaBackend` does, on the CPU. In a precision that ``off`` names, all of its live
    probabilities are off by that."""

    name = "cuda"
    trouble = ""

    def __init__(self, precision: str, off: dict[str, float]) -> None:
        self.runs_on = precision
        self._off = off.get(precision, 0.0)
        # Half precision is slow on a CPU: not where the answers are made wrong anyway.
        dtype = torch.float32 if precision in off else getattr(torch, precision)
        self._network = DeviceNetwork(WEIGHTS, CPU, dtype)

    @property
    def contract(self) -> ModelContract:
        return self._network.contract

    def encode(self, epochs_uv: F32) -> F32:
        return self._network.encode(epochs_uv)

    def stage(self, embeddings: F32, scored: Bool) -> tuple[F32, F32]:
        live, revised = self._network.stage(embeddings, scored)
        return live + np.float32(self._off), revised


def approve(sidecar: Path, force: bool = False, **off: float) -> tuple[str, list[str]]:
    """What runs, and what was said of it."""
    told: list[str] = []

    def open_backend(precision: str) -> Backend:
        return OnCpu(precision, off)

    parity = approve_half(open_backend, Judge(WEIGHTS), sidecar, HERE, force, told.append)
    return parity.runs_on if parity else "", told


def test_half_precision_is_approved_by_real_sleep_and_then_known(tmp_path: Path) -> None:
    path = tmp_path / "cuda.json"
    assert approve(path) == (HALF, [])
    sidecar = Sidecar.read(path)
    assert sidecar is not None and sidecar.made_for == HERE
    assert sidecar.parity["n_epochs"] == 167
    assert sidecar.parity["label_agreement"] >= 0.995
    assert 0 < sidecar.parity["largest_difference"] < 0.01
    assert approve(path) == ("", ["  cuda: up to date, float16"])


def test_what_was_approved_elsewhere_is_looked_at_again_and_half_may_be_refused(
    tmp_path: Path,
) -> None:
    path = tmp_path / "cuda.json"
    Sidecar({**HERE, "torch": "2.11.0"}, HALF, {}).write(path)
    runs, told = approve(path, float16=0.03)
    assert runs == FULL
    assert len(told) == 1 and "float16 stages otherwise" in told[0]
    sidecar = Sidecar.read(path)
    assert sidecar is not None and sidecar.precision == FULL and sidecar.made_for == HERE
    assert approve(path) == ("", ["  cuda: up to date, float32"])
    with pytest.raises(MonitorError, match="not even float32"):
        approve(path, force=True, float16=0.03, float32=float("nan"))
    # What was approved before is approved no more.
    with pytest.raises(BackendUnavailableError, match="stages otherwise"):
        approved(Sidecar.read(path), HERE)


def test_the_parts_that_become_engines_stage_batches_of_any_length() -> None:
    parts = programs(WEIGHTS, CPU)
    attention = torch.ops.aten.scaled_dot_product_attention.default
    attends = [node for node in parts[STAGE].graph.nodes if node.target is attention]
    assert {arg.meta["val"].dtype for node in attends for arg in node.args} == {torch.float16}
    plain = DeviceNetwork(WEIGHTS, CPU, torch.float32)
    for n in (1, 3, 64):
        epochs_uv = torch.from_numpy(excerpt_uv()[0, : 3000 * n].reshape(n, 3000).copy())
        measured = plain.measured(epochs_uv)
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
        answers = parts[STAGE].module()(torch.from_numpy(context), torch.from_numpy(scored))
        for answer, right in zip(answers, plain.stage(context, scored), strict=True):
            assert answer.dtype == torch.float32
            assert answer.numpy() == pytest.approx(right, abs=0.01)


def test_without_a_gpu_nothing_is_built_and_it_says_so(tmp_path: Path) -> None:
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
def test_a_gpu_gets_its_approval_once(tmp_path: Path) -> None:
    told: list[str] = []
    made = build_engines(WEIGHTS, tmp_path, False, told.append)
    assert made[0].backend == "cuda" and made[0].passed
    told.clear()
    build_engines(WEIGHTS, tmp_path, False, told.append)
    assert any("cuda: up to date" in line for line in told)
    again = build_engines(WEIGHTS, tmp_path, True, told.append)
    assert again[0] == made[0]
