"""Every number of the training of the band-power weights."""

from __future__ import annotations

from dataclasses import dataclass

from models.mc2sleepnet import NetworkConfig


@dataclass(frozen=True, slots=True)
class BandPowerRecipe:
    """Everything that decides the training of the band-power weights, except data and seed.

    - Windows hold ``context_epochs`` epochs. Half of a batch is staged causally
      (`training.tracks`).
    - ``noise``, ``offset`` and ``gain`` are standard deviations in ln units of power. Noise is
      drawn per epoch and band, offset per window and band, gain per window. Noise and offset are
      small: strong tilts of the spectrum made staging worse. Gain makes the absolute network
      tolerate wrong microvolts, at no cost where they are right.
    - ``between``: share of windows from a derivation between Fpz-Cz and Pz-Oz. Their log powers
      are mixed in a random proportion. Other derivations are then staged better, and Fpz-Cz no
      worse.
    - ``mutual``: share of the target that comes from the mean answer of both variants. The expert's
      stage is the rest.
    - ``floor``: share of windows with the noise of a worse recorder: white to pink, 5 to 30 dB
      below the power of the window's newest epoch.
    - ``hide``: share of windows in which a random run of epochs is made unscored.
    - ``evaluate_stride``: validation stages every so many epochs of the held-out nights.
    """

    context_epochs: int = 120
    revision_epochs: int = 10
    steps: int = 2000
    batch: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup_steps: int = 100
    average: float = 0.99
    noise: float = 0.1
    offset: float = 0.1
    gain: float = 0.5
    between: float = 0.5
    floor: float = 0.5
    mutual: float = 0.5
    hide: float = 0.3
    evaluate_every: int = 200
    evaluate_stride: int = 16
    d_model: int = 64
    n_heads: int = 4
    d_ff: int = 256
    sequence_layers: int = 4
    dropout: float = 0.1

    def network_config(self, gain_free: bool) -> NetworkConfig:
        """Return the config of a network whose only input is the band powers."""
        return NetworkConfig(
            raw=False,
            frames=False,
            band_power=True,
            gain_free=gain_free,
            d_model=self.d_model,
            n_heads=self.n_heads,
            d_ff=self.d_ff,
            sequence_layers=self.sequence_layers,
            max_distance=self.context_epochs - 1,
            dropout=self.dropout,
        )
