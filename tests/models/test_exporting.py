"""Modules are replaced in a copy, never in the network itself."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.exporting import first_line, with_replaced


class Doubled(nn.Module):
    """A replacement that contains the module that it replaces."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        doubled: torch.Tensor = 2 * self.norm(x)
        return doubled


def test_submodules_are_replaced_in_a_copy_and_the_original_stays() -> None:
    original = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.LayerNorm(4), nn.ReLU()))
    x = torch.randn(3, 4)
    before = str(original), original(x)
    replaced = with_replaced(original, {nn.LayerNorm: Doubled})
    torch.testing.assert_close(replaced(x), 2 * before[1])
    assert str(original) == before[0]
    assert torch.equal(original(x), before[1])
    with torch.no_grad():
        replaced[0].weight.zero_()
    assert torch.equal(original(x), before[1])


@pytest.mark.parametrize(("text", "expected"), [("CUDA error\nexplained", "CUDA error"), ("", "")])
def test_an_exception_is_reported_by_its_first_line(text: str, expected: str) -> None:
    assert first_line(RuntimeError(text)) == expected
