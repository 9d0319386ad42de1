"""Losses with known values, masks that hide the right share, targets without gradients."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Generator

from models.mc2sleepnet import Logits
from offline_training.training.losses import (
    epoch_mask,
    info_nce,
    logit_loss,
    masked_l1,
    supervised_contrast,
)


def test_info_nce_of_equal_of_matching_and_of_swapped_embeddings() -> None:
    same = F.normalize(torch.ones(8, 4), dim=1)
    assert info_nce(same, same, 0.07).item() == pytest.approx(math.log(8))
    apart = torch.eye(8)
    assert info_nce(apart, apart, 0.07).item() < 1e-5
    assert info_nce(apart, apart.roll(1, dims=0), 0.07).item() == pytest.approx(1 / 0.07, rel=1e-3)


def test_info_nce_equals_a_computation_by_hand() -> None:
    raw = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    spectral = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    e = [[math.exp(x / 0.5) for x in row] for row in ((1.0, 0.0), (0.6, 0.8))]
    rows = -math.log(e[0][0] / sum(e[0])) - math.log(e[1][1] / sum(e[1]))
    columns = -math.log(e[0][0] / (e[0][0] + e[1][0])) - math.log(e[1][1] / (e[0][1] + e[1][1]))
    assert info_nce(raw, spectral, 0.5).item() == pytest.approx((rows + columns) / 4)


def test_supervised_contrast_is_least_if_a_stage_lies_together() -> None:
    stage = torch.tensor([0, 0, 1, 1])
    together = torch.eye(4)[stage]
    apart = torch.eye(4)
    assert supervised_contrast(together, together, stage, 0.07) == pytest.approx(
        math.log(3), rel=1e-3
    )  # three like vectors, each with a share of a third
    assert supervised_contrast(apart, apart, stage, 0.07) > 5
    unlabelled = torch.full((4,), -1)
    assert (
        supervised_contrast(apart, apart, unlabelled, 0.07).item() < 1e-4
    )  # only own partners attract, as in InfoNCE


def test_epoch_mask_hides_a_quarter_of_the_scored_epochs_and_no_other() -> None:
    random = Generator().manual_seed(0)
    scored = torch.ones(200, 20, dtype=torch.bool)
    scored[:100, :12] = False
    scored[0] = False
    first, second = (epoch_mask(scored, 0.25, random) for _ in range(2))
    assert not (first & ~scored).any()
    assert first[0].sum() == 0 and (first[1:100].sum(dim=1) == 2).all()
    assert (first[100:].sum(dim=1) == 5).all()
    both = (first & second)[100:].sum() / first[100:].sum()
    assert both == pytest.approx(0.25, abs=0.06)  # drawn independently
    assert first[100:].float().mean(dim=0).std() < 0.08  # no place is preferred
    one = torch.zeros(1, 20, dtype=torch.bool)
    one[0, 7] = True
    assert torch.equal(epoch_mask(one, 0.25, random), one)


def test_masked_l1_counts_only_hidden_epochs_and_gives_the_target_no_gradient() -> None:
    rebuilt = torch.zeros(1, 3, 2, requires_grad=True)
    original = torch.tensor([[[9.0, 9.0], [1.0, 3.0], [9.0, 9.0]]], requires_grad=True)
    loss = masked_l1(rebuilt, original, torch.tensor([[False, True, False]]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 2 and original.grad is None
    assert rebuilt.grad is not None
    assert rebuilt.grad.abs().sum(dim=2).tolist() == [[0, 1, 0]]


def test_logit_loss_weights_every_logit_set_equally() -> None:
    stage, weight = torch.tensor([[0, -1]]), torch.ones(5)
    sets = [torch.zeros(1, 2, 5) for _ in range(5)]
    assert logit_loss(Logits(*sets), stage, weight).item() == pytest.approx(math.log(5))
    sets[4] = torch.full((1, 2, 5), -50.0)
    sets[4][0, 0, 0] = 50.0
    assert logit_loss(Logits(*sets), stage, weight).item() == pytest.approx(0.8 * math.log(5))
    alone = Logits(None, sets[4])
    assert logit_loss(alone, stage, weight).item() == pytest.approx(0, abs=1e-6)
