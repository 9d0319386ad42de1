"""Half precision is approved, and engines are built, only if they stage real sleep as PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from deploy import engine
from deploy.engine import build_engines, programs
from monitor.errors import MonitorError
from monitor.staging.approval import FULL, HALF, approved_precision
from monitor.staging.backend import BackendRefusedError, BackendUnavailableError
from monitor.staging.device_backend import DeviceBackend
from monitor.staging.gate import ParityGate
from monitor.staging.gpu import Sidecar, nvidia_gpu
from monitor.staging.network_parts import load_parts
from monitor.staging.tensorrt_backend import EMBED, STAGE
from tests.nights import excerpt_uv
from tests.staging.cuda_on_cpu import WEIGHTS, CudaOnCpu

HERE = {"gpu": "a GPU", "torch": "2.13.0"}
CPU = torch.device("cpu")


def approve(sidecar: Path, force: bool = False, **errors: float) -> tuple[str, list[str]]:
    """Return the precision that was approved now, or "", and the messages."""
    messages: list[str] = []

    def open_in(precision: str) -> CudaOnCpu:
        return CudaOnCpu(precision, errors)

    gate = ParityGate(WEIGHTS)
    parity = engine.approve(open_in, gate, sidecar, HERE, force, messages.append)
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
    # The earlier approval is no longer valid, and the monitor does not ask again.
    with pytest.raises(BackendRefusedError, match=r"the parity gate refused it: .* by up to nan"):
        approved_precision(path, HERE, lambda precision: pytest.fail(precision), WEIGHTS)
    # The command does.
    assert approve(path, float32=0.0, float16=0.03)[0] == FULL


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
