"""How the band-power weights are trained: every number."""

from __future__ import annotations

from dataclasses import dataclass

from models.mc2sleepnet import NetworkConfig


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the band-power weights are trained.

    - Windows hold ``context_epochs``; half of a batch is staged causally (`training.tracks`).
    - ``noise`` is drawn per epoch and band, ``offset`` per window and band, ``gain`` per window,
      all in ln units of power. Noise and offset are small: strong tilts hurt. ``gain`` keeps the
      absolute network right where microvolts are not, and cost nothing where they are.
    - ``between`` of the windows are of a derivation between Fpz-Cz and Pz-Oz: log powers mixed in a
      random share. Stages of other derivations get better, those of Fpz-Cz no worse.
    - ``mutual``: how much of what is to be learned comes from what both variants agree on.
    - ``floor`` of the windows have the noise of a worse recorder added: white to pink, 5 to 30 dB
      below the power of the window's newest epoch.
    - ``hide`` of the windows have a random run of epochs unscored.
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
