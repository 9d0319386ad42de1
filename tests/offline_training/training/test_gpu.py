"""Training on a GPU in bfloat16: it learns as on a CPU, and its weights load on a CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.weights import load
from offline_training.training.distributed import Ranks, single_process
from offline_training.training.fit import fit
from tests.offline_training.training.synthetic import LEARNS, job, nights

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]


def test_a_gpu_learns_to_stage_synthetic_nights_as_a_cpu_does(tmp_path: Path) -> None:
    recordings = nights(3, n=60)
    for ranks in (single_process(), Ranks(0, 1, torch.device("cpu"))):
        out = tmp_path / ranks.device.type
        fitted = fit(
            recordings[:2],
            recordings[2:],
            job(out, recipe=LEARNS),
            ranks,
            lambda part, done: lambda *_: None,
        )
        assert fitted.weights is not None
        network, _ = load(fitted.weights)
        assert network.temperature.device.type == "cpu"
        found = {track: scores.agreement.accuracy for track, scores in fitted.scores.items()}
        assert min(found.values()) > 0.8  # type: ignore[type-var]
