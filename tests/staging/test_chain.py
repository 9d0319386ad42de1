"""The best backend that works, and what happens when it no longer does."""

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
from tests.staging.breakdown import BreaksDown, chain

WEIGHTS = default_weights(Gain.KNOWN)


def epochs_uv() -> F32:
    return excerpt_uv()[0, 1000 : 1000 + 6 * 3000].reshape(6, 3000)


def staged(by: Backend) -> tuple[F32, F32]:
    embeddings = by.encode(epochs_uv())
    return by.stage(embeddings[None], np.ones((1, 6), bool))


def assert_staged(by: Backend) -> None:
    for ours, expected in zip(staged(by), staged(backend()), strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_it_begins_with_the_first_that_can_be_had_and_says_why_not_another() -> None:
    found = chain(onnx=BreaksDown("onnx", good=9), torch=backend())
    assert (found.name, found.trouble) == ("onnx", "")
    assert found.note == (
        "Staging with onnx: a card that overheats (not tensorrt, cuda: it is not installed)"
    )
    assert chain("torch", onnx=BreaksDown("onnx", good=9), torch=backend()).name == "torch"


@pytest.mark.parametrize("good", [0, 1])
def test_one_that_fails_is_replaced_and_the_question_answered(good: int) -> None:
    found = chain(cuda=BreaksDown("cuda", good), torch=backend())
    assert_staged(found)
    assert found.name == "torch"
    assert found.trouble == "cuda: RuntimeError: CUDA error: unspecified launch failure"


def test_what_is_no_number_is_no_answer() -> None:
    found = chain(cuda=BreaksDown("cuda", good=1, wrong=np.nan), torch=backend())
    assert_staged(found)
    assert found.name == "torch"


def test_the_next_may_fail_too() -> None:
    found = chain(
        "cuda",
        cuda=BreaksDown("cuda", good=1),
        onnx=BreaksDown("onnx", good=0),
        torch=backend(),
    )
    assert_staged(found)
    assert found.name == "torch"
    assert found.trouble.startswith("onnx: RuntimeError")


def test_where_there_is_no_other_what_is_no_number_is_the_answer() -> None:
    found = chain(onnx=BreaksDown("onnx", good=0, wrong=np.nan))
    assert np.isnan(found.encode(epochs_uv())).all()
    assert found.trouble == ""


def test_the_last_one_is_asked_again_next_time() -> None:
    found = chain(onnx=BreaksDown("onnx", good=0))
    for _ in range(2):
        with pytest.raises(MonitorError, match=r"could not be staged.*onnx: Runtime.*torch: it is"):
            found.encode(epochs_uv())


def test_sleepers_that_share_it_have_it_replaced_once() -> None:
    together = threading.Barrier(8)
    there = {
        "cuda": BreaksDown("cuda", good=0, after=together.wait),
        "onnx": BreaksDown("onnx", good=100),
    }
    opened: list[str] = []

    def open_one(name: str, weights: Path, exported: Path) -> Backend:
        if name not in there:
            raise BackendUnavailableError("it is not installed")
        opened.append(name)
        return there[name]

    found = BackendChain(WEIGHTS, Path("none"), "cuda", open_one)
    threads = [threading.Thread(target=found.encode, args=(epochs_uv(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == ["cuda", "onnx"]
    assert (found.name, found.trouble[:5]) == ("onnx", "cuda:")


def test_what_cannot_be_had_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="onnx: it is not installed"):
        chain("onnx", torch=backend())
    with pytest.raises(InputError, match=r"here: tensorrt, cuda, onnx, torch: it is not"):
        chain()
    with pytest.raises(InputError, match="cannot use the weights"):
        BackendChain(tmp_path / "none.safetensors", tmp_path)


def test_every_backend_says_for_itself_why_it_cannot_be_had(tmp_path: Path) -> None:
    """On any machine: each works, or is told to be unavailable in a sentence."""
    for name in BACKENDS:
        try:
            assert open_backend(name, WEIGHTS, tmp_path).name == name
        except BackendUnavailableError as exc:
            assert "\n" not in str(exc) and str(exc)
    assert BackendChain(WEIGHTS, tmp_path, "torch").name == "torch"
