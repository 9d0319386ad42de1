"""The example of ADDING.md runs as it stands, and prints what the page shows."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.card import default_weights
from models.contract import Gain
from monitor.staging.backend import Backend
from monitor.staging.chain import BackendChain
from tests.pages import ROOT, code_blocks, python_blocks

PAGE = ROOT / "monitor" / "staging" / "ADDING.md"


def run_example(folder: Path) -> dict[str, Any]:
    """Run the page's Python block and return the names that it defines."""
    (example,) = python_blocks(PAGE)
    script = folder / "example.py"
    script.write_text(example, encoding="utf-8")
    return runpy.run_path(str(script), run_name="__main__")


def test_the_example_prints_what_the_page_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_example(tmp_path)
    assert capsys.readouterr().out == code_blocks(PAGE, "text")[0]


def test_the_examples_backend_keeps_the_rules_of_the_page(tmp_path: Path) -> None:
    backend: Backend = run_example(tmp_path)["backend"]
    chain = BackendChain(
        default_weights(Gain.KNOWN), tmp_path, backend.name, lambda *arguments: backend
    )
    epochs_uv = np.random.default_rng(0).normal(0, 20, (3, 3000)).astype(np.float32)
    embeddings = chain.encode(epochs_uv)[np.newaxis]
    assert embeddings.shape == (1, 3, chain.contract.embedding_dim)
    scored = np.array([[True, False, True]])
    live, revised = chain.stage(embeddings, scored)
    assert live.shape == (1, 5) and revised.shape == (1, 3, 5)
    assert live.sum() == pytest.approx(1.0)
    embeddings[0, 1] = np.nan
    for after, before in zip(chain.stage(embeddings, scored), (live, revised), strict=True):
        np.testing.assert_array_equal(after, before)
