"""MC2SleepNet: two views of every epoch, cross-masked sequence stacks, five sleep stages.

Written afresh after "MC2SleepNet: Multi-modal Cross-masking with Contrastive Learning for Sleep
Stage Classification" (Na et al. 2025, arXiv:2502.17470); the raw branch is the backbone of
SleePyCo (Lee et al. 2024), the spectrogram branch follows SleepTransformer (Phan et al. 2022).

    epoch (3000,) --> RawEncoder -----------------------> raw embedding (D,) --.
              '-----> spectrogram 29 x 128 --.                                  >-- cached, one per
              '-----> band powers, one token -+-> SpectrogramEncoder --> (D,) --'   epoch

    L epochs of embeddings --> raw stack         <-- cross --> spectrogram stack --> five logit sets

Two choices of ours. *Positions*: sequence attention knows epochs by their distance in time alone
(a learned bias per head and distance), so a short history looks like the end of a long one.
*Band powers*: ten fixed measurements of the epoch enter as one further token of the spectrogram
encoder. A config says which inputs exist; a module that an input needs is built only with it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.bandpower import N_BANDS, band_features, log_band_power
from models.contract import EPOCH_SAMPLES, STAGES, SpectrogramSpec
from models.spectrogram import N_BINS, N_FRAMES, log_spectrogram

N_STAGES = len(STAGES)

_AT_LEAST_ONE = (
    *("d_model", "n_heads", "d_ff", "frame_layers", "sequence_layers"),
    *("pool_units", "max_distance"),
)


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Everything that decides the network's shape. At least one input; defaults are the paper's.

    - ``raw``, ``frames``, ``band_power``: which inputs exist. The spectrogram stream carries
      frames, band powers or both.
    - ``gain_free``: every input sees the epoch at zero mean and unit RMS; band powers are relative.
    - ``raw_channels``: channels of the CNN's first stage; the later ones have 2, 3, 4 and 4 times
      as many. At least 16, since the channel gate reduces 16-fold.
    - ``max_distance``: epochs further apart than this share one position bias.
    - ``pretraining``: build the mask tokens and contrastive heads, which staging does not need.
    """

    raw: bool = True
    frames: bool = True
    band_power: bool = True
    gain_free: bool = False
    raw_channels: int = 64
    d_model: int = 128
    n_heads: int = 8
    d_ff: int = 1024
    frame_layers: int = 4
    sequence_layers: int = 4
    pool_units: int = 64
    max_distance: int = 20
    dropout: float = 0.1
    pretraining: bool = False

    def __post_init__(self) -> None:
        if not (self.raw or self.frames or self.band_power):
            raise ValueError("at least one of raw, frames and band_power must be true")
        for name in _AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.d_model % self.n_heads:
            raise ValueError(
                f"d_model must be a multiple of n_heads, got {self.d_model} and {self.n_heads}"
            )
        if self.d_model % 2:
            raise ValueError(f"d_model must be even, got {self.d_model}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")
        if self.raw_channels < 16:
            raise ValueError(f"raw_channels must be at least 16, got {self.raw_channels}")
        if self.pretraining and not self.two_streams:
            raise ValueError("pretraining needs both streams: raw, and frames or band_power")

    @property
    def spectral(self) -> bool:
        """Whether the spectrogram stream exists."""
        return self.frames or self.band_power

    @property
    def two_streams(self) -> bool:
        return self.raw and self.spectral

    @property
    def embedding_dim(self) -> int:
        """Length of an epoch's embedding: the streams' embeddings, raw first."""
        return self.d_model * (2 if self.two_streams else 1)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class EpochInputs(NamedTuple):
    """What the encoders read of B epochs. None for an input that the network does not have."""

    raw: Tensor | None = None  # (B, 3000), uV or unit RMS
    frames: Tensor | None = None  # (B, 29, 128), dB
    log_power: Tensor | None = None  # (B, 5), ln(uV^2), any unit if gain-free


