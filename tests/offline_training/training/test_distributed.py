"""Two processes over gloo train exactly what one process trains by accumulation."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.multiprocessing
from safetensors.torch import load_file, save_file
from torch.distributed import TCPStore

from offline_training.training.augment import augmentations
from offline_training.training.distributed import Ranks, process_group, single_process
from offline_training.training.finetuning import FinetunePart
from offline_training.training.pretraining import SequencePart
from offline_training.training.trainer import Trainer
from tests.offline_training.training.synthetic import RECIPE, build, nights, schedule


def train(ranks: Ranks, folder: Path) -> None:
    """Train two parts in order and write the weights of this process."""
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


def process(rank: int, port: int, folder: Path) -> None:
    """Run `train` as process ``rank`` of two, with the environment that torchrun sets."""
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
    }
    with process_group() as ranks:
        train(ranks, folder)


def test_two_processes_train_the_weights_of_one(tmp_path: Path) -> None:
    # This process serves the store that the others meet in, as torchrun does. Port 0 lets the
    # system choose a port that no other test uses.
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    arguments = (store.port, tmp_path)
    torch.multiprocessing.spawn(process, arguments, nprocs=2)  # type: ignore[no-untyped-call]
    train(Ranks(0, 1, torch.device("cpu")), tmp_path)
    one, first, second = (
        load_file(tmp_path / f"{name}.safetensors") for name in ("1-0", "2-0", "2-1")
    )
    for key in one:
        assert torch.equal(first[key], second[key]), key
        # Exact, because a sum of two addends does not depend on their order.
        assert torch.equal(first[key], one[key]), key


def test_without_torchrun_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with process_group() as ranks:
        assert ranks == single_process() and ranks.first
        assert ranks.broadcast_number(0.1) == 0.1
