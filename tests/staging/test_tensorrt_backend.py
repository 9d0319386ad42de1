"""Engines are used only on the setup, and for the weights, that they were built for."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.card import default_weights
from models.contract import Gain
from monitor.staging.backend import BackendUnavailableError, network_folder
from monitor.staging.gpu import Gpu, Sidecar
from monitor.staging.tensorrt_backend import (
    EMBED,
    SIDECAR,
    STAGE,
    made_for,
    open_tensorrt,
    read_engines,
)
from tests.nights import backend, excerpt_uv

WEIGHTS = default_weights(Gain.KNOWN)
HERE = {
    "gpu": "NVIDIA GeForce RTX 4090",
    "compute_capability": "8.9",
    "torch": "2.13.0",
    "torch_tensorrt": "2.13.0",
    "tensorrt": "11.0.0.114",
    "weights_sha256": "f888",
}
PASSED = {"n_epochs": 167.0, "label_agreement": 1.0, "largest_difference": 0.002}
ENGINES = {EMBED: b"an engine", STAGE: b"another"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {name: hashlib.sha256(engine).hexdigest() for name, engine in ENGINES.items()}
    for name, engine in ENGINES.items():
        (tmp_path / name).write_bytes(engine)
    Sidecar(HERE, "float16", PASSED, files).write(tmp_path / SIDECAR)
    return tmp_path


def test_engines_that_were_built_here_are_read(folder: Path) -> None:
    sidecar, engines = read_engines(folder, HERE)
    assert engines == ENGINES
    assert sidecar.precision == "float16" and sidecar.made_for == HERE


@pytest.mark.parametrize("changed", HERE)
def test_engines_for_another_setup_are_refused_with_the_difference(
    folder: Path, changed: str
) -> None:
    here = {**HERE, changed: "another"}
    with pytest.raises(
        BackendUnavailableError, match=r"built for another setup.*build-engine"
    ) as error:
        read_engines(folder, here)
    assert f"{changed.replace('_', ' ')} is another and was {HERE[changed]}" in str(error.value)


def test_engines_that_are_missing_or_damaged_are_refused(folder: Path) -> None:
    (folder / STAGE).write_bytes(b"anothex")
    with pytest.raises(BackendUnavailableError, match=r"stage.engine is damaged.*build-engine"):
        read_engines(folder, HERE)
    (folder / STAGE).unlink()
    with pytest.raises(BackendUnavailableError, match=r"stage.engine cannot be read.*build-engine"):
        read_engines(folder, HERE)
    (folder / SIDECAR).unlink()
    with pytest.raises(BackendUnavailableError, match=r"no engines for these weights.*build-engin"):
        read_engines(folder, HERE)


@pytest.mark.parametrize(
    "figures",
    [{}, {**PASSED, "largest_difference": 0.021}, {**PASSED, "label_agreement": float("nan")}],
)
def test_engines_without_figures_that_pass_the_gate_are_refused(
    folder: Path, figures: dict[str, float]
) -> None:
    sidecar = Sidecar.read(folder / SIDECAR)
    assert sidecar is not None
    replace(sidecar, parity=figures).write(folder / SIDECAR)
    with pytest.raises(BackendUnavailableError, match=r"gate has not approved.*build-engine"):
        read_engines(folder, HERE)


def test_the_setup_of_engines_is_found_without_loading_tensorrt() -> None:
    contract = backend().contract
    try:
        here = made_for(Gpu("a GPU", "9.0", "580.95.05"), contract)
    except BackendUnavailableError as exc:
        assert "is not installed; pip install" in str(exc)
    else:
        assert here.keys() == HERE.keys()
        assert here["weights_sha256"] == contract.weights_sha256


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_engines_stage_as_pytorch_does(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt")
    from deploy.engine import build_engines

    messages: list[str] = []
    made = build_engines(WEIGHTS, tmp_path, False, messages.append)
    assert [parity.backend for parity in made] == ["cuda", "tensorrt"], messages
    assert all(parity.passed for parity in made)
    on_gpu = open_tensorrt(WEIGHTS, tmp_path)
    epochs_uv = excerpt_uv()[0, : 3000 * 20].reshape(20, 3000)
    scored = np.ones((1, 20), bool)
    results, expected = (by.stage(by.encode(epochs_uv)[None], scored) for by in (on_gpu, backend()))
    for result, right in zip(results, expected, strict=True):
        assert result == pytest.approx(right, abs=0.02)
    engine = network_folder(tmp_path, backend().contract) / STAGE
    engine.write_bytes(engine.read_bytes()[:-1])
    with pytest.raises(BackendUnavailableError, match="damaged"):
        open_tensorrt(WEIGHTS, tmp_path)
