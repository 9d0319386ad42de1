"""Calibration of both tracks by temperature scaling (Guo et al. 2017, arXiv:1706.04599)."""

from __future__ import annotations

from torch import Tensor


def calibrated(live: Tensor, revised: Tensor, temperature: Tensor) -> tuple[Tensor, Tensor]:
    """Turn the logits of both tracks into calibrated probabilities.

    Parameters
    ----------
    live, revised : float (..., 5), logits.
    temperature : float (2,), above 0: the divisor of the live and of the revised logits.

    Returns
    -------
    Live and revised probabilities, in the shapes of their logits; the last axis sums to 1.
    """
    return (live / temperature[0]).softmax(dim=-1), (revised / temperature[1]).softmax(dim=-1)
