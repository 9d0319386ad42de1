"""The network as a GPU runs it: padded, in pieces, in half precision if that was approved.

Everything but the captured graphs also runs on a CPU, and is tested there.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.card import default_weights
from models.contract import Gain, ModelContract
from models.mc2sleepnet import MC2SleepNet, NetworkConfig
from models.weights import save
from monitor.errors import InputError
from monitor.staging.approval import FULL, HALF, stored_approval
from monitor.staging.backend import BackendUnavailableError, network_folder
from monitor.staging.cuda_backend import SIDECAR, made_for, open_cuda, open_on_device
from monitor.staging.device_backend import LARGEST_BATCH, DeviceBackend, fill, padded
from monitor.staging.gpu import Gpu, Sidecar, driver_version, nvidia_gpu
from monitor.staging.network_parts import load_parts
from monitor.staging.torch_backend import TorchBackend
from monitor.types import F32
from tests.nights import backend
from tests.staging.inputs import epochs, history

WEIGHTS = default_weights(Gain.KNOWN)
CPU = torch.device("cpu")

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


def open_cpu(weights: Path, dtype: torch.dtype) -> DeviceBackend:
    return DeviceBackend("cuda", "the CPU", load_parts(weights, CPU, dtype))


@cache
def device_backend(dtype: torch.dtype = torch.float32) -> DeviceBackend:
    return open_cpu(WEIGHTS, dtype)


@pytest.mark.parametrize("length", [1, 2, 10, 11, 12, 60, 120])
def test_padding_in_front_to_the_full_context_does_not_change_the_stages(length: int) -> None:
    embeddings, scored = history(3, length)
    scored[0] = False  # A window without any scored epoch.
    results = device_backend().stage(embeddings, scored)
    for result, expected in zip(results, backend().stage(embeddings, scored), strict=True):
        assert result.shape == expected.shape
        assert result == pytest.approx(expected, abs=1e-6)


def test_the_previous_content_of_the_buffers_does_not_change_the_stages() -> None:
    embeddings, scored = history(2, 9)
    before = device_backend().stage(embeddings, scored)
    full, all_scored = history(2, 120)
    device_backend().stage(np.full_like(full, np.nan), ~np.zeros_like(all_scored))
    for after, expected in zip(device_backend().stage(embeddings, scored), before, strict=True):
        np.testing.assert_array_equal(after, expected)


def test_a_buffer_is_filled_at_the_first_rows_and_the_last_columns() -> None:
    buffer = np.full((3, 4), 9)
    fill(buffer, np.array([[1, 2], [3, 4]]))
    assert buffer.tolist() == [[0, 0, 1, 2], [0, 0, 3, 4], [9, 9, 9, 9]]


def test_batches_are_padded_to_few_sizes() -> None:
    assert [padded(n) for n in (1, 2, 3, 4, 5, 33, 64)] == [1, 2, 4, 4, 8, 64, 64]
    assert padded(LARGEST_BATCH) == LARGEST_BATCH


@pytest.mark.parametrize("n", [0, 1, 3, LARGEST_BATCH, LARGEST_BATCH + 6])
def test_a_call_may_have_any_number_of_epochs(n: int) -> None:
    epochs_uv, (embeddings, scored) = epochs(n), history(n, 12)
    ours = device_backend()
    assert ours.encode(epochs_uv) == pytest.approx(backend().encode(epochs_uv), abs=1e-5)
    live, revised = ours.stage(embeddings, scored)
    assert live.shape == (n, 5) and revised.shape == (n, 11, 5)
    if n:
        expected_live, expected = backend().stage(embeddings, scored)
        assert live == pytest.approx(expected_live, abs=1e-6)
        assert revised == pytest.approx(expected, abs=1e-6)


def test_many_threads_take_turns() -> None:
    def results(i: int) -> Iterator[F32]:
        yield device_backend().encode(epochs(i + 1)[i:])
        yield from device_backend().stage(*history(1 + i % 3, 1 + i))

    alone = [list(results(i)) for i in range(12)]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda i: list(results(i)), range(12)))
    for ours, expected in zip(together, alone, strict=True):
        for result, right in zip(ours, expected, strict=True):
            np.testing.assert_array_equal(result, right)


def test_half_precision_stages_almost_the_same_and_its_probabilities_sum_to_one() -> None:
    epochs_uv = epochs(20)
    half, full = device_backend(torch.float16), backend()
    scored = np.ones((1, 20), bool)
    results = half.stage(half.encode(epochs_uv)[None], scored)
    expected = full.stage(full.encode(epochs_uv)[None], scored)
    for result, right in zip(results, expected, strict=True):
        assert result.dtype == np.float32
        assert not np.array_equal(result, right)  # The precision differs.
        assert result == pytest.approx(right, abs=5e-3)
        assert result.sum(axis=-1) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("frames", [True, False])
@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=["float32", "float16"])
def test_a_network_with_any_inputs_stages_as_by_pytorch(
    raw: bool, frames: bool, dtype: torch.dtype, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    config = NetworkConfig(
        raw=raw, frames=frames, band_power=not raw, gain_free=raw, raw_channels=16, d_model=16,
        n_heads=4, d_ff=32, frame_layers=1, sequence_layers=2,
    )  # fmt: skip
    contract = ModelContract(
        name="tiny",
        version="1",
        gain=Gain.KNOWN,
        channel="EEG Fpz-Cz",
        context_epochs=6,
        revision_epochs=3,
        embedding_dim=config.embedding_dim,
        weights_sha256="",
    )
    weights = tmp_path / "tiny.safetensors"
    save(weights, MC2SleepNet(config).eval(), contract, {})
    ours, plain = open_cpu(weights, dtype), TorchBackend(weights)
    embeddings = ours.encode(epochs(4))
    near = 1e-5 if dtype == torch.float32 else 0.02
    assert embeddings == pytest.approx(plain.encode(epochs(4)), abs=near)
    scored = np.ones((1, 4), bool)
    results, right = (by.stage(embeddings[None], scored) for by in (ours, plain))
    for result, expected in zip(results, right, strict=True):
        assert result.shape == expected.shape
        assert result == pytest.approx(expected, abs=near)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"precision": "float16"}',
        '{"made_for": [], "precision": "float16", "parity": {}}',
        "\udcff",
    ],
)
def test_a_damaged_sidecar_approves_nothing(text: str, tmp_path: Path) -> None:
    path = tmp_path / "cuda.json"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    assert Sidecar.read(path) is None


def test_the_first_start_on_a_gpu_runs_the_gate_and_later_ones_read_its_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "monitor.staging.approval")
    gpu = Gpu("NVIDIA H100", "9.0", "580.95.05")
    sidecar = network_folder(tmp_path, backend().contract) / SIDECAR

    def start(of: Gpu) -> int:
        """Open the backend. Return how often the gate ran."""
        caplog.clear()
        opened = open_on_device(of, CPU, WEIGHTS, tmp_path)
        assert opened.runs_on == f"CUDA, {HALF}, {of.name}"
        return caplog.text.count("the parity gate runs once")

    assert [start(gpu), start(gpu)] == [1, 0]
    stored = Sidecar.read(sidecar)
    assert stored is not None and stored.precision == HALF
    assert stored.made_for == made_for(gpu, backend().contract)
    assert stored.parity["n_epochs"] == 167 and stored.parity["label_agreement"] >= 0.995
    updated = replace(gpu, driver="590.44.01")
    assert stored_approval(sidecar, made_for(updated, backend().contract)) is None


def test_damaged_weights_are_an_input_error_before_the_gate_runs(tmp_path: Path) -> None:
    weights = tmp_path / WEIGHTS.name
    weights.write_bytes(WEIGHTS.read_bytes()[:-1] + b"\0")
    weights.with_suffix(".json").write_bytes(WEIGHTS.with_suffix(".json").read_bytes())
    gpu = Gpu("NVIDIA H100", "9.0", "580.95.05")
    for precision in (None, HALF, FULL):
        with pytest.raises(InputError, match="is damaged or not the file its card describes"):
            open_on_device(gpu, CPU, weights, tmp_path / "exported", precision)
    assert not (tmp_path / "exported").exists()


class DriverLibrary:
    """The functions of CUDA's driver and of NVML that `driver_version` calls."""

    def __init__(self, nvml_status: int = 0) -> None:
        self._status = nvml_status

    def nvmlInit_v2(self) -> int:  # noqa: N802
        return self._status

    def nvmlSystemGetDriverVersion(self, version: Any, length: int) -> int:  # noqa: N802
        version.value = b"580.95.05"
        return 0

    def nvmlShutdown(self) -> int:  # noqa: N802
        return 0

    def cuDriverGetVersion(self, number: Any) -> int:  # noqa: N802
        number._obj.value = 13010
        return 0


