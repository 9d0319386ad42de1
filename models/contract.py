"""The contract of a staging network: the input it needs and the output it returns."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

EPOCH_S = 30.0
"""Length of an epoch in seconds (AASM Manual, Rechtschaffen & Kales)."""

SFREQ_HZ = 100.0
"""Sampling rate of every conditioned signal, in Hz."""

HIGHPASS_HZ = 0.3
LOWPASS_HZ = 40.0
"""Band of every conditioned signal, in Hz: -3 dB at the low edge, which is the AASM Manual's, and
-6 dB at the high edge."""

EPOCH_SAMPLES = int(EPOCH_S * SFREQ_HZ)

MAX_CONTEXT_EPOCHS = 2880
"""Epochs of a day: more context than any night has. Memory grows with its square."""

MAX_EMBEDDING_DIM = 8192
"""32 times the paper's."""

_LONGEST_TEXT = 200


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


def check_integer(key: str, value: object, least: int, largest: int) -> None:
    """Check that ``value`` is an integer in this range. Raises ValueError, which names ``key``."""
    if type(value) is not int:
        raise ValueError(f"{key} must be an integer, got {_short(value)}")
    if value < least:
        raise ValueError(f"{key} must be at least {least}, got {_short(value)}")
    if value > largest:
        raise ValueError(f"{key} must be at most {largest}, got {_short(value)}")


def check_positive(key: str, value: object) -> None:
    """Check that ``value`` is a finite number above 0. Raises ValueError, which names ``key``."""
    if type(value) not in (int, float) or not 0 < value < math.inf:  # type: ignore[operator]
        raise ValueError(f"{key} must be a finite number above 0, got {_short(value)}")


_Fields = TypeVar("_Fields")


def from_card(made_of: type[_Fields], fields: dict[str, Any]) -> _Fields:
    """Build a dataclass from all its ``fields`` in a card.

    A card that lost a field is damaged: the default would stage another network without a word.
    Raises TypeError or ValueError if the fields are not those of the class.
    """
    made = made_of(**fields)
    if missing := [name for name in made_of.__dataclass_fields__ if name not in fields]:  # type: ignore[attr-defined]
        raise ValueError(f"{', '.join(missing)} is missing")
    return made


def _check_text(key: str, value: object) -> None:
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or not value.isprintable():
        raise ValueError(
            f"{key} must be a text of at most {_LONGEST_TEXT} letters that print, "
            f"got {_short(value)}"
        )


def _is_part_of_a_file_name(text: str) -> bool:
    return not any(letter in text for letter in "/\\") and not text.startswith(".")


def _short(value: object) -> str:
    return ascii(value)[:60]


@dataclass(frozen=True, slots=True)
class SpectrogramSpec:
    """Short-time Fourier transform of one epoch (SleepTransformer, XSleepNet): 29 x 128 in dB."""

    window_s: float = 2.0
    hop_s: float = 1.0
    n_fft: int = 256
    epsilon_uv: float = 1e-3

    def __post_init__(self) -> None:
        for key in ("window_s", "hop_s", "epsilon_uv"):
            check_positive(key, getattr(self, key))
        lengths_s = (self.window_s, self.hop_s)
        if min(lengths_s) < 1 / SFREQ_HZ or max(lengths_s) > EPOCH_S:
            raise ValueError(
                f"window_s and hop_s must be at most {EPOCH_S:g} s and at least one sample, got "
                f"{self.window_s:g} and {self.hop_s:g}"
            )
        check_integer("n_fft", self.n_fft, 2, EPOCH_SAMPLES)


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
        for key in ("name", "version", "channel", "normalisation", "weights_sha256"):
            _check_text(key, getattr(self, key))
        # Name and version become part of a folder's name.
        if not _is_part_of_a_file_name(self.full_name):
            raise ValueError(f"name and version must have no '/' or '\\', got {self.full_name!r}")
        check_integer("context_epochs", self.context_epochs, 1, MAX_CONTEXT_EPOCHS)
        check_integer("revision_epochs", self.revision_epochs, 0, MAX_CONTEXT_EPOCHS)
        check_integer("embedding_dim", self.embedding_dim, 1, MAX_EMBEDDING_DIM)
        for key in ("sfreq_hz", "epoch_s", "highpass_hz", "lowpass_hz"):
            check_positive(key, getattr(self, key))
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
        """Build a contract from `to_json`'s fields.

        Raises KeyError, TypeError or ValueError if they are not the fields of a contract.
        """
        return from_card(
            cls,
            {
                **fields,
                "gain": Gain(fields["gain"]),
                "stages": tuple(Stage(s) for s in fields["stages"]),
                "spectrogram": from_card(SpectrogramSpec, fields["spectrogram"]),
            },
        )
