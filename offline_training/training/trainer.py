"""The loop that all parts share: steps, validation, checkpoints, early stopping.

Resumption is exact. A checkpoint is written at every validation, and seed, part, step and number
of a micro-batch alone decide what is drawn. An interrupted run repeats the steps since its last
validation.
"""

from __future__ import annotations

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
from offline_training.training.averaging import MovingAverage
from offline_training.training.checkpoint import Counters
from offline_training.training.distributed import Ranks
from offline_training.training.parts import TRAINED, Part, ValidationResult, select

MAX_GRADIENT_NORM = 1.0
"""Longer gradients are scaled down to this norm, so that no single batch spoils the weights."""

OnValidation = Callable[[Counters, float, ValidationResult], None]
"""Function that the first process calls at every validation.

It gets the counters, the mean training loss since the last validation (NaN before the first step)
and the result."""


@dataclass(slots=True, eq=False)
class _Statistics:
    """Running statistics of batch-norm, the same for any number of processes.

    Every micro-batch of a step starts from the statistics before the step, and the step keeps the
    mean over its micro-batches. Without this, the order of micro-batches would count, and with it
    the number of processes.
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
        # float32 also for the counter of batches, so that one all_reduce can sum all tensors.
        self.total = [torch.zeros_like(buffer, dtype=torch.float32) for buffer in self.buffers]

    def end_micro_batch(self) -> None:
        for buffer, before, total in zip(self.buffers, self.before, self.total, strict=True):
            total += buffer
            buffer.copy_(before)

    def end_step(self, micro_batches: int) -> None:
        for buffer, total in zip(self.buffers, self.total, strict=True):
            buffer.copy_(total / micro_batches)


class Trainer:
    """Trains one part of ``network``, and resumes from the checkpoint at ``path`` if there is one.

    Raises InputError if the processes cannot share the batch equally, or if the checkpoint is
    damaged or of another network.
    """

    def __init__(
        self,
        part: Part[Any],
        network: MC2SleepNet,
        seed: int,
        ranks: Ranks,
        path: Path,
        on_validation: OnValidation,
    ) -> None:
        self.part, self.network, self.ranks = part, network, ranks
        self.seed, self.path, self.on_validation = seed, path, on_validation
        schedule = part.schedule
        self.micro_batches = schedule.batch // schedule.micro_batch
        if self.micro_batches % ranks.world:
            raise InputError(
                f"{ranks.world} processes cannot share the {self.micro_batches} micro-batches of "
                f"stage {part.name}: choose another micro_batch in the recipe"
            )
        select(network, part.name)
        trained = {n: p for n, p in network.named_parameters() if p.requires_grad}
        self.names, self.parameters = list(trained), list(trained.values())
        self.optimiser = torch.optim.Adam(
            self.parameters, lr=schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        self.counters = Counters(part.name)
        self.average = MovingAverage(network, schedule.average) if schedule.average else None
        self.best = _copied(network)
        if path.is_file():
            self._resume()
        # The first process may write a new checkpoint only after all have read the old one.
        ranks.barrier()

    @property
    def candidate(self) -> MC2SleepNet:
        """The network that is validated and kept: the average, or else the trained one."""
        return self.network if self.average is None else self.average.module

    def run(self) -> Counters:
        """Train until the schedule or the patience ends, then load the best weights.

        The weights are validated before the first step too. So the weights that are kept are never
        worse on the validation subjects than those that the part began with.
        """
        counters = self.counters
        if not counters.looked:
            self._validate(float("nan"))
        while not counters.finished:
            self._validate(self._train_to_next_validation())
        self.network.load_state_dict(self.best)
        return counters

    def _train_to_next_validation(self) -> float:
        """Train up to the next validation; return the mean loss of these steps."""
        schedule, counters = self.part.schedule, self.counters
        started_s, loss = time.monotonic(), torch.zeros((), device=self.ranks.device)
        until = min(
            schedule.steps,
            (counters.step // schedule.evaluate_every + 1) * schedule.evaluate_every,
        )
        steps = until - counters.step
        select(self.network, self.part.name)  # validation has put all modules in eval mode
        # If a step raises, closing() ends the reader thread at once.
        with closing(self._batches(counters.step + 1, until)) as batches:
            for _ in range(steps):
                loss += self._step(batches)
        # float() waits for the device. Read the clock after it, so that its work is counted.
        mean_loss = float(loss) / steps
        counters.training_s += time.monotonic() - started_s
        counters.epochs += steps * schedule.batch * self.part.epochs_per_item
        return mean_loss

    def _batches(self, first_step: int, last_step: int) -> Generator[tuple[int, Any], None, None]:
        """Yield this process's micro-batches of those steps, each with the seed of its dropout.

        A second thread reads one micro-batch ahead, while the device computes.
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
        """Do one step of the optimiser; return the batch's loss, a scalar on the device."""
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
            torch.manual_seed(seed)  # dropout draws from PyTorch's global generator
            loss = self.part.loss(self.network, batch) / self.micro_batches
            loss.backward()  # type: ignore[no-untyped-call]
            statistics.end_micro_batch()
            total += loss.detach()
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        self.ranks.all_reduce([*gradients, *statistics.total, total])
        statistics.end_step(self.micro_batches)
        torch.nn.utils.clip_grad_norm_(self.parameters, MAX_GRADIENT_NORM)
        self.optimiser.step()
        if self.average is not None:
            self.average.update_parameters(self.network)
        return total

    def _validate(self, training_loss: float) -> None:
        """Validate, keep the best weights, decide about the end, and write a checkpoint."""
        schedule, counters = self.part.schedule, self.counters
        result = self.part.validate(self.candidate)
        loss = self.ranks.broadcast_number(result.loss)
        counters.looked = True
        if loss < counters.best_loss:
            counters.best_loss, counters.best_step = loss, counters.step
            counters.looks_without_gain = 0
            self.best = _copied(self.candidate)
        else:
            counters.looks_without_gain += 1
        counters.finished = (
            counters.step >= schedule.steps or counters.looks_without_gain >= schedule.patience
        )
        if self.ranks.first:
            # The row of metrics.csv comes before the checkpoint: if the run is killed between
            # them, the resumed run drops the row and repeats the steps.
            self.on_validation(counters, training_loss, result)
            self._write()

    def _write(self) -> None:
        groups = {
            "network": self.network.state_dict(),
            "best": self.best,
            "adam": checkpoint.optimiser_tensors(self.optimiser, self.names),
        }
        if self.average is not None:
            groups["averaged"] = self.average.module.state_dict()
        checkpoint.write(self.path, self.counters, groups)

    def _resume(self) -> None:
        counters, groups = checkpoint.read(self.path)
        try:
            self.network.load_state_dict(groups["network"])
            if self.average is not None:
                decay = self.part.schedule.average
                self.average = MovingAverage(self.network, decay, updates=counters.step)
                self.average.module.load_state_dict(groups["averaged"])
            checkpoint.restore_optimiser(self.optimiser, self.names, groups.get("adam", {}))
            self.counters, self.best = counters, groups["best"]
        except (KeyError, RuntimeError, ValueError) as exc:
            raise InputError(
                f"the checkpoint {self.path} is of another network: choose another --out"
            ) from exc


def _copied(network: MC2SleepNet) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