def test_the_drivers_version_is_nvmls_or_else_the_version_of_cuda() -> None:
    assert driver_version(DriverLibrary(), DriverLibrary()) == "580.95.05"
    assert driver_version(DriverLibrary(), DriverLibrary(nvml_status=9)) == "CUDA 13.1"
    assert driver_version(DriverLibrary(), None) == "CUDA 13.1"


def test_weights_that_cannot_be_used_are_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot use the weights"):
        load_parts(tmp_path / "none.safetensors", CPU, torch.float32)


def test_without_a_gpu_nothing_is_loaded_to_find_that_out(tmp_path: Path) -> None:
    try:
        nvidia_gpu()
    except BackendUnavailableError:
        pass
    else:
        pytest.skip("there is an NVIDIA GPU here")
    program = f"""
import sys
from pathlib import Path
from monitor.staging.backend import BackendUnavailableError
from monitor.staging.cuda_backend import open_cuda
from monitor.staging.tensorrt_backend import open_tensorrt
for open_one in (open_cuda, open_tensorrt):
    try:
        open_one(Path({str(WEIGHTS)!r}), Path({str(tmp_path)!r}))
    except BackendUnavailableError as exc:
        print(exc)
assert not {{"torch", "tensorrt", "torch_tensorrt", "monitor.sources"}} & set(sys.modules)
"""
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.count("there is no NVIDIA GPU") == 2


