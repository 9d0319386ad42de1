"""Windows of measured nights, changed as if another recorder, gain or derivation had made them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from models.bandpower import BANDS_HZ, N_BANDS
from offline_training.arrays import F64
from offline_training.bandpower.recipe import BandPowerRecipe
from offline_training.data.bandpowers import BandPowerNight
from offline_training.training.windows import Windows

FLOOR_DB = (5.0, 30.0)
"""Range of the added noise: so many dB below the EEG."""


class NoisyWindows:
    """Source of random windows of nights, changed at random as the recipe describes."""

    def __init__(
        self, nights: Sequence[BandPowerNight], recipe: BandPowerRecipe, seed: int
    ) -> None:
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
        """Draw one batch of windows.

        Returns
        -------
        log_power : float32 (B, L, 5), ln of uV^2.
        stage : int64 (B, L), -1 where there is none.
        scored : bool (B, L).
        """
        recipe, random = self.recipe, self.random
        rows, stage, scored = self.windows.draw(random, recipe.batch)
        mixed = random.random((recipe.batch, 1, 1)) < recipe.between
        share = np.where(mixed, random.random(mixed.shape), 0.0)
        log_power = (1 - share) * self.log_power[rows] + share * self.parietal[rows]
        log_power = np.logaddexp(log_power, self._floor(log_power))
        log_power += random.normal(0, recipe.noise, (*rows.shape, N_BANDS))
        log_power += random.normal(0, recipe.offset, (recipe.batch, 1, N_BANDS))
        log_power += random.normal(0, recipe.gain, (recipe.batch, 1, 1))
        return torch.from_numpy(log_power.astype(np.float32)), stage, scored

    def _floor(self, log_power: F64) -> F64:
        """Draw ln of the noise power in each window's bands, (B, 1, 5).

        Windows without added noise get minus infinity.
        """
        random, batch = self.random, (len(log_power), 1, 1)
        newest = np.logaddexp.reduce(log_power[:, -1], axis=1)[:, None, None]  # ln of total power
        below_db = random.uniform(*FLOOR_DB, batch)
        steepness = random.uniform(0, 1, batch)  # 0 white, 1 pink
        low_hz, high_hz = (np.array([band[i] for band in BANDS_HZ]) for i in (1, 2))
        # Power of 1/f^steepness noise in a band: its width times f^-steepness at its centre.
        shape = np.log(high_hz - low_hz) - steepness * np.log(np.sqrt(low_hz * high_hz))
        shape -= np.logaddexp.reduce(shape, axis=2, keepdims=True)
        noisy = random.random(batch) < self.recipe.floor
        return np.where(noisy, newest - below_db * math.log(10) / 10 + shape, -np.inf)