class Logits(NamedTuple):
    """Five logit sets, each (B, L, 5), at every epoch. None where a stream is absent."""

    raw: Tensor | None
    spectral: Tensor | None
    raw_multi: Tensor | None = None
    spectral_multi: Tensor | None = None
    joint: Tensor | None = None

    @property
    def prediction(self) -> Tensor:
        """The set that stages: joint with two streams, else the single view."""
        for logits in (self.joint, self.spectral, self.raw):
            if logits is not None:
                return logits
        raise AssertionError("no stream")


# --- raw stream: SleePyCo's convolutional backbone ------------------------------------------


class ChannelGate(nn.Module):
    """Squeeze-and-excitation (Hu et al. 2018): each channel scaled by what all channels hold."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // reduction)
        self.excite = nn.Linear(channels // reduction, channels)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.excite(F.relu(self.squeeze(x.mean(dim=2))))  # (B, C)
        return x * gate.sigmoid().unsqueeze(2)  # type: ignore[no-any-return]


def conv_stage(channels_in: int, channels: int, n_convs: int) -> nn.Sequential:
    """Conv-BN-PReLU ``n_convs`` times; the last conv's channels are gated."""
    layers: list[nn.Module] = []
    for i in range(n_convs):
        layers += [
            nn.Conv1d(channels_in if i == 0 else channels, channels, kernel_size=3, padding=1),
            nn.BatchNorm1d(channels),
        ]
        if i == n_convs - 1:
            layers.append(ChannelGate(channels))
        layers.append(nn.PReLU())
    return nn.Sequential(*layers)


class RawBackbone(nn.Module):
    """(B, 1, 3000) -> (B, 4C, 5) in five stages: 3000, 600, 120, 24, 5 samples; C = 64."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = [1, channels, 2 * channels, 3 * channels, 4 * channels, 4 * channels]
        self.stages = nn.ModuleList(
            conv_stage(*shape)
            for shape in zip(widths[:-1], widths[1:], [2, 2, 3, 3, 3], strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        for i, stage in enumerate(self.stages):
            if i:
                # As with ceil_mode, which TensorRT does not take.
                x = F.max_pool1d(F.pad(x, (0, -x.shape[2] % 5), value=-math.inf), 5)
            x = stage(x)
        return x


class RawEncoder(nn.Module):
    """(B, 3000) -> (B, D)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.backbone = RawBackbone(config.raw_channels)
        self.project = nn.Conv1d(4 * config.raw_channels, config.d_model, kernel_size=1)

    def forward(self, raw: Tensor) -> Tensor:
        return self.project(self.backbone(raw.unsqueeze(1))).mean(dim=2)  # type: ignore[no-any-return]


# --- attention, as both the spectrogram encoder and the sequence stacks use it ----------------


