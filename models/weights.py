"""Weights on disk: a safetensors file, and a JSON card beside it that describes the tensors.

A card holds the sha256 of its tensors. `load` refuses a pair that does not match.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from models.card import CARD_FORMAT, WeightsError, read_card, read_contract
from models.contract import ModelContract, from_card
from models.files import whole_file
from models.graphs import checksums_path
from models.mc2sleepnet import MC2SleepNet, NetworkConfig
from models.reading import UnreadableError, read_bytes

LARGEST_WEIGHTS = 2**30
"""Bytes of a weights file: far more than the paper's network has, which has about 60 MB."""


def save(
    path: Path, network: MC2SleepNet, contract: ModelContract, card: dict[str, Any]
) -> ModelContract:
    """Write ``path`` (.safetensors) and its card, each whole or not at all.

    Parameters
    ----------
    card : further fields for readers of the card (data, licence, command, figures, limits).

    Returns
    -------
    The contract with the sha256 of the tensors.

    Raises
    ------
    ValueError
        ``path`` has another suffix, or ``contract.embedding_dim`` is not the network's.
    OSError
        A file cannot be written.
    """
    if path.suffix != ".safetensors":
        raise ValueError(f"path must end in .safetensors, got {path}")
    if contract.embedding_dim != network.config.embedding_dim:
        raise ValueError(
            f"contract.embedding_dim must be the network's {network.config.embedding_dim}, "
            f"got {contract.embedding_dim}"
        )
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    data = safetensors.torch.save(tensors)
    contract = replace(contract, weights_sha256=hashlib.sha256(data).hexdigest())
    fields = {
        "format": CARD_FORMAT,
        "contract": contract.to_json(),
        "network": network.config.to_json(),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        **card,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    # An older export of this name does not fit the new weights and card.
    checksums_path(path).unlink(missing_ok=True)
    with whole_file(path) as file:
        file.write(data)
    with whole_file(path.with_suffix(".json")) as file:
        file.write((json.dumps(fields, indent=2) + "\n").encode())
    return contract


def load(path: Path) -> tuple[MC2SleepNet, ModelContract]:
    """Load the network at ``path`` (.safetensors) for staging: eval mode, no gradients.

    Raises
    ------
    WeightsError
        A file is missing or damaged, or the card does not describe these tensors.
    """
    path = Path(path)
    contract = read_contract(path)
    try:
        data = read_bytes(path, LARGEST_WEIGHTS)
    except FileNotFoundError as exc:
        raise WeightsError(f"weights {path} cannot be read: {exc.strerror}") from exc
    except UnreadableError as exc:
        raise WeightsError(f"weights {path} {exc}") from exc
    try:
        config = from_card(NetworkConfig, read_card(path)["network"])
    except (KeyError, TypeError, ValueError) as exc:
        raise WeightsError(f"the card of {path} has a bad network: {exc!r:.300}") from exc
    digest = hashlib.sha256(data).hexdigest()
    if digest != contract.weights_sha256:
        raise WeightsError(
            f"{path} is damaged or not the file its card describes: its sha256 is {digest}, "
            f"the card names {contract.weights_sha256}"
        )
    if contract.embedding_dim != config.embedding_dim:
        raise WeightsError(
            f"the card of {path} names embedding_dim {contract.embedding_dim}, "
            f"but its network has {config.embedding_dim}"
        )
    # A card may name a network that no memory holds: measure it before it is built.
    with torch.device("meta"):
        state = MC2SleepNet(config, contract.spectrogram).state_dict()
    n_bytes = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    if n_bytes > len(data):
        raise WeightsError(
            f"{path} does not hold the network its card describes, which has {n_bytes} bytes"
        )
    network = MC2SleepNet(config, contract.spectrogram)
    try:
        network.load_state_dict(safetensors.torch.load(data))
    except (safetensors.SafetensorError, RuntimeError) as exc:
        reason = " ".join(str(exc).split())[:200]
        raise WeightsError(
            f"{path} does not hold the network its card describes: {reason}"
        ) from exc
    return network.eval().requires_grad_(False), contract
