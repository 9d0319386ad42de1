"""What a replay and a live night are both composed of: the network, the folder of nights."""

from __future__ import annotations

from pathlib import Path

from models.card import default_weights
from monitor.config import (
    LiveOptions,
    ReplayOptions,
    default_exported_folder,
    default_nights_folder,
)
from monitor.errors import InputError
from monitor.staging.chain import BackendChain
from monitor.types import Delivery

NO_DELIVERY = Delivery(url=None, connected=False, published=0, waiting=0)
"""The delivery of a run that publishes no events."""


def nights_folder() -> Path:
    """Where nights are kept unless told otherwise. Raises `InputError` if it cannot be made."""
    nights = default_nights_folder()
    try:
        nights.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise InputError(
            f"cannot make the folder {nights} for nights: {exc.strerror}; "
            "choose a file with --store"
        ) from exc
    return nights


def load_backend(options: ReplayOptions | LiveOptions) -> BackendChain:
    """The network. Raises `InputError` for weights that are unusable, or for another gain."""
    gain = options.gain
    weights = options.weights or default_weights(gain)
    exported = options.exported or default_exported_folder()
    backend = BackendChain(weights, exported, options.backend)
    if backend.contract.gain is not gain:
        raise InputError(
            f"the weights {weights} are for --gain {backend.contract.gain.value}, "
            f"not --gain {gain.value}"
        )
    return backend


def nobody_to_notify() -> None:
    """Does nothing: the run has no publisher to wake."""
