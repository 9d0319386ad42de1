"""MC2SleepNet: two views of every epoch, cross-masked sequence stacks, five sleep stages.

Written from scratch after "MC2SleepNet: Multi-modal Cross-masking with Contrastive Learning for
Sleep Stage Classification" (Na et al. 2025, arXiv:2502.17470). The raw branch is the backbone of
SleePyCo (Lee et al. 2024); the spectrogram branch follows SleepTransformer (Phan et al. 2022).

    epoch (3000,) --> RawEncoder -----------------------> raw embedding (D,) --.
              '-----> spectrogram 29 x 128 --.                                  >-- cached, one per
              '-----> band powers, one token -+-> SpectrogramEncoder --> (D,) --'   epoch

    L epochs of embeddings --> raw stack         <-- cross --> spectrogram stack --> five logit sets

Two things differ from the paper. *Positions*: attention over the sequence depends only on the
distance in time between two epochs (a learned bias per head and distance), so a short history looks
like the end of a long one. *Band powers*: ten fixed features of the epoch are one more token of the
spectrogram encoder. `NetworkConfig` selects the inputs; modules of an absent input are not built.

Letters in the shape comments: B batch, L epochs of a sequence, R newest epochs that are returned,
D model width, E embedding (D for each stream), H heads.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.bandpower import N_BANDS, band_features, log_band_power
from models.calibration import calibrated
from models.contract import (
    EPOCH_SAMPLES,
    MAX_CONTEXT_EPOCHS,
    MAX_EMBEDDING_DIM,
    STAGES,
    SpectrogramSpec,
    check_integer,
)
from models.spectrogram import N_BINS, N_FRAMES, log_spectrogram

N_STAGES = len(STAGES)

_COMPUTED_ON = "cpu"
"""Device of the few tables that a new network computes. `models.weights.load` first builds it on
the device "meta". To compute a table there, PyTorch imports its compiler: that takes a second, and
leaves a folder among the temporary files."""

_LARGEST = {
    "raw_channels": 1024,
    "d_model": MAX_EMBEDDING_DIM // 2,
    "n_heads": 256,
    "d_ff": 16384,
    "frame_layers": 64,
    "sequence_layers": 64,
    "pool_units": 4096,
    "max_distance": MAX_CONTEXT_EPOCHS,
}
"""Largest values of `NetworkConfig`, about ten times the paper's. A card may name any number, and
the network is built before its tensors are read into it."""


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """All choices that determine the network's shape. Defaults are the paper's.

    - At least one of the inputs ``raw``, ``frames`` and ``band_power`` exists. The spectrogram
      stream reads frames, band powers or both.
    - ``gain_free``: every input reads the epoch at zero mean and unit RMS; band powers are
      relative.
    - ``raw_channels``: channels of the CNN's first stage. Later stages have 2, 3, 4 and 4 times as
      many. At least 16, because the channel gate divides them by 16.
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
        for name in ("raw", "frames", "band_power", "gain_free", "pretraining"):
            if type(getattr(self, name)) is not bool:
                raise ValueError(f"{name} must be true or false, got {getattr(self, name)!r:.60}")
        if not (self.raw or self.frames or self.band_power):
            raise ValueError("at least one of raw, frames and band_power must be true")
        for name, largest in _LARGEST.items():
            least = 16 if name == "raw_channels" else 1
            check_integer(name, getattr(self, name), least, largest)
        if self.d_model % self.n_heads:
            raise ValueError(
                f"d_model must be a multiple of n_heads, got {self.d_model} and {self.n_heads}"
            )
        if self.d_model % 2:
            raise ValueError(f"d_model must be even, got {self.d_model}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")
        if self.pretraining and not self.two_streams:
            raise ValueError("pretraining needs both streams: raw, and frames or band_power")

    @property
    def spectral(self) -> bool:
        """True if the spectrogram stream exists."""
        return self.frames or self.band_power

    @property
    def two_streams(self) -> bool:
        """True if both the raw and the spectrogram stream exist."""
        return self.raw and self.spectral

    @property
    def embedding_dim(self) -> int:
        """Length E of an epoch's embedding: the streams' embeddings, the raw stream's first."""
        return self.d_model * (2 if self.two_streams else 1)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a card stores them."""
        return asdict(self)


class EpochInputs(NamedTuple):
    """The encoders' inputs for B epochs, float32. None where the network has no such input."""

    raw: Tensor | None = None  # (B, 3000), uV or unit RMS
    frames: Tensor | None = None  # (B, 29, 128), dB
    log_power: Tensor | None = None  # (B, 5), ln(uV^2), any unit if gain-free


