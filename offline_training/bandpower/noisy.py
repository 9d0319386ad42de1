"""Windows of measured nights as other recorders, gains and derivations would have given them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from models.bandpower import BANDS_HZ, N_BANDS
from offline_training.arrays import F64
from offline_training.bandpower.recipe import Recipe
from offline_training.data.bandpowers import BandPowerNight
from offline_training.training.windows import Windows

FLOOR_DB = (5.0, 30.0)
"""How far the noise of worse recorders is below the EEG."""


class NoisyWindows:
    """Random windows of nights: log powers (B, L, 5), stages (B, L), scored (B, L)."""

    def __init__(self, nights: Sequence[BandPowerNight], recipe: Recipe, seed: int) -> None:
        self.recipe = recipe
        self.random = np.random.default_rng(seed)
        self.windows = Windows(
            [night.stage for night in nights],
            [night.stage >= 0 for night in nights],
            recipe.context_epochs,
            recipe.hide,
        )
        self.log_power = self.windows.lay_out([night.log_power for night in nights], 0)
        self.parietal = self.windows.lay_out([night.parietal for night in nights], 0)

    def draw(self) -> tuple[Tensor, Tensor, Tensor]:
        recipe, random = self.recipe, self.random
        at, stage, scored = self.windows.draw(random, recipe.batch)
        mixed = random.random((recipe.batch, 1, 1)) < recipe.between
        share = np.where(mixed, random.random(mixed.shape), 0.0)
        log_power = (1 - share) * self.log_power[at] + share * self.parietal[at]
        log_power = np.logaddexp(log_power, self._floor(log_power))
        log_power += random.normal(0, recipe.noise, (*at.shape, N_BANDS))
        log_power += random.normal(0, recipe.offset, (recipe.batch, 1, N_BANDS))
        log_power += random.normal(0, recipe.gain, (recipe.batch, 1, 1))
        return torch.from_numpy(log_power.astype(np.float32)), stage, scored

    def _floor(self, log_power: F64) -> F64:
        """ln of the noise power in each window's bands, (B, 1, 5); minus infinity without."""
        random, batch = self.random, (len(log_power), 1, 1)
        newest = np.logaddexp.reduce(log_power[:, -1], axis=1)[:, None, None]
        below_db = random.uniform(*FLOOR_DB, batch)
        steepness = random.uniform(0, 1, batch)  # 0 white, 1 pink
        low_hz, high_hz = (np.array([band[i] for band in BANDS_HZ]) for i in (1, 2))
        shape = np.log(high_hz - low_hz) - steepness * np.log(np.sqrt(low_hz * high_hz))
        shape -= np.logaddexp.reduce(shape, axis=2, keepdims=True)
        noisy = random.random(batch) < self.recipe.floor
        return np.where(noisy, newest - below_db * math.log(10) / 10 + shape, -np.inf)
