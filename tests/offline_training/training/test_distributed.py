"""Two processes over gloo do what one does by accumulation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.multiprocessing
from safetensors.torch import load_file, save_file

from offline_training.training.augment import augmentations
from offline_training.training.distributed import Ranks, alone, joined
from offline_training.training.finetuning import FinetunePart
from offline_training.training.pretraining import SequencePart
from offline_training.training.trainer import Trainer
from tests.offline_training.training.made import RECIPE, build, nights, schedule


def train(ranks: Ranks, folder: Path) -> None:
    """Two parts one after the other; the first process writes the weights."""
    recordings = nights(3)
    recipe = replace(RECIPE, finetune=schedule(average=0.9))
    network = build(recordings)
    sequence = SequencePart(
        recordings[:2], recordings[2:], recipe, augmentations(True), ranks.device
    )
    path = folder / f"{ranks.world}-sequence.safetensors"
    Trainer(sequence, network, 0, ranks, path, lambda *_: None).run()
    finetune = FinetunePart(network, recordings[:2], recordings[2:], recipe, ranks)
    path = folder / f"{ranks.world}-finetune.safetensors"
    Trainer(finetune, network, 0, ranks, path, lambda *_: None).run()
    save_file(network.state_dict(), folder / f"{ranks.world}-{ranks.rank}.safetensors")


def process(rank: int, folder: Path) -> None:
    import os

    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": (folder / "port").read_text(),
    }
    with joined() as ranks:
        train(ranks, folder)


def free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_two_processes_agree_with_one(tmp_path: Path) -> None:
    (tmp_path / "port").write_text(str(free_port()))
    torch.multiprocessing.spawn(process, (tmp_path,), nprocs=2)  # type: ignore[no-untyped-call]
    train(Ranks(0, 1, torch.device("cpu")), tmp_path)
    one, first, second = (
        load_file(tmp_path / f"{name}.safetensors") for name in ("1-0", "2-0", "2-1")
    )
    for key in one:
        assert torch.equal(first[key], second[key]), key
        assert torch.equal(first[key], one[key]), key  # two addends: no order to differ in


def test_without_torchrun_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined() as ranks:
        assert ranks == alone() and ranks.first and ranks.agreed(0.1) == 0.1
