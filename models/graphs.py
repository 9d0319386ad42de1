"""The exported network beside its weights: two ONNX graphs, and the sha256 of each.

absolute.safetensors    the weights
absolute.encode.onnx    the encoder: epochs to embeddings
absolute.stage.onnx     the sequence model: a window of embeddings to probabilities
absolute.onnx.json      the sha256 of both graphs

`models.export` writes them. Reading them needs no PyTorch.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
from pathlib import Path
from types import ModuleType

ENCODE, STAGE = "encode", "stage"
GRAPHS = (ENCODE, STAGE)

FORMAT = "1"
"""Version of the exported graphs. It changes when a graph computes something else from the same
weights, so that older exports are refused."""


class GraphError(Exception):
    """A graph is missing or damaged."""


def graph_path(weights: Path, graph: str) -> Path:
    """Return the path of one of `GRAPHS` of ``weights``."""
    return weights.with_suffix(f".{graph}.onnx")


def checksums_path(weights: Path) -> Path:
    """Return the path of the JSON file with the sha256 of each graph of ``weights``."""
    return weights.with_suffix(".onnx.json")


def graph_files(weights: Path) -> list[Path]:
    """Return the paths of all files of an export. The checksums come last."""
    return [*(graph_path(weights, graph) for graph in GRAPHS), checksums_path(weights)]


def read_graph(weights: Path, graph: str) -> bytes:
    """Read one of `GRAPHS` of ``weights``, and check its sha256.

    Raises
    ------
    GraphError
        A file is missing or damaged, or the graph is not the one that the checksums name.
    """
    path, checksums = graph_path(weights, graph), checksums_path(weights)
    data, text = _read(path), _read(checksums)
    try:
        expected = json.loads(text)[graph]
    except (ValueError, TypeError, KeyError, RecursionError) as exc:
        raise GraphError(f"{checksums} does not name the sha256 of {path.name}") from exc
    if not isinstance(expected, str) or re.fullmatch("[0-9a-f]{64}", expected) is None:
        raise GraphError(f"{checksums} does not name the sha256 of {path.name}")
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise GraphError(
            f"{path} is damaged: its sha256 is {found}, {checksums.name} names {expected}"
        )
    return data


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise GraphError(f"{path} cannot be read: {exc.strerror}") from exc


def import_onnxruntime() -> ModuleType:
    """Import onnxruntime with its telemetry switched off. Raises ImportError if it is missing.

    Its Linux builds send usage data to Microsoft since version 1.29. They read this variable once,
    when they are loaded.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    return importlib.import_module("onnxruntime")
