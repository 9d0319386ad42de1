"""The backends' benchmark fills every figure. Few values are checked, since the machine matters."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from rich.console import Console

from deploy.backend_benchmark import BackendsBenchmark, _judge, benchmark_backends
from deploy.backend_process import SLEEPERS
from deploy.backend_tables import tables
from deploy.ceilings import Ceiling
from models.card import default_weights
from models.contract import Gain
from monitor.errors import InputError
from tests.sharing import made_once

# The fixture runs five processes, most of which import torch.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[BackendsBenchmark, list[str]]:
    """No engine was built here: of these three, TensorRT cannot be had on any machine."""

    def benchmark(folder: Path) -> tuple[BackendsBenchmark, list[str]]:
        messages: list[str] = []
        weights, backends = default_weights(Gain.KNOWN), ["tensorrt", "onnx", "torch"]
        return benchmark_backends(
            backends, weights, folder, [1, 9], messages.append, 0.01
        ), messages

    return made_once(tmp_path_factory, "benchmark", benchmark)


@pytest.fixture(scope="module")
def result(run: tuple[BackendsBenchmark, list[str]]) -> BackendsBenchmark:
    return run[0]


@pytest.fixture(scope="module")
def messages(run: tuple[BackendsBenchmark, list[str]]) -> list[str]:
    return run[1]


def test_every_figure_is_measured(result: BackendsBenchmark) -> None:
    for each in result.backends[1:]:
        figures = each.figures
        assert figures is not None, each.unavailable
        assert 0.0 < figures.load_s < figures.startup_s
        assert 0.0 < figures.first_epoch_ms < 1e3 * figures.startup_s
        if figures.memory_mb is not None and figures.peak_mb is not None:
            assert 50.0 < figures.memory_mb <= figures.peak_mb
        for spread in (figures.encode, figures.stage, figures.epoch):
            assert 0.0 < spread.median_ms <= spread.p99_ms
        assert [many.batch for many in figures.throughput] == [1, 9]
        assert figures.sharing.sleepers == SLEEPERS
        assert figures.sharing.threads_epochs_per_s > 0.0
        assert figures.sharing.batch_epochs_per_s > 0.0
        assert each.times_floor is not None


def test_onnx_stages_without_torch(result: BackendsBenchmark) -> None:
    onnx, torch = (each.figures for each in result.backends[1:3])
    assert onnx is not None
    assert torch is not None
    assert (onnx.torch_imported, torch.torch_imported) == (False, True)
    if onnx.memory_mb is not None and torch.memory_mb is not None:
        assert onnx.memory_mb < torch.memory_mb


def test_the_plain_network_is_measured_after_the_backends(result: BackendsBenchmark) -> None:
    names = [each.backend for each in result.backends[:4]]
    assert names == ["tensorrt", "onnx", "torch", "eager"]
    eager = result.backends[3].figures
    assert eager is not None
    assert "plain" in eager.runs_on


def test_an_unavailable_backend_has_a_reason_and_stops_no_other(
    result: BackendsBenchmark, messages: list[str]
) -> None:
    tensorrt = result.backends[0]
    assert tensorrt.figures is None
    assert tensorrt.unavailable is not None
    assert not tensorrt.unavailable.startswith("failed")
    assert tensorrt.unavailable.split()[0] in shown_in_80_columns(result)
    assert "measuring torch" in messages


def test_operations_are_those_of_the_matrix_products(result: BackendsBenchmark) -> None:
    """Counted by hand for the default weights: D 64, feed-forward 256, 4 layers, both tracks.

    The context has 120 epochs, of which 11 are not final.
    """
    d, d_ff, length, newest, tracks = 64, 256, 120, 11, 2

    def layer(queries: int) -> int:
        query_and_out, key_and_value = 2 * queries * d * d, 2 * length * d * d
        attention, feed_forward = 2 * queries * length * d, 2 * queries * d * d_ff
        return 2 * tracks * (query_and_out + key_and_value + attention + feed_forward)

    def head(queries: int) -> int:
        return 2 * tracks * queries * d * 5

    work = result.ceilings.work
    assert work.stage == 3 * layer(length) + layer(newest) + head(newest)
    assert work.plain_stage == 4 * layer(length) + head(length)
    assert 0 < work.encode < work.stage


def test_rates_are_operations_over_time(result: BackendsBenchmark) -> None:
    work, torch, eager = result.ceilings.work, *result.backends[2:4]
    for each, stage in ((torch, work.stage), (eager, work.plain_stage)):
        assert each.figures is not None
        expected = [1e-9 * (work.encode + stage) * m.epochs_per_s for m in each.figures.throughput]
        assert each.gflops == pytest.approx(expected)
        assert len(each.batch_times_floor) == 2
    best = result.ceilings.one_thread
    assert best.matmul_gflops["float32"] > 0.0
    assert best.memory_gb_s > 0.0
    assert eager.figures is not None
    assert eager.figures.cores < 1.1  # So its floor is that of one thread.
    epoch_ms = 1e-6 * (work.encode + work.plain_stage) / best.matmul_gflops["float32"]
    assert eager.times_floor == pytest.approx(eager.figures.epoch.median_ms / epoch_ms)


def test_the_result_is_written_as_json(result: BackendsBenchmark) -> None:
    read = json.loads(json.dumps(asdict(result)))
    assert read["backends"][1]["figures"]["throughput"][1]["batch"] == 9
    assert read["ceilings"]["one_thread"]["on"] == "1 thread"


def test_on_a_gpu_the_floor_is_that_of_its_fastest_dtype(result: BackendsBenchmark) -> None:
    """The figures are torch's, used as if a GPU had made them."""
    torch = result.backends[2]
    assert torch.figures is not None
    rates = {"float32": 50_000.0, "float16": 600_000.0, "bfloat16": 700_000.0}
    gpu = replace(result.ceilings, gpu=Ceiling("NVIDIA H100 80GB HBM3", rates, 2_900.0))
    cuda = _judge("cuda", {"figures": asdict(torch.figures)}, gpu)
    assert cuda.gflops == torch.gflops
    assert cuda.batch_times_floor == pytest.approx([700_000.0 / rate for rate in cuda.gflops])
    shown = shown_in_80_columns(replace(result, ceilings=gpu, backends=[cuda]))
    assert "700,000" in shown


def test_tables_fit_a_terminal(result: BackendsBenchmark) -> None:
    shown = shown_in_80_columns(result)
    assert max(map(len, shown.splitlines())) <= 80
    assert "\u2026" not in shown, "a cell was cut off"
    assert all(each.backend in shown for each in result.backends)


def shown_in_80_columns(result: BackendsBenchmark) -> str:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(*tables(result), sep="\n")
    print(capture.get())
    return capture.get()


def test_unusable_weights_are_refused_before_anything_is_measured(tmp_path: Path) -> None:
    messages: list[str] = []
    with pytest.raises(InputError, match="has no card"):
        benchmark_backends(["torch"], tmp_path / "no.safetensors", tmp_path, [1], messages.append)
    assert messages == []
