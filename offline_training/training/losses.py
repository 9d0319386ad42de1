"""What the three parts of the training make small.

`info_nce` (van den Oord et al. 2018; symmetric as in CLIP) and `supervised_contrast` (Khosla et
al. 2020, SleePyCo's) bring the two streams of an epoch together; `masked_l1` is the cross-masking
of MC2SleepNet; `logit_loss` the cross-entropy of every logit set. All are computed in float32.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from models.mc2sleepnet import Logits
from offline_training.training.tracks import weighted_loss


def info_nce(raw: Tensor, spectral: Tensor, temperature: float) -> Tensor:
    """Each epoch's raw embedding must find its own spectral one among the batch's, and back.

    Parameters
    ----------
    raw, spectral : (B, D) unit vectors, row i of both from the same epoch.

    Returns
    -------
    Scalar: mean of both directions, ln(B) where nothing is told apart.
    """
    similarity = raw.float() @ spectral.float().T / temperature  # (B, B)
    itself = torch.arange(len(raw), device=raw.device)
    return 0.5 * (F.cross_entropy(similarity, itself) + F.cross_entropy(similarity.T, itself))


def supervised_contrast(raw: Tensor, spectral: Tensor, stage: Tensor, temperature: float) -> Tensor:
    """All embeddings of a stage attract each other, whichever stream they come from.

    Parameters
    ----------
    raw, spectral : (B, D) unit vectors, row i of both from the same epoch.
    stage : int64 (B,). Epochs with a negative one attract only their own other stream.
    """
    vectors = torch.cat([raw, spectral]).float()  # (2B, D)
    n = len(raw)
    epoch = torch.arange(n, device=raw.device).repeat(2)
    label = torch.where(stage >= 0, stage, -1 - torch.arange(n, device=raw.device)).repeat(2)
    itself = torch.eye(2 * n, dtype=torch.bool, device=raw.device)
    alike = ((label[:, None] == label) | (epoch[:, None] == epoch)) & ~itself  # (2B, 2B)
    similarity = (vectors @ vectors.T / temperature).masked_fill(itself, -torch.inf)
    log_share = similarity - similarity.logsumexp(dim=1, keepdim=True)
    attracted = log_share.masked_fill(~alike, 0.0).sum(dim=1) / alike.sum(dim=1)
    return -attracted.mean()


def epoch_mask(scored: Tensor, share: float, random: Generator) -> Tensor:
    """Positions to hide from one stream: ``share`` of each window's scored epochs, at least one.

    ``scored`` and the answer are bool (B, L); unscored epochs are never chosen.
    """
    order = torch.rand(scored.shape, generator=random, device=scored.device)
    rank = order.masked_fill(~scored, 2.0).argsort(dim=1).argsort(dim=1)  # unscored ones last
    wanted = (share * scored.sum(dim=1, keepdim=True)).round().clamp_min(1)
    return (rank < wanted) & scored


def masked_l1(rebuilt: Tensor, original: Tensor, masked: Tensor) -> Tensor:
    """Mean absolute difference at the masked positions; ``original`` gets no gradient.

    ``rebuilt`` and ``original`` are (B, L, D), ``masked`` is bool (B, L) with at least one True.
    """
    return F.l1_loss(rebuilt.float()[masked], original.detach().float()[masked])


def logit_loss(logits: Logits, stage: Tensor, weight: Tensor) -> Tensor:
    """Mean over the logit sets that exist of the weighted cross-entropy against (B, L)."""
    sets = [each for each in logits if each is not None]
    return torch.stack([weighted_loss(each.float(), stage, weight) for each in sets]).mean()
