"""Exponential moving average of a network's weights."""

from __future__ import annotations

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.mc2sleepnet import MC2SleepNet


class MovingAverage(AveragedModel):
    """Exponential moving average of a network's weights, on the network's device.

    - ``module`` is the averaged network. Its buffers are those of the last update.
    - The average begins with the weights before the first step. Call `update_parameters` after
      every step.
    - Update n keeps min(``decay``, n / (n + 10)) of the average, so that the first weights do not
      dominate a short training.
    """

    module: MC2SleepNet

    def __init__(self, network: MC2SleepNet, decay: float, updates: int = 0) -> None:
        """``updates``: how many updates the average had already, when a run resumes."""
        super().__init__(network)
        self.decay = decay
        # At its first update (n_averaged 0) an AveragedModel copies the weights and averages
        # nothing. The constructor has copied them already, so count that as an update. From here
        # on n_averaged is the n of the next update.
        self.n_averaged.fill_(updates + 1)

    def update_parameters(self, model: nn.Module) -> None:
        """Move the average towards ``model`` and copy its buffers."""
        # n_averaged stays on the CPU. Inside the averaging function it would be a tensor on the
        # GPU, and reading it there would make every step wait for the device.
        update = int(self.n_averaged)
        keep = min(self.decay, update / (update + 10))
        self.multi_avg_fn = get_ema_multi_avg_fn(keep)  # type: ignore[no-untyped-call]
        super().update_parameters(model)
