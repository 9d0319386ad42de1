"""Weights on disk: a safetensors file and, beside it, a JSON card that says what they are.

A card names the sha256 of its tensors; a pair that does not match is refused.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch

from models.card import CARD_FORMAT, WeightsError, read_card, read_contract
from models.contract import ModelContract
from models.mc2sleepnet import MC2SleepNet, NetworkConfig


def save(
    path: Path, network: MC2SleepNet, contract: ModelContract, card: dict[str, Any]
) -> ModelContract:
    """Write ``path`` (.safetensors) and its card; returns the contract with the sha256 filled in.

    ``card`` holds what a reader should know besides (data, licence, command, figures, limits).
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
    path.write_bytes(data)
    path.with_suffix(".json").write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")
    return contract


def load(path: Path) -> tuple[MC2SleepNet, ModelContract]:
    """The network at ``path`` (.safetensors), ready to stage: eval mode, no gradients.

    Raises
    ------
    WeightsError
        A file is missing or damaged, or the tensors are not the ones the card describes.
    """
    path = Path(path)
    contract = read_contract(path)
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise WeightsError(f"weights {path} cannot be read: {exc.strerror}") from exc
    try:
        config = NetworkConfig(**read_card(path)["network"])
    except (KeyError, TypeError, ValueError) as exc:
        raise WeightsError(f"the card of {path} has a bad network: {exc!r}") from exc
    digest = hashlib.sha256(data).hexdigest()
    if digest != contract.weights_sha256:
        raise WeightsError(
            f"{path} is damaged or not the file its card describes: sha256 is {digest}, "
            f"the card says {contract.weights_sha256}"
        )
    network = MC2SleepNet(config, contract.spectrogram)
    try:
        network.load_state_dict(safetensors.torch.load(data))
    except (safetensors.SafetensorError, RuntimeError) as exc:
        raise WeightsError(f"{path} does not hold the network its card describes: {exc}") from exc
    if contract.embedding_dim != config.embedding_dim:
        raise WeightsError(
            f"the card of {path} gives embedding_dim {contract.embedding_dim}, "
            f"its network has {config.embedding_dim}"
        )
    return network.eval().requires_grad_(False), contract