class Attention(nn.Module):
    """Multi-head attention without biases. Queries from ``x``, keys and values from ``source``."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        d = config.d_model
        self.n_heads = config.n_heads
        self.query = nn.Linear(d, d, bias=False)
        self.key = nn.Linear(d, d, bias=False)
        self.value = nn.Linear(d, d, bias=False)
        self.out = nn.Linear(d, d, bias=False)

    def forward(self, x: Tensor, source: Tensor, bias: Tensor | None) -> Tensor:
        """``x`` (B, L, D), ``source`` (B, S, D), ``bias`` added to the scores (B or 1, H, L, S)."""

        def split(y: Tensor) -> Tensor:
            return y.view(*y.shape[:2], self.n_heads, -1).transpose(1, 2)  # (B, H, L, D / H)

        heads = F.scaled_dot_product_attention(
            split(self.query(x)),
            split(self.key(source)),
            split(self.value(source)),
            attn_mask=bias,
        )
        return self.out(heads.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]  # (B, L, D)


class CrossEncoderLayer(nn.Module):
    """Post-norm: attention over ``x``, then (if built with ``cross``) over the other stream, then
    the feed-forward part. Without ``other`` the cross-attention is skipped: the single view."""

    def __init__(self, config: NetworkConfig, cross: bool) -> None:
        super().__init__()
        d = config.d_model
        self.attention = Attention(config)
        self.attention_norm = nn.LayerNorm(d, eps=1e-12)
        self.cross = Attention(config) if cross else None
        self.cross_norm = nn.LayerNorm(d, eps=1e-12) if cross else None
        self.expand = nn.Linear(d, config.d_ff, bias=False)
        self.contract = nn.Linear(config.d_ff, d, bias=False)
        self.feed_norm = nn.LayerNorm(d, eps=1e-12)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x: Tensor,
        bias: Tensor | None = None,
        other: Tensor | None = None,
        cross_bias: Tensor | None = None,
        newest: int | None = None,
    ) -> Tensor:
        """``newest``: only the last so many of ``x`` come out; the biases have as many rows."""
        asks = x if newest is None else x[:, -newest:]
        x = self.attention_norm(asks + self.dropout(self.attention(asks, x, bias)))
        if other is not None:
            assert self.cross is not None and self.cross_norm is not None
            x = self.cross_norm(x + self.dropout(self.cross(x, other, cross_bias)))
        fed = self.contract(F.gelu(self.expand(x)))
        return self.feed_norm(x + self.dropout(fed))  # type: ignore[no-any-return]


# --- spectrogram stream -------------------------------------------------------------------------


class Standardise(nn.Module):
    """(x - mean) / std with the training set's constants, kept in the weights."""

    mean: Tensor
    std: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std

    def fit(self, samples: Tensor) -> None:
        """Take the constants of ``samples`` (n, size); one that never varies stays finite."""
        self.mean.copy_(samples.mean(dim=0))
        self.std.copy_(samples.std(dim=0).clamp_min(1e-6))


class BandPowerToken(nn.Module):
    """Log powers (B, 5) -> one token (B, D) from the ten band features."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.gain_free = config.gain_free
        self.standardise = Standardise(2 * N_BANDS)
        self.expand = nn.Linear(2 * N_BANDS, config.d_model)
        self.project = nn.Linear(config.d_model, config.d_model)

    def forward(self, log_power: Tensor) -> Tensor:
        features = self.standardise(band_features(log_power, self.gain_free))  # (B, 10)
        return self.project(F.gelu(self.expand(features)))  # type: ignore[no-any-return]


def sinusoids(length: int, d_model: int) -> Tensor:
    """Positions of Vaswani et al. 2017, (length, d_model)."""
    rate = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10000.0) / d_model))
    angle = torch.arange(length).unsqueeze(1) * rate  # (length, D / 2)
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)


class SpectrogramEncoder(nn.Module):
    """Frames (B, 29, 128) and the band-power token -> (B, D), by Transformer and attention pooling.

    With band powers alone there is nothing to attend to: their token is the embedding. With both,
    what the pooled frames say is added to the token, nothing at first: a network that knows band
    powers can be given frames and goes on from where it was.
    """

    positions: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.token = BandPowerToken(config) if config.band_power else None
        self.has_frames = config.frames
        if config.frames:
            d = config.d_model
            self.standardise = Standardise(N_BINS)
            self.embed = nn.Linear(N_BINS, d, bias=False) if d != N_BINS else nn.Identity()
            self.register_buffer("positions", sinusoids(N_FRAMES, d), persistent=False)
            self.layers = nn.ModuleList(
                CrossEncoderLayer(config, cross=False) for _ in range(config.frame_layers)
            )
            self.pool = nn.Linear(d, config.pool_units)
            self.pool_score = nn.Linear(config.pool_units, 1, bias=False)
        if config.frames and config.band_power:
            self.add = nn.Linear(config.d_model, config.d_model, bias=False)
            nn.init.zeros_(self.add.weight)

    def forward(self, frames: Tensor | None, log_power: Tensor | None) -> Tensor:
        token = None
        if self.token is not None:
            assert log_power is not None
            token = self.token(log_power)  # (B, D)
        if not self.has_frames:
            assert token is not None
            return token  # type: ignore[no-any-return]
        assert frames is not None
        x = self.embed(self.standardise(frames)) + self.positions  # (B, 29, D)
        if token is not None:
            x = torch.cat([token.unsqueeze(1), x], dim=1)  # (B, 30, D)
        for layer in self.layers:
            x = layer(x)
        weight = self.pool_score(self.pool(x).tanh()).softmax(dim=1)  # (B, 30, 1)
        pooled = (weight * x).sum(dim=1)  # (B, D)
        return pooled if token is None else token + self.add(pooled)  # type: ignore[no-any-return]


# --- sequence of epochs ---------------------------------------------------------------------------


class DistanceBias(nn.Module):
    """What attention adds to a score for the distance in epochs from query to key, per head.

    Starts as a gentle preference for near epochs, steeper in later heads (Press et al. 2022).
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.max_distance = config.max_distance
        distance = torch.arange(-config.max_distance, config.max_distance + 1).abs()
        slope = 2.0 ** -torch.linspace(8, 1, config.n_heads)
        self.table = nn.Parameter(-slope.unsqueeze(1) * distance)  # (H, 2 max_distance + 1)

    def forward(self, length: int) -> Tensor:
        """(H, L, L)."""
        at = torch.arange(length, device=self.table.device)
        distance = (at.unsqueeze(0) - at.unsqueeze(1)).clamp(-self.max_distance, self.max_distance)
        return self.table[:, distance + self.max_distance]


