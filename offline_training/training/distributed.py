"""Several processes that train one network, each on its own GPU (or CPU), started by `torchrun`.

The batch of a step is a fixed list of micro-batches. Process r of w computes numbers r, r + w, ...,
and the gradients are summed over all processes. So w processes do what one process does by
accumulation, with the same random draws, and a run may resume with another number of processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among ``world`` processes: its number ``rank``, from 0, and its ``device``.

    All processes must make the same collective calls (`all_reduce`, `broadcast`, `barrier`,
    `broadcast_number`) in the same order. With one process these calls do nothing.
    """

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """True for the one process that writes files and prints."""
        return self.rank == 0

    def all_reduce(self, tensors: Sequence[Tensor]) -> None:
        """Replace each of ``tensors`` (same dtype and device) by its sum over the processes."""
        if self.world == 1:
            return
        # One call for all tensors: many small ones would wait for the network each time.
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        pieces = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, piece in zip(tensors, pieces, strict=True):
            tensor.copy_(piece.view_as(tensor))

    def broadcast(self, tensor: Tensor, owner: int) -> None:
        """Replace ``tensor``, on the CPU, by the one of process ``owner``."""
        if self.world == 1:
            return
        moved = tensor.to(self.device)  # NCCL moves GPU tensors only
        dist.broadcast(moved, owner)
        tensor.copy_(moved)

    def barrier(self) -> None:
        """Wait until every process has made this call."""
        self.all_reduce([torch.zeros(1, device=self.device)])

    def broadcast_number(self, value: float) -> float:
        """Return the first process's ``value``.

        Decisions that depend on it (to stop, to keep weights) are then the same everywhere, even
        if the processes round differently.
        """
        number = torch.tensor(value, dtype=torch.float64)
        self.broadcast(number, 0)
        return float(number)


def single_process() -> Ranks:
    """Return the `Ranks` of a run without other processes, on the GPU if there is one."""
    return Ranks(0, 1, torch.device("cuda" if torch.cuda.is_available() else "cpu"))


@contextmanager
def process_group() -> Iterator[Ranks]:
    """Join the processes that `torchrun` started, and leave them at the end of the block.

    The processes talk over NCCL on GPUs and over gloo on CPUs. Without `torchrun` this yields
    `single_process`.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield single_process()
        return
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
        dist.init_process_group("nccl")
    else:
        device = torch.device("cpu")
        dist.init_process_group("gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), device)
    finally:
        dist.destroy_process_group()
