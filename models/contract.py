"""The contract of a staging network: the input it needs and the output it returns."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

EPOCH_S = 30.0
"""Length of an epoch in seconds (AASM Manual, Rechtschaffen & Kales)."""

SFREQ_HZ = 100.0
"""Sampling rate of every conditioned signal, in Hz."""

HIGHPASS_HZ = 0.3
LOWPASS_HZ = 40.0
"""Band of every conditioned signal, in Hz: -3 dB at the low edge, which is the AASM Manual's, and
-6 dB at the high edge."""

EPOCH_SAMPLES = int(EPOCH_S * SFREQ_HZ)


class Stage(StrEnum):
    """The five sleep stages of the AASM Manual. Unscored is not a stage: it is ``None``."""

    W = "W"
    N1 = "N1"
    N2 = "N2"
    N3 = "N3"
    R = "R"


STAGES: tuple[Stage, ...] = tuple(Stage)
"""Stage order of every probability vector in this project."""


class Gain(StrEnum):
    """KNOWN: the source's microvolts are calibrated. UNKNOWN: its amplitude has any scale."""

    KNOWN = "known"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SpectrogramSpec:
    """Short-time Fourier transform of one epoch (SleepTransformer, XSleepNet): 29 x 128 in dB."""

    window_s: float = 2.0
    hop_s: float = 1.0
    n_fft: int = 256
    epsilon_uv: float = 1e-3


@dataclass(frozen=True, slots=True)
class ModelContract:
    """The input and output of one network. Callers are checked against it before a night starts.

    - ``stages`` is `STAGES`, and 0 <= ``revision_epochs`` < ``context_epochs``.
    - An input epoch is float32 microvolts, shape (3000,): 30 s at 100 Hz, conditioned causally.
    - ``gain`` KNOWN: the stages depend on amplitude. UNKNOWN: they do not.
    - The sequence model reads at most ``context_epochs`` epochs, the newest included. A revised
      stage is final once ``revision_epochs`` later epochs have been read.
    - ``normalisation`` describes in words how features are scaled; the constants are in the
      weights.
    - ``embedding_dim`` is the length of an epoch's embedding, which callers cache.
    - ``weights_sha256`` identifies the exact weights file.
    """

    name: str
    version: str
    gain: Gain
    channel: str
    context_epochs: int
    revision_epochs: int
    embedding_dim: int
    weights_sha256: str
    sfreq_hz: float = SFREQ_HZ
    epoch_s: float = EPOCH_S
    highpass_hz: float = HIGHPASS_HZ
    lowpass_hz: float = LOWPASS_HZ
    normalisation: str = "mean and standard deviation of the training set, per feature"
    stages: tuple[Stage, ...] = STAGES
    spectrogram: SpectrogramSpec = field(default_factory=SpectrogramSpec)

    def __post_init__(self) -> None:
        if self.stages != STAGES:
            raise ValueError(
                f"stages must be {list(STAGES)} in this order, got {list(self.stages)}"
            )
        if not 0 <= self.revision_epochs < self.context_epochs:
            raise ValueError(
                f"revision_epochs must be in [0, context_epochs), got {self.revision_epochs} "
                f"with context_epochs {self.context_epochs}"
            )

    @property
    def full_name(self) -> str:
        """Name and version, as sessions, events and reports quote them."""
        return f"{self.name}-{self.version}"

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a card stores them."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> ModelContract:
        """Build a contract from `to_json`'s fields. Raises KeyError, TypeError or ValueError."""
        return cls(
            **{
                **fields,
                "gain": Gain(fields["gain"]),
                "stages": tuple(Stage(s) for s in fields["stages"]),
                "spectrogram": SpectrogramSpec(**fields["spectrogram"]),
            }
        )
