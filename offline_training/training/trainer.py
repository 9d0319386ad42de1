"""The loop all parts share: steps, looks at the validation subjects, checkpoints, early stopping.

Exact resumption: a checkpoint is written at every look, and what a step draws follows from seed,
part, step and micro-batch alone. An interrupted run repeats the steps since its last look.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.mc2sleepnet import MC2SleepNet
from monitor.errors import InputError
from offline_training.training import checkpoint
from offline_training.training.checkpoint import Counters
from offline_training.training.distributed import Ranks
from offline_training.training.parts import TRAINED, Looked, Part, select
from offline_training.training.tracks import average

MAX_GRADIENT_NORM = 1.0

Watch = Callable[[Counters, float, Looked], None]
"""Told at every look, by the first process: how far, the mean training loss since the last look
(NaN before the first step), what the look found."""


@dataclass(slots=True, eq=False)
class _Statistics:
    """Batch-norm's running statistics, so that accumulation and processes come to the same.

    Every micro-batch of a step starts from the step's first statistics; their mean is kept.
    """

    buffers: list[Tensor]
    before: list[Tensor] = field(init=False)
    total: list[Tensor] = field(init=False)

    @classmethod
    def of(cls, network: MC2SleepNet) -> _Statistics:
        norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d) and m.training]
        return cls([buffer for norm in norms for buffer in norm.buffers()])

    def begin_step(self) -> None:
        self.before = [buffer.clone() for buffer in self.buffers]
        self.total = [torch.zeros_like(buffer, dtype=torch.float32) for buffer in self.buffers]

    def end_micro_batch(self) -> None:
        for buffer, before, total in zip(self.buffers, self.before, self.total, strict=True):
            total += buffer
            buffer.copy_(before)

    def end_step(self, micro_batches: int) -> None:
        for buffer, total in zip(self.buffers, self.total, strict=True):
            buffer.copy_(total / micro_batches)


class Trainer:
    """One part of the training of ``network``, from its checkpoint if there is one."""

    def __init__(
        self,
        part: Part[Any],
        network: MC2SleepNet,
        seed: int,
        ranks: Ranks,
        path: Path,
        watch: Watch,
    ) -> None:
        """``path``: the checkpoint. Raises InputError if the processes cannot share the batch."""
        self.part, self.network, self.ranks = part, network, ranks
        self.seed, self.path, self.watch = seed, path, watch
        schedule = part.schedule
        self.micro_batches = schedule.batch // schedule.micro_batch
        if self.micro_batches % ranks.world:
            raise InputError(
                f"{ranks.world} processes cannot share the {self.micro_batches} micro-batches of "
                f"part {part.name}: choose another micro_batch in the recipe"
            )
        select(network, part.name)
        trained = {n: p for n, p in network.named_parameters() if p.requires_grad}
        self.names, self.parameters = list(trained), list(trained.values())
        self.optimiser = torch.optim.Adam(
            self.parameters, lr=schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        self.averaged = copy.deepcopy(network) if schedule.average else network
        self.counters = Counters(part.name)
        self.best = _copied(network)
        if path.is_file():
            self._resume()
        ranks.meet()  # before the first process writes there anew

    def run(self) -> Counters:
        """Train to the end of the schedule or of patience; the best weights end up in the network.

        Before the first step the weights are looked at as they are: what is kept is never worse
        on the validation subjects than what the part began with.
        """
        schedule, counters = self.part.schedule, self.counters
        if not counters.looked:
            self._look(float("nan"))
        while not counters.finished:
            started_s, loss = time.monotonic(), torch.zeros((), device=self.ranks.device)
            until = min(
                schedule.steps,
                (counters.step // schedule.evaluate_every + 1) * schedule.evaluate_every,
            )
            steps = until - counters.step
            select(self.network, self.part.name)
            with closing(self._batches(counters.step + 1, until)) as batches:
                for _ in range(steps):
                    loss += self._step(batches)
            mean_loss = float(loss) / steps  # waits for the device
            counters.training_s += time.monotonic() - started_s
            counters.epochs += steps * schedule.batch * self.part.epochs_per_item
            self._look(mean_loss)
        self.network.load_state_dict(self.best)
        return counters

    def _batches(self, first_step: int, last_step: int) -> Generator[tuple[int, Any], None, None]:
        """This process's micro-batches of those steps, each with the seed of its dropout.

        One is read ahead in a thread: reading and the device's work take place together.
        """
        order = list(TRAINED).index(self.part.name)

        def read(step: int, number: int) -> tuple[int, Any]:
            random = np.random.default_rng([self.seed, order, step, number])
            return int(random.integers(2**62)), self.part.read(random)

        wanted = [
            (step, number)
            for step in range(first_step, last_step + 1)
            for number in range(self.ranks.rank, self.micro_batches, self.ranks.world)
        ]
        with ThreadPoolExecutor(max_workers=1) as reader:
            ahead = reader.submit(read, *wanted[0])
            for following in wanted[1:]:
                ready = ahead.result()
                ahead = reader.submit(read, *following)
                yield ready
            yield ahead.result()

    def _step(self, batches: Iterator[tuple[int, Any]]) -> Tensor:
        """One step of the optimiser; returns the batch's loss."""
        schedule, counters = self.part.schedule, self.counters
        counters.step += 1
        for group in self.optimiser.param_groups:
            group["lr"] = schedule.learning_rate * min(
                1.0, counters.step / max(1, schedule.warmup_steps)
            )
        self.optimiser.zero_grad()
        statistics = _Statistics.of(self.network)
        statistics.begin_step()
        total = torch.zeros((), device=self.ranks.device)
        for _ in range(self.micro_batches // self.ranks.world):
            seed, batch = next(batches)
            torch.manual_seed(seed)  # dropout
            loss = self.part.loss(self.network, batch) / self.micro_batches
            loss.backward()  # type: ignore[no-untyped-call]
            statistics.end_micro_batch()
            total += loss.detach()
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        self.ranks.sum([*gradients, *statistics.total, total])
        statistics.end_step(self.micro_batches)
        torch.nn.utils.clip_grad_norm_(self.parameters, MAX_GRADIENT_NORM)
        self.optimiser.step()
        if schedule.average:
            keep = min(schedule.average, counters.step / (counters.step + 10))
            average(self.averaged, self.network, keep)
        return total

    def _look(self, training_loss: float) -> None:
        """Look at the validation subjects, keep the best weights, decide whether to go on."""
        schedule, counters = self.part.schedule, self.counters
        looked = self.part.look(self.averaged)
        loss = self.ranks.agreed(looked.loss)
        counters.looked = True
        if loss < counters.best_loss:
            counters.best_loss, counters.best_step = loss, counters.step
            counters.looks_without_gain = 0
            self.best = _copied(self.averaged)
        else:
            counters.looks_without_gain += 1
        counters.finished = (
            counters.step >= schedule.steps or counters.looks_without_gain >= schedule.patience
        )
        if self.ranks.first:
            self.watch(counters, training_loss, looked)
            self._write()

    def _write(self) -> None:
        groups = {
            "network": self.network.state_dict(),
            "best": self.best,
            "adam": checkpoint.optimiser_tensors(self.optimiser, self.names),
        }
        if self.part.schedule.average:
            groups["averaged"] = self.averaged.state_dict()
        checkpoint.write(self.path, self.counters, groups)

    def _resume(self) -> None:
        counters, groups = checkpoint.read(self.path)
        try:
            self.network.load_state_dict(groups["network"])
            if self.part.schedule.average:
                self.averaged.load_state_dict(groups["averaged"])
            checkpoint.restore_optimiser(self.optimiser, self.names, groups.get("adam", {}))
            self.counters, self.best = counters, groups["best"]
        except (KeyError, RuntimeError, ValueError) as exc:
            raise InputError(
                f"the checkpoint {self.path} is of another network: choose another --out"
            ) from exc


def _copied(network: MC2SleepNet) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