def attention_mask(scored: Tensor, causal: bool) -> Tensor:
    """Which epochs may be looked at: bool (B, 1, L, L), query by key.

    Unscored epochs are never looked at, except by themselves (so that every row has a key);
    with ``causal``, no epoch looks at a later one.
    """
    length = scored.shape[1]
    itself = torch.eye(length, dtype=torch.bool, device=scored.device)
    allowed = scored.unsqueeze(1) | itself  # (B, L, L)
    if causal:
        allowed = allowed & torch.ones_like(itself).tril()
    return allowed.unsqueeze(1)


class SequenceStack(nn.Module):
    """One stream's cross-encoder layers over a sequence of epoch embeddings (B, L, D).

    Given ``other``, every layer takes keys and values from that same unchanged sequence.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        cross = config.two_streams
        self.distance = DistanceBias(config)
        self.cross_distance = DistanceBias(config) if cross else None
        self.layers = nn.ModuleList(
            CrossEncoderLayer(config, cross) for _ in range(config.sequence_layers)
        )

    def forward(
        self,
        x: Tensor,
        allowed: Tensor,
        other: Tensor | None = None,
        newest: int | None = None,
    ) -> Tensor:
        """``newest``: only the last so many epochs come out, (B, newest, D)."""
        length = x.shape[1]
        # Added: a masked fill takes longer. In the precision of what it is added to.
        shut = torch.where(allowed, 0.0, -math.inf).to(x.dtype)
        bias = self.distance(length) + shut  # (B, H, L, L)
        cross_bias = None
        if other is not None:
            assert self.cross_distance is not None
            cross_bias = self.cross_distance(length) + shut
        *earlier, last = self.layers
        for layer in earlier:
            x = layer(x, bias, other, cross_bias)
        if newest is not None:
            bias = bias[:, :, -newest:]
            cross_bias = None if cross_bias is None else cross_bias[:, :, -newest:]
        return last(x, bias, other, cross_bias, newest)  # type: ignore[no-any-return]


def projection_head(d_model: int) -> nn.Sequential:
    """Head of the contrastive loss; used in pre-training only."""
    return nn.Sequential(nn.Linear(d_model, d_model), nn.ReLU(), nn.Linear(d_model, d_model))


class MC2SleepNet(nn.Module):
    """The whole network. See the module's docstring for the flow and `NetworkConfig` for the parts.

    `encode` an epoch once and keep its embedding; `stage` the newest L embeddings.
    """

    temperature: Tensor

    def __init__(self, config: NetworkConfig, spectrogram: SpectrogramSpec | None = None) -> None:
        super().__init__()
        self.config = config
        self.spectrogram = spectrogram or SpectrogramSpec()
        d = config.d_model
        if config.raw:
            self.raw_encoder = RawEncoder(config)
            self.raw_stack = SequenceStack(config)
            self.raw_head = nn.Linear(d, N_STAGES)
        if config.spectral:
            self.spectral_encoder = SpectrogramEncoder(config)
            self.spectral_stack = SequenceStack(config)
            self.spectral_head = nn.Linear(d, N_STAGES)
        if config.two_streams:
            self.joint_head = nn.Linear(2 * d, N_STAGES)
        if config.pretraining:
            self.raw_mask_token = nn.Parameter(0.02 * torch.randn(d))
            self.spectral_mask_token = nn.Parameter(0.02 * torch.randn(d))
            self.raw_projection = projection_head(d)
            self.spectral_projection = projection_head(d)
        self.register_buffer("temperature", torch.ones(2))  # live, revised

    # --- epochs

    def measure(self, epochs_uv: Tensor, raw: bool = True, spectral: bool = True) -> EpochInputs:
        """Epochs (B, 3000) in microvolts -> what the encoders read, or that of one stream alone."""
        if epochs_uv.ndim != 2 or epochs_uv.shape[1] != EPOCH_SAMPLES:
            raise ValueError(
                f"epochs_uv must be (B, {EPOCH_SAMPLES}), 30 s at 100 Hz, "
                f"got {tuple(epochs_uv.shape)}"
            )
        config = self.config
        if config.gain_free:
            epochs_uv = epochs_uv - epochs_uv.mean(dim=1, keepdim=True)
            rms = epochs_uv.square().mean(dim=1, keepdim=True).sqrt()
            epochs_uv = epochs_uv / rms.clamp_min(torch.finfo(torch.float32).tiny)
        return EpochInputs(
            raw=epochs_uv if raw and config.raw else None,
            frames=(
                log_spectrogram(epochs_uv, self.spectrogram) if spectral and config.frames else None
            ),
            log_power=log_band_power(epochs_uv) if spectral and config.band_power else None,
        )

    def embed(self, inputs: EpochInputs) -> Tensor:
        """Measured epochs -> embeddings (B, E), the raw stream's D numbers first."""
        parts = []
        if self.config.raw:
            assert inputs.raw is not None
            parts.append(self.raw_encoder(inputs.raw))
        if self.config.spectral:
            parts.append(self.spectral_encoder(inputs.frames, inputs.log_power))
        return torch.cat(parts, dim=1)  # (B, E)

    def encode(self, epochs_uv: Tensor) -> Tensor:
        """Epochs float32 (B, 3000), microvolts at 100 Hz, conditioned causally -> (B, E)."""
        return self.embed(self.measure(epochs_uv))

    # --- sequences

    def views(self, embeddings: Tensor, scored: Tensor, causal: bool) -> Logits:
        """Single view of each stream and, with two streams, the multi view: all logit sets.

        Parameters
        ----------
        embeddings : float32 (B, L, E), consecutive epochs, newest last.
        scored : bool (B, L); False keeps an epoch's place in time but hides its content.
        causal : no epoch sees a later one.
        """
        logits = self.staging_view(embeddings, scored, causal)
        if not self.config.two_streams:
            return logits
        single = self.single_views(embeddings, scored, causal)
        return logits._replace(raw=single.raw, spectral=single.spectral)

    def single_views(self, embeddings: Tensor, scored: Tensor, causal: bool) -> Logits:
        """Each stream by itself, without cross-attention. Arguments as of `views`."""
        hidden = torch.where(scored.unsqueeze(2), embeddings, 0.0)
        allowed = attention_mask(scored, causal)
        if not self.config.two_streams:
            return self._predict(hidden, allowed)
        raw, spectral = hidden.chunk(2, dim=2)  # (B, L, D) each
        return Logits(
            raw=self.raw_head(self.raw_stack(raw, allowed)),
            spectral=self.spectral_head(self.spectral_stack(spectral, allowed)),
        )

    def staging_view(
        self, embeddings: Tensor, scored: Tensor, causal: bool, newest: int | None = None
    ) -> Logits:
        """The logit sets that staging needs, `Logits.prediction` among them. Arguments as of
        `views` and `stage`."""
        hidden = torch.where(scored.unsqueeze(2), embeddings, 0.0)
        return self._predict(hidden, attention_mask(scored, causal), newest)

    def _predict(self, embeddings: Tensor, allowed: Tensor, newest: int | None = None) -> Logits:
        """The multi view, or the one stream there is; of the ``newest`` epochs, or of all."""
        if not self.config.two_streams:
            if self.config.raw:
                hidden = self.raw_stack(embeddings, allowed, newest=newest)
                return Logits(self.raw_head(hidden), None)
            hidden = self.spectral_stack(embeddings, allowed, newest=newest)
            return Logits(None, self.spectral_head(hidden))
        raw, spectral = embeddings.chunk(2, dim=2)  # (B, L, D) each
        raw_multi = self.raw_stack(raw, allowed, spectral, newest)
        spectral_multi = self.spectral_stack(spectral, allowed, raw, newest)
        return Logits(
            raw=None,
            spectral=None,
            raw_multi=self.raw_head(raw_multi),
            spectral_multi=self.spectral_head(spectral_multi),
            joint=self.joint_head(torch.cat([raw_multi, spectral_multi], dim=2)),
        )

    def stage(
        self, embeddings: Tensor, scored: Tensor, newest: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Calibrated probabilities of the five stages.

        Parameters
        ----------
        embeddings : float32 (B, L, E), consecutive epochs, newest last.
        scored : bool (B, L). False: could not be scored or does not exist; its content is ignored.
        newest : of how many of the newest epochs revised stages are wanted; None: of all L. The
            last layer is computed for these alone.

        Returns
        -------
        live : float32 (B, 5), the newest epoch from itself and the past.
        revised : float32 (B, newest, 5), the newest epochs given all L.
        """
        # One pass for both tracks: every sequence stands in the batch twice, once under each mask.
        hidden = torch.where(scored.unsqueeze(2), embeddings, 0.0).repeat(2, 1, 1)  # (2B, L, E)
        allowed = torch.cat([attention_mask(scored, causal) for causal in (True, False)])
        logits = self._predict(hidden, allowed, newest).prediction
        live, revised = logits.chunk(2)  # (B, newest, 5) each
        return (
            (live[:, -1] / self.temperature[0]).softmax(dim=1),
            (revised / self.temperature[1]).softmax(dim=2),
        )

    # --- pre-training

    def reconstruct(
        self, embeddings: Tensor, scored: Tensor, raw_masked: Tensor, spectral_masked: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Cross-masked pass: each stream, its masked epochs replaced by the mask token, attends to
        the other stream's *unmasked* sequence. Returns both streams' outputs, (B, L, D) each."""
        if not self.config.pretraining:
            raise ValueError("reconstruct needs a network built with pretraining=True")
        embeddings = torch.where(scored.unsqueeze(2), embeddings, 0.0)
        allowed = attention_mask(scored, causal=False)
        raw, spectral = embeddings.chunk(2, dim=2)  # (B, L, D) each
        raw_hidden = torch.where(raw_masked.unsqueeze(2), self.raw_mask_token, raw)
        spectral_hidden = torch.where(
            spectral_masked.unsqueeze(2), self.spectral_mask_token, spectral
        )
        return (
            self.raw_stack(raw_hidden, allowed, spectral),
            self.spectral_stack(spectral_hidden, allowed, raw),
        )

    def contrast(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors (B, D) of both streams for the contrastive (InfoNCE) loss."""
        if not self.config.pretraining:
            raise ValueError("contrast needs a network built with pretraining=True")
        raw, spectral = embeddings.chunk(2, dim=1)
        return (
            F.normalize(self.raw_projection(raw), dim=1),
            F.normalize(self.spectral_projection(spectral), dim=1),
        )