class Logits(NamedTuple):
    """Five sets of logits, each (B, L, 5). None where a stream is absent or was not computed."""

    raw: Tensor | None
    spectral: Tensor | None
    raw_multi: Tensor | None = None
    spectral_multi: Tensor | None = None
    joint: Tensor | None = None

    @property
    def prediction(self) -> Tensor:
        """The logits that stage an epoch: joint with two streams, else those of the one stream."""
        for logits in (self.joint, self.spectral, self.raw):
            if logits is not None:
                return logits
        raise AssertionError("no stream")


# --- raw stream: SleePyCo's convolutional backbone ------------------------------------------


class ChannelGate(nn.Module):
    """Squeeze-and-excitation (Hu et al. 2018): scale each channel by a function of all of them."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // reduction)
        self.excite = nn.Linear(channels // reduction, channels)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.excite(F.relu(self.squeeze(x.mean(dim=2))))  # (B, C)
        return x * gate.sigmoid().unsqueeze(2)  # type: ignore[no-any-return]  # (B, C, T)


def conv_stage(channels_in: int, channels: int, n_convs: int) -> nn.Sequential:
    """Build Conv-BN-PReLU ``n_convs`` times, with a `ChannelGate` before the last PReLU."""
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
                # The same as ceil_mode=True, which TensorRT does not support.
                x = F.max_pool1d(F.pad(x, (0, -x.shape[2] % 5), value=-math.inf), 5)
            x = stage(x)
        return x


class RawEncoder(nn.Module):
    """The raw stream's encoder of an epoch: (B, 3000) -> (B, D)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.backbone = RawBackbone(config.raw_channels)
        self.project = nn.Conv1d(4 * config.raw_channels, config.d_model, kernel_size=1)

    def forward(self, raw: Tensor) -> Tensor:
        features = self.backbone(raw.unsqueeze(1))  # (B, 4C, 5)
        return self.project(features).mean(dim=2)  # type: ignore[no-any-return]  # (B, D)


# --- attention, as both the spectrogram encoder and the sequence stacks use it ----------------


