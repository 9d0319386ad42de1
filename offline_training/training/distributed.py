"""Several processes, each with its own GPU (or CPU), that train one network: `torchrun`.

Every step's batch is a fixed list of micro-batches; process r of w works off numbers r, r + w, ...
and the gradients are summed over all. So w processes do what one process does by accumulation,
down to the random draws, and a run may go on with another number of processes.
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
    """This process among ``world``: number ``rank``, computing on ``device``."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Each of ``tensors`` (same dtype and device) becomes its sum over the processes."""
        if self.world == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        pieces = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, piece in zip(tensors, pieces, strict=True):
            tensor.copy_(piece.view_as(tensor))

    def share(self, tensor: Tensor, owner: int) -> None:
        """``tensor``, on the CPU, becomes that of process ``owner``."""
        if self.world == 1:
            return
        moved = tensor.to(self.device)
        dist.broadcast(moved, owner)
        tensor.copy_(moved)

    def meet(self) -> None:
        """Wait until every process is here."""
        self.sum([torch.zeros(1, device=self.device)])

    def agreed(self, value: float) -> float:
        """The first process's ``value``: rounding must not part the processes' decisions."""
        one = torch.tensor(value, dtype=torch.float64)
        self.share(one, 0)
        return float(one)


def alone() -> Ranks:
    """One process, on the GPU if there is one."""
    return Ranks(0, 1, torch.device("cuda" if torch.cuda.is_available() else "cpu"))


@contextmanager
def joined() -> Iterator[Ranks]:
    """This process as `torchrun` started it, NCCL on GPUs, gloo on CPUs; `alone` without."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield alone()
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
