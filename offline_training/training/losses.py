"""Losses of the three parts of the training, and the mask of hidden epochs.

- `info_nce` (van den Oord et al. 2018; symmetric as in CLIP) and `supervised_contrast` (Khosla et
  al. 2020, as SleePyCo uses it) pull the two embeddings of an epoch together.
- `masked_l1` is the cross-masking loss of MC2SleepNet.
- `logit_loss` is the cross-entropy over all logit sets.

All are computed in float32.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from models.mc2sleepnet import Logits
from offline_training.training.tracks import weighted_loss


def info_nce(raw: Tensor, spectral: Tensor, temperature: float) -> Tensor:
    """Return the symmetric InfoNCE loss: an embedding must find its partner in the batch.

    Parameters
    ----------
    raw, spectral : (B, D) unit vectors, row i of both from the same epoch.

    Returns
    -------
    Scalar, the mean of both directions; ln(B) if all vectors are alike.
    """
    similarity = raw.float() @ spectral.float().T / temperature  # (B, B)
    partner = torch.arange(len(raw), device=raw.device)
    return 0.5 * (F.cross_entropy(similarity, partner) + F.cross_entropy(similarity.T, partner))


def supervised_contrast(raw: Tensor, spectral: Tensor, stage: Tensor, temperature: float) -> Tensor:
    """Return the supervised contrastive loss: all embeddings of a stage attract each other.

    Both streams count: an embedding attracts those of its stage in either stream.

    Parameters
    ----------
    raw, spectral : (B, D) unit vectors, row i of both from the same epoch.
    stage : int64 (B,). An epoch with a negative stage attracts only its own other embedding.
    """
    vectors = torch.cat([raw, spectral]).float()  # (2B, D)
    n = len(raw)
    epoch = torch.arange(n, device=raw.device).repeat(2)
    # Unscored epochs get a label of their own each, so that they do not attract each other.
    label = torch.where(stage >= 0, stage, -1 - torch.arange(n, device=raw.device)).repeat(2)
    itself = torch.eye(2 * n, dtype=torch.bool, device=raw.device)
    alike = ((label[:, None] == label) | (epoch[:, None] == epoch)) & ~itself  # (2B, 2B)
    similarity = (vectors @ vectors.T / temperature).masked_fill(itself, -torch.inf)
    log_share = similarity - similarity.logsumexp(dim=1, keepdim=True)
    attracted = log_share.masked_fill(~alike, 0.0).sum(dim=1) / alike.sum(dim=1)
    return -attracted.mean()


def epoch_mask(scored: Tensor, share: float, random: Generator) -> Tensor:
    """Choose the epochs to hide from one stream: ``share`` of each window's scored epochs.

    ``scored`` and the result are bool (B, L). At least one epoch of a window is chosen if it has a
    scored one; unscored epochs are never chosen.
    """
    order = torch.rand(scored.shape, generator=random, device=scored.device)
    # Unscored epochs rank last: rand is below 1. The second argsort turns an order into ranks.
    rank = order.masked_fill(~scored, 2.0).argsort(dim=1).argsort(dim=1)
    wanted = (share * scored.sum(dim=1, keepdim=True)).round().clamp_min(1)
    return (rank < wanted) & scored


def masked_l1(rebuilt: Tensor, original: Tensor, masked: Tensor) -> Tensor:
    """Return the mean absolute difference at the masked positions.

    ``rebuilt`` and ``original`` are (B, L, D), ``masked`` is bool (B, L) with at least one True.
    ``original`` gets no gradient: the encoders must not make their embeddings easier to rebuild.
    """
    return F.l1_loss(rebuilt.float()[masked], original.detach().float()[masked])


def logit_loss(logits: Logits, stage: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted cross-entropy, averaged over the logit sets that are not None.

    Each set is (B, L, 5). ``stage`` is int64 (B, L), negative where it does not count. ``weight``
    is float32 (5,).
    """
    sets = [each for each in logits if each is not None]
    return torch.stack([weighted_loss(each.float(), stage, weight) for each in sets]).mean()
