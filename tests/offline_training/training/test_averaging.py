"""The moving average of weights: its formula, its buffers, and its resumption."""

from __future__ import annotations

import torch

from models.mc2sleepnet import MC2SleepNet
from offline_training.training.averaging import MovingAverage
from tests.offline_training.training.synthetic import build, nights


def step(network: MC2SleepNet, number: int) -> None:
    """Set weight and buffer to values that only step ``number`` has."""
    with torch.no_grad():
        network.joint_head.bias.fill_(float(number))
        network.temperature.fill_(float(number))


def test_the_average_begins_with_the_first_weights_and_its_decay_grows_to_the_limit() -> None:
    network = build(nights(1))
    step(network, 0)
    average = MovingAverage(network, 0.2)
    expected = 0.0
    for number in range(1, 6):
        step(network, number)
        average.update_parameters(network)
        keep = min(0.2, number / (number + 10))
        expected = keep * expected + (1 - keep) * number
        torch.testing.assert_close(average.module.joint_head.bias, torch.full((5,), expected))
        assert average.module.temperature.tolist() == [number, number]
    assert network.joint_head.bias.tolist() == [5] * 5


def test_a_resumed_average_goes_on_as_if_it_had_not_stopped() -> None:
    network = build(nights(1))
    straight = MovingAverage(network, 0.99)
    for number in range(1, 4):
        step(network, number)
        straight.update_parameters(network)
    resumed = MovingAverage(network, 0.99, updates=3)
    resumed.module.load_state_dict(straight.module.state_dict())
    step(network, 4)
    for average in (straight, resumed):
        average.update_parameters(network)
    assert torch.equal(resumed.module.joint_head.bias, straight.module.joint_head.bias)
