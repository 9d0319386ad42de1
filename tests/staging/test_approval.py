"""A GPU stages only with the gate's approval, which is asked for once and remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.errors import InputError
from monitor.staging.approval import FULL, HALF, REFUSED, approved_precision, stored_approval
from monitor.staging.backend import Backend, BackendRefusedError, BackendUnavailableError
from monitor.staging.chain import BackendChain
from monitor.staging.gpu import Sidecar
from tests.nights import backend
from tests.staging.cuda_on_cpu import WEIGHTS, RecordedGpu

HERE = {
    "gpu": "a GPU",
    "driver": "580.95.05",
    "torch": "2.13.0",
    "cuda": "13.0",
    "weights_sha256": "f888",
}
PASSED = {"n_epochs": 167.0, "label_agreement": 1.0, "largest_difference": 0.002}
DIFFERS = {**PASSED, "label_agreement": 0.93}
NOT_HALF = "float16 did not pass the gate"


def start(path: Path, gpu: RecordedGpu, here: dict[str, str] = HERE) -> tuple[str, str]:
    return approved_precision(path, here, gpu.open_in, WEIGHTS)


def test_the_gate_runs_at_the_first_start_and_not_again(tmp_path: Path) -> None:
    path, gpu = tmp_path / "exported" / "network" / "cuda.json", RecordedGpu()
    assert start(path, gpu) == (HALF, "")
    assert gpu.opened == [HALF]
    assert start(path, gpu) == (HALF, "")
    assert gpu.opened == [HALF]
    stored = Sidecar.read(path)
    assert stored is not None and stored.made_for == HERE
    assert stored.parity == {**PASSED, "largest_difference": 0.0}


@pytest.mark.parametrize("half", [0.03, RuntimeError("no kernel image for this card")])
def test_float32_is_approved_if_half_precision_fails(
    half: float | Exception, tmp_path: Path
) -> None:
    path, gpu = tmp_path / "cuda.json", RecordedGpu(float16=half)
    assert start(path, gpu) == (FULL, NOT_HALF)
    assert start(path, gpu) == (FULL, NOT_HALF)
    assert gpu.opened == [HALF, FULL]


def test_a_refusal_is_remembered_with_its_figures(tmp_path: Path) -> None:
    path, gpu = tmp_path / "cuda.json", RecordedGpu(float16=0.03, float32=0.04)
    for _ in range(2):
        with pytest.raises(BackendRefusedError) as error:
            start(path, gpu)
        assert str(error.value) == (
            "the parity gate refused it: 100.00% of the labels agree (at least 99.5% must), "
            "probabilities differ by up to 0.04 (at most 0.02); the gate runs again when the GPU, "
            "its driver or PyTorch changes"
        )
    assert gpu.opened == [HALF, FULL]
    stored = Sidecar.read(path)
    assert stored is not None and stored.precision == REFUSED


@pytest.mark.parametrize(
    "failure",
    [
        RuntimeError("CUDA out of memory.\nTried to allocate 2 GiB"),
        InputError("the recording is missing"),
        BackendUnavailableError("the GPU is gone"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_a_gate_that_fails_refuses_for_this_start_only(failure: Exception, tmp_path: Path) -> None:
    path, gpu = tmp_path / "cuda.json", RecordedGpu(float16=failure, float32=failure)
    reason = " ".join(str(failure).split())
    with pytest.raises(BackendRefusedError, match="the parity gate could not run on it") as error:
        start(path, gpu)
    assert reason in str(error.value) and "\n" not in str(error.value)
    assert "it runs again at the next start" in str(error.value)
    assert not path.exists()
    assert start(path, RecordedGpu()) == (HALF, "")


@pytest.mark.parametrize("changed", HERE)
@pytest.mark.parametrize("precision", [HALF, FULL, REFUSED])
def test_an_answer_is_for_exactly_one_setup(changed: str, precision: str, tmp_path: Path) -> None:
    path = tmp_path / "cuda.json"
    Sidecar(HERE, precision, DIFFERS if precision == REFUSED else PASSED).write(path)
    assert stored_approval(path, HERE) == Sidecar.read(path)
    assert stored_approval(path, {**HERE, changed: "another"}) is None


def test_the_gate_runs_again_on_another_setup_and_replaces_the_answer(tmp_path: Path) -> None:
    path, gpu = tmp_path / "cuda.json", RecordedGpu(float16=0.03)
    Sidecar({**HERE, "torch": "2.11.0"}, HALF, PASSED).write(path)
    assert start(path, gpu) == (FULL, NOT_HALF)
    assert gpu.opened == [HALF, FULL]
    stored = Sidecar.read(path)
    assert stored is not None and stored.made_for == HERE and stored.precision == FULL


@pytest.mark.parametrize(
    ("precision", "figures"),
    [
        (HALF, {}),
        (FULL, {}),
        (REFUSED, {}),
        (HALF, DIFFERS),
        (FULL, {**PASSED, "largest_difference": float("nan")}),
        (HALF, {**PASSED, "n_epochs": float("nan")}),
        (REFUSED, PASSED),
        ("float8", PASSED),
    ],
)
def test_an_answer_that_its_figures_contradict_does_not_count(
    precision: str, figures: dict[str, float], tmp_path: Path
) -> None:
    path = tmp_path / "cuda.json"
    Sidecar(HERE, precision, figures).write(path)
    assert stored_approval(path, HERE) is None


def test_a_damaged_answer_is_replaced(tmp_path: Path) -> None:
    path, gpu = tmp_path / "cuda.json", RecordedGpu()
    path.write_bytes(b'{"precision": "float16"')
    assert start(path, gpu) == (HALF, "")
    assert gpu.opened == [HALF]
    assert stored_approval(path, HERE) is not None


@pytest.mark.parametrize("place", ["a file is the folder", "a folder is the file"])
def test_if_the_answer_cannot_be_stored_the_night_starts_and_the_gate_runs_again(
    place: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, gpu = tmp_path / "exported" / "cuda.json", RecordedGpu()
    if place == "a folder is the file":
        path.mkdir(parents=True)
    else:
        path.parent.touch()
    assert start(path, gpu) == (HALF, "")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"the gate's answer cannot be stored in {path}" in caplog.text
    failing = RecordedGpu(float16=RuntimeError("no memory"), float32=RuntimeError("no memory"))
    with pytest.raises(BackendRefusedError, match="no memory"):
        start(path, failing)
    assert failing.opened == [HALF, FULL]


def test_the_chain_passes_over_a_gpu_that_the_gate_refuses(tmp_path: Path) -> None:
    path, gpu = tmp_path / "cuda.json", RecordedGpu(float16=0.03, float32=0.04)

    def open_one(name: str, weights: Path, exported: Path) -> Backend:
        if name == "torch":
            return backend()
        if name == "cuda":
            return gpu.open_in(approved_precision(path, HERE, gpu.open_in, weights)[0])
        raise BackendUnavailableError("it is not installed")

    chain = BackendChain(WEIGHTS, tmp_path, open_one=open_one)
    assert chain.name == "torch"
    assert chain.note.count("the parity gate refused it: 100.00% of the labels agree") == 1
    with pytest.raises(InputError, match=r"cannot be run here: cuda: the parity gate ref") as error:
        BackendChain(WEIGHTS, tmp_path, "cuda", open_one)
    assert "\n" not in str(error.value)
    assert gpu.opened == [HALF, FULL]