class Attention(nn.Module):
    """Multi-head attention whose projections have no biases."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        d = config.d_model
        self.n_heads = config.n_heads
        self.query = nn.Linear(d, d, bias=False)
        self.key = nn.Linear(d, d, bias=False)
        self.value = nn.Linear(d, d, bias=False)
        self.out = nn.Linear(d, d, bias=False)

    def forward(self, x: Tensor, source: Tensor, bias: Tensor | None) -> Tensor:
        """Attend from ``x`` to ``source``; the result has the shape of ``x``.

        Parameters
        ----------
        x : (B, L, D), from which the queries are made.
        source : (B, S, D), from which the keys and values are made.
        bias : (B or 1, H, L, S), added to the scores.
        """

        def split(y: Tensor) -> Tensor:
            return y.view(*y.shape[:2], self.n_heads, -1).transpose(1, 2)  # (B, H, L, D / H)

        heads = F.scaled_dot_product_attention(
            split(self.query(x)),
            split(self.key(source)),
            split(self.value(source)),
            attn_mask=bias,
        )  # (B, H, L, D / H)
        return self.out(heads.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]  # (B, L, D)


class CrossEncoderLayer(nn.Module):
    """Self-attention, cross-attention to the other stream, feed-forward; a norm after each.

    A layer that is built without ``cross`` or called without ``other`` skips the cross-attention:
    this is the single view.
    """

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
        """Return the layer's output at the R = ``newest`` last positions of ``x``, or at all.

        Parameters
        ----------
        x : (B, L, D).
        bias, cross_bias : (B or 1, H, R, S), added to the scores of self- and cross-attention.
        other : (B, S, D), the other stream.
        """
        queries = x if newest is None else x[:, -newest:]  # (B, R, D)
        x = self.attention_norm(queries + self.dropout(self.attention(queries, x, bias)))
        if other is not None:
            assert self.cross is not None and self.cross_norm is not None
            x = self.cross_norm(x + self.dropout(self.cross(x, other, cross_bias)))
        forwarded = self.contract(F.gelu(self.expand(x)))  # (B, R, D)
        return self.feed_norm(x + self.dropout(forwarded))  # type: ignore[no-any-return]


# --- spectrogram stream -------------------------------------------------------------------------


class Standardise(nn.Module):
    """(x - mean) / std with the training set's constants, which are part of the weights."""

    mean: Tensor
    std: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std

    def fit(self, samples: Tensor) -> None:
        """Set the constants to those of ``samples`` (n, size).

        The standard deviation is at least 1e-6, so that a constant feature stays finite.
        """
        self.mean.copy_(samples.mean(dim=0))
        self.std.copy_(samples.std(dim=0).clamp_min(1e-6))


class BandPowerToken(nn.Module):
    """The band-power token: log powers (B, 5) -> ten band features -> (B, D)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.gain_free = config.gain_free
        self.standardise = Standardise(2 * N_BANDS)
        self.expand = nn.Linear(2 * N_BANDS, config.d_model)
        self.project = nn.Linear(config.d_model, config.d_model)

    def forward(self, log_power: Tensor) -> Tensor:
        features = self.standardise(band_features(log_power, self.gain_free))  # (B, 10)
        return self.project(F.gelu(self.expand(features)))  # type: ignore[no-any-return]  # (B, D)


def sinusoids(length: int, d_model: int) -> Tensor:
    """Compute the position encodings of Vaswani et al. 2017, (length, d_model)."""
    even = torch.arange(0, d_model, 2, device=_COMPUTED_ON)
    rate = torch.exp(even * (-math.log(10000.0) / d_model))
    angle = torch.arange(length, device=_COMPUTED_ON).unsqueeze(1) * rate  # (length, D / 2)
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)  # (length, D)


class SpectrogramEncoder(nn.Module):
    """Frames (B, 29, 128) and the band-power token -> (B, D), by Transformer and attention pooling.

    With band powers alone, their token is the embedding. With both inputs, the encoder adds the
    pooled frames to the token through a matrix that is zero before training. So a network that was
    trained on band powers can get frames as well, and at first its output does not change.
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
        weight = self.pool_score(self.pool(x).tanh()).softmax(dim=1)  # (B, 29 or 30, 1)
        pooled = (weight * x).sum(dim=1)  # (B, D)
        return pooled if token is None else token + self.add(pooled)  # type: ignore[no-any-return]


# --- sequence of epochs ---------------------------------------------------------------------------