@pytest.mark.gpu
@needs_gpu
def test_a_gpu_stages_as_pytorch_does_from_the_first_epoch_to_a_full_context(
    tmp_path: Path,
) -> None:
    on_gpu = open_cuda(WEIGHTS, tmp_path, FULL)
    assert "float32" in on_gpu.runs_on
    for n, length in ((1, 1), (1, 30), (3, 120), (LARGEST_BATCH + 6, 120)):
        assert on_gpu.encode(epochs(n)) == pytest.approx(backend().encode(epochs(n)), abs=1e-4)
        results, expected = (by.stage(*history(n, length)) for by in (on_gpu, backend()))
        for result, right in zip(results, expected, strict=True):
            assert result == pytest.approx(right, abs=1e-5)


@pytest.mark.gpu
@needs_gpu
def test_the_gate_approves_a_gpu_at_its_first_start(tmp_path: Path) -> None:
    sidecar = network_folder(tmp_path, backend().contract) / SIDECAR
    first = open_cuda(WEIGHTS, tmp_path)
    stored = sidecar.read_bytes()
    assert open_cuda(WEIGHTS, tmp_path).runs_on == first.runs_on
    assert sidecar.read_bytes() == stored


@pytest.mark.gpu
@needs_gpu
def test_a_captured_graph_returns_the_same_bits_from_any_thread(tmp_path: Path) -> None:
    on_gpu = open_cuda(WEIGHTS, tmp_path, FULL)
    windows = [history(1 + i % 5, 1 + 7 * i) for i in range(16)]
    alone = [on_gpu.stage(*each) for each in windows]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda each: on_gpu.stage(*each), windows))
    for ours, expected in zip(together, alone, strict=True):
        for result, right in zip(ours, expected, strict=True):
            np.testing.assert_array_equal(result, right)
