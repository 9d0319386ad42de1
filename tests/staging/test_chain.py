"""The chain opens the best backend that works, and replaces one that fails."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from models.card import default_weights
from models.contract import Gain
from monitor.errors import InputError, MonitorError
from monitor.staging.backend import Backend, BackendUnavailableError
from monitor.staging.chain import BACKENDS, BackendChain, open_backend
from monitor.types import F32
from tests.nights import backend, excerpt_uv
from tests.staging.breakdown import FailingBackend, chain

WEIGHTS = default_weights(Gain.KNOWN)


def epochs_uv() -> F32:
    return excerpt_uv()[0, 1000 : 1000 + 6 * 3000].reshape(6, 3000)


def staged(by: Backend) -> tuple[F32, F32]:
    embeddings = by.encode(epochs_uv())
    return by.stage(embeddings[None], np.ones((1, 6), bool))


def assert_staged(by: Backend) -> None:
    for ours, expected in zip(staged(by), staged(backend()), strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_it_starts_with_the_first_that_works_and_notes_why_not_a_better_one() -> None:
    found = chain(onnx=FailingBackend("onnx", good=9), torch=backend())
    assert (found.name, found.trouble) == ("onnx", "")
    assert found.note == (
        "Staging with onnx: a card that overheats (not tensorrt, cuda: it is not installed)"
    )
    assert chain("torch", onnx=FailingBackend("onnx", good=9), torch=backend()).name == "torch"


@pytest.mark.parametrize("good", [0, 1])
def test_a_backend_that_fails_is_replaced_and_the_call_is_repeated(good: int) -> None:
    found = chain(cuda=FailingBackend("cuda", good), torch=backend())
    assert_staged(found)
    assert found.name == "torch"
    assert found.trouble == "cuda: RuntimeError: CUDA error: unspecified launch failure"


def test_a_backend_that_returns_nan_is_replaced() -> None:
    found = chain(cuda=FailingBackend("cuda", good=1, wrong=np.nan), torch=backend())
    assert_staged(found)
    assert found.name == "torch"


def test_the_next_backend_may_fail_too() -> None:
    found = chain(
        "cuda",
        cuda=FailingBackend("cuda", good=1),
        onnx=FailingBackend("onnx", good=0),
        torch=backend(),
    )
    assert_staged(found)
    assert found.name == "torch"
    assert found.trouble.startswith("onnx: RuntimeError")


def test_nan_is_returned_if_no_other_backend_is_left() -> None:
    found = chain(onnx=FailingBackend("onnx", good=0, wrong=np.nan))
    assert np.isnan(found.encode(epochs_uv())).all()
    assert found.trouble == ""


def test_the_last_backend_is_used_again_in_the_next_call() -> None:
    found = chain(onnx=FailingBackend("onnx", good=0))
    for _ in range(2):
        with pytest.raises(MonitorError, match=r"could not be staged.*onnx: Runtime.*torch: it is"):
            found.encode(epochs_uv())


def test_a_backend_that_fails_for_several_sleepers_is_replaced_once() -> None:
    together = threading.Barrier(8)
    installed = {
        "cuda": FailingBackend("cuda", good=0, before_failure=together.wait),
        "onnx": FailingBackend("onnx", good=100),
    }
    opened: list[str] = []

    def open_one(name: str, weights: Path, exported: Path) -> Backend:
        if name not in installed:
            raise BackendUnavailableError("it is not installed")
        opened.append(name)
        return installed[name]

    found = BackendChain(WEIGHTS, Path("none"), "cuda", open_one)
    threads = [threading.Thread(target=found.encode, args=(epochs_uv(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == ["cuda", "onnx"]
    assert (found.name, found.trouble[:5]) == ("onnx", "cuda:")


def test_an_error_has_the_reasons_of_all_backends_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="onnx: it is not installed"):
        chain("onnx", torch=backend())
    with pytest.raises(InputError, match=r"here: tensorrt, cuda, onnx, torch: it is not"):
        chain()
    with pytest.raises(InputError, match="cannot use the weights"):
        BackendChain(tmp_path / "none.safetensors", tmp_path)


def test_every_backend_works_or_names_the_reason_why_not(tmp_path: Path) -> None:
    """On any machine, in one line."""
    for name in BACKENDS:
        try:
            assert open_backend(name, WEIGHTS, tmp_path).name == name
        except BackendUnavailableError as exc:
            assert "\n" not in str(exc) and str(exc)
    assert BackendChain(WEIGHTS, tmp_path, "torch").name == "torch"