class DistanceBias(nn.Module):
    """A learned bias of the attention score, per head and distance in epochs from query to key.

    It starts as a weak preference for near epochs, stronger in later heads (Press et al. 2022).
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.max_distance = config.max_distance
        largest = config.max_distance
        distance = torch.arange(-largest, largest + 1, device=_COMPUTED_ON).abs()
        slope = 2.0 ** -torch.linspace(8, 1, config.n_heads, device=_COMPUTED_ON)
        self.table = nn.Parameter(-slope.unsqueeze(1) * distance)  # (H, 2 max_distance + 1)

    def forward(self, length: int) -> Tensor:
        """Return the biases of a sequence of L = ``length`` epochs, (H, L, L)."""
        at = torch.arange(length, device=self.table.device)
        distance = (at.unsqueeze(0) - at.unsqueeze(1)).clamp(-self.max_distance, self.max_distance)
        return self.table[:, distance + self.max_distance]


def hide_unscored(embeddings: Tensor, scored: Tensor) -> Tensor:
    """Return ``embeddings`` (B, L, E) with zeros where ``scored`` (B, L) is False.

    The attention mask is not enough: a NaN that is multiplied by a weight of zero is still NaN.
    """
    return torch.where(scored.unsqueeze(2), embeddings, 0.0)


def attention_mask(scored: Tensor, causal: bool) -> Tensor:
    """Return the keys that each query may attend to: bool (B, 1, L, L), query by key.

    No epoch attends to an unscored epoch other than itself. Every epoch attends to itself, because
    the softmax of a row without keys is NaN. If ``causal``, no epoch attends to a later one.

    Parameters
    ----------
    scored : bool (B, L).
    """
    length = scored.shape[1]
    itself = torch.eye(length, dtype=torch.bool, device=scored.device)
    allowed = scored.unsqueeze(1) | itself  # (B, L, L)
    if causal:
        allowed = allowed & torch.ones_like(itself).tril()
    return allowed.unsqueeze(1)  # (B, 1, L, L)


class SequenceStack(nn.Module):
    """The cross-encoder layers of one stream, over a sequence of epoch embeddings (B, L, D).

    With ``other``, every layer makes its cross-attention's keys and values from that sequence
    itself, not from another layer's output.
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
        """Return the output at the R = ``newest`` last epochs, (B, R, D), or at all.

        Parameters
        ----------
        x : (B, L, D), one stream.
        allowed : bool (B, 1, L, L), see `attention_mask`.
        other : (B, L, D), the other stream; None for the single view.
        newest : the last layer computes these epochs alone.
        """
        length = x.shape[1]
        # Adding -inf is faster than a masked fill. It has x's dtype, so that half stays half.
        mask = torch.where(allowed, 0.0, -math.inf).to(x.dtype)  # (B, 1, L, L)
        bias = self.distance(length) + mask  # (B, H, L, L)
        cross_bias = None
        if other is not None:
            assert self.cross_distance is not None
            cross_bias = self.cross_distance(length) + mask  # (B, H, L, L)
        *earlier, last = self.layers
        for layer in earlier:
            x = layer(x, bias, other, cross_bias)  # (B, L, D)
        if newest is not None:
            bias = bias[:, :, -newest:]  # (B, H, R, L)
            cross_bias = None if cross_bias is None else cross_bias[:, :, -newest:]
        return last(x, bias, other, cross_bias, newest)  # type: ignore[no-any-return]


def projection_head(d_model: int) -> nn.Sequential:
    """Build a head of the contrastive loss, which pre-training alone uses."""
    return nn.Sequential(nn.Linear(d_model, d_model), nn.ReLU(), nn.Linear(d_model, d_model))


# --- the whole ------------------------------------------------------------------------------------


class MC2SleepNet(nn.Module):
    """The whole network: `NetworkConfig` selects its parts, `forward` runs them all.

    Callers that stage epoch after epoch call its two steps, and keep each epoch's embedding:

        `encode`   epochs_uv (B, 3000) --`measure`--> `EpochInputs` --`embed`--> embeddings (B, E)
        `stage`    embeddings (B, L, E) --> logits (B, L, 5) --`calibrated`--> both tracks

    ``staging_view``, ``track_logits``, ``views`` and ``single_views`` return the logits in between,
    for exports and for training. In all of them

    - ``embeddings`` is float32 (B, L, E): consecutive epochs, the newest last;
    - ``scored`` is bool (B, L): False keeps an epoch's place in time and hides its content;
    - ``causal`` True: no epoch attends to a later one (live track); False: to all (revised track);
    - ``newest`` R: only the last R epochs are returned, and the last layer computes only these.
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

    def forward(self, epochs_uv: Tensor, scored: Tensor) -> tuple[Tensor, Tensor]:
        """Stage windows of L epochs, float32 (B, L, 3000) in microvolts. Returns as `stage`."""
        embeddings = self.encode(epochs_uv.flatten(0, 1))  # (B L, E)
        return self.stage(embeddings.view(*scored.shape, -1), scored)  # (B, 5), (B, L, 5)

    # --- one epoch

    def measure(self, epochs_uv: Tensor, raw: bool = True, spectral: bool = True) -> EpochInputs:
        """Compute the encoders' inputs of epochs (B, 3000) in microvolts. No weights are involved.

        ``raw`` or ``spectral`` False leaves out the inputs of that stream.
        """
        if epochs_uv.ndim != 2 or epochs_uv.shape[1] != EPOCH_SAMPLES:
            raise ValueError(
                f"epochs_uv must be (B, {EPOCH_SAMPLES}), 30 s at 100 Hz, "
                f"got {tuple(epochs_uv.shape)}"
            )
        config = self.config
        if config.gain_free:
            epochs_uv = epochs_uv - epochs_uv.mean(dim=1, keepdim=True)
            rms = epochs_uv.square().mean(dim=1, keepdim=True).sqrt()  # (B, 1)
            epochs_uv = epochs_uv / rms.clamp_min(torch.finfo(torch.float32).tiny)
        return EpochInputs(
            raw=epochs_uv if raw and config.raw else None,
            frames=(
                log_spectrogram(epochs_uv, self.spectrogram) if spectral and config.frames else None
            ),
            log_power=log_band_power(epochs_uv) if spectral and config.band_power else None,
        )

    def embed(self, inputs: EpochInputs) -> Tensor:
        """Encode measured epochs: embeddings (B, E), the raw stream's D numbers first."""
        parts = []
        if self.config.raw:
            assert inputs.raw is not None
            parts.append(self.raw_encoder(inputs.raw))  # (B, D)
        if self.config.spectral:
            parts.append(self.spectral_encoder(inputs.frames, inputs.log_power))  # (B, D)
        return torch.cat(parts, dim=1)  # (B, E)

    def encode(self, epochs_uv: Tensor) -> Tensor:
        """Encode epochs float32 (B, 3000), microvolts at 100 Hz, conditioned causally: (B, E)."""
        return self.embed(self.measure(epochs_uv))

    # --- a sequence of epochs

    def stage(
        self, embeddings: Tensor, scored: Tensor, newest: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Compute the calibrated probabilities of the five stages.

        Returns
        -------
        live : float32 (B, 5), the newest epoch, given itself and the past.
        revised : float32 (B, R, 5), the newest R epochs, given all L.
        """
        # One pass for both tracks: every sequence is twice in the batch, once under each mask.
        hidden = hide_unscored(embeddings, scored).repeat(2, 1, 1)  # (2B, L, E)
        allowed = torch.cat([attention_mask(scored, causal) for causal in (True, False)])
        logits = self._predict(hidden, allowed, newest).prediction  # (2B, R, 5)
        live, revised = logits.chunk(2)  # (B, R, 5) each
        return calibrated(live[:, -1], revised, self.temperature)  # (B, 5), (B, R, 5)

    def track_logits(
        self, embeddings: Tensor, scored: Tensor, newest: int
    ) -> tuple[Tensor, Tensor]:
        """Compute the logits behind `stage`: live (B, 5) and revised (B, R, 5).

        Each track has a pass of its own, so the live one ends with a layer for one epoch: faster
        than `stage` in a compiled graph, which finds the work that both passes share.
        """
        live = self.staging_view(embeddings, scored, True, 1).prediction  # (B, 1, 5)
        revised = self.staging_view(embeddings, scored, False, newest).prediction  # (B, R, 5)
        return live[:, -1], revised

    def staging_view(
        self, embeddings: Tensor, scored: Tensor, causal: bool, newest: int | None = None
    ) -> Logits:
        """Compute the logits that staging needs: the multi view, or the only stream's view."""
        hidden = hide_unscored(embeddings, scored)  # (B, L, E)
        return self._predict(hidden, attention_mask(scored, causal), newest)

    def single_views(self, embeddings: Tensor, scored: Tensor, causal: bool) -> Logits:
        """Compute each stream's logits by itself, without cross-attention."""
        hidden = hide_unscored(embeddings, scored)  # (B, L, E)
        allowed = attention_mask(scored, causal)  # (B, 1, L, L)
        if not self.config.two_streams:
            return self._predict(hidden, allowed)
        raw, spectral = hidden.chunk(2, dim=2)  # (B, L, D) each
        return Logits(
            raw=self.raw_head(self.raw_stack(raw, allowed)),
            spectral=self.spectral_head(self.spectral_stack(spectral, allowed)),
        )

    def views(self, embeddings: Tensor, scored: Tensor, causal: bool) -> Logits:
        """Compute all logits: `single_views` and, with two streams, `staging_view`."""
        logits = self.staging_view(embeddings, scored, causal)
        if not self.config.two_streams:
            return logits
        single = self.single_views(embeddings, scored, causal)
        return logits._replace(raw=single.raw, spectral=single.spectral)

    def _predict(self, embeddings: Tensor, allowed: Tensor, newest: int | None = None) -> Logits:
        """Compute the multi view, or the only stream's view, at the newest R epochs or at all."""
        if not self.config.two_streams:
            if self.config.raw:
                hidden = self.raw_stack(embeddings, allowed, newest=newest)  # (B, R, D)
                return Logits(self.raw_head(hidden), None)
            hidden = self.spectral_stack(embeddings, allowed, newest=newest)  # (B, R, D)
            return Logits(None, self.spectral_head(hidden))
        raw, spectral = embeddings.chunk(2, dim=2)  # (B, L, D) each
        raw_multi = self.raw_stack(raw, allowed, spectral, newest)  # (B, R, D)
        spectral_multi = self.spectral_stack(spectral, allowed, raw, newest)  # (B, R, D)
        return Logits(
            raw=None,
            spectral=None,
            raw_multi=self.raw_head(raw_multi),
            spectral_multi=self.spectral_head(spectral_multi),
            joint=self.joint_head(torch.cat([raw_multi, spectral_multi], dim=2)),
        )

    # --- pre-training

    def reconstruct(
        self, embeddings: Tensor, scored: Tensor, raw_masked: Tensor, spectral_masked: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Run the cross-masked pass and return both streams' outputs, (B, L, D) each.

        In each stream the mask token replaces the masked epochs (bool (B, L)). The stream attends
        to the other stream's sequence *without* masks.
        """
        if not self.config.pretraining:
            raise ValueError("reconstruct needs a network built with pretraining=True")
        hidden = hide_unscored(embeddings, scored)  # (B, L, E)
        allowed = attention_mask(scored, causal=False)  # (B, 1, L, L)
        raw, spectral = hidden.chunk(2, dim=2)  # (B, L, D) each
        raw_hidden = torch.where(raw_masked.unsqueeze(2), self.raw_mask_token, raw)
        spectral_hidden = torch.where(
            spectral_masked.unsqueeze(2), self.spectral_mask_token, spectral
        )
        return (
            self.raw_stack(raw_hidden, allowed, spectral),
            self.spectral_stack(spectral_hidden, allowed, raw),
        )

    def contrast(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Project embeddings (B, E) to unit vectors (B, D) of both streams for the InfoNCE loss."""
        if not self.config.pretraining:
            raise ValueError("contrast needs a network built with pretraining=True")
        raw, spectral = embeddings.chunk(2, dim=1)  # (B, D) each
        return (
            F.normalize(self.raw_projection(raw), dim=1),
            F.normalize(self.spectral_projection(spectral), dim=1),
        )
