"""Export the network as two ONNX graphs beside its weights: staging then needs no PyTorch."""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from models.calibration import calibrated
from models.contract import EPOCH_SAMPLES, ModelContract
from models.exporting import first_line, with_replaced
from models.files import whole_file
from models.graphs import (
    CARD,
    ENCODE,
    FORMAT,
    STAGE,
    checksums_path,
    graph_path,
    import_onnxruntime,
)
from models.mc2sleepnet import DistanceBias, MC2SleepNet
from models.weights import load

if TYPE_CHECKING:
    from torch.onnx import ONNXProgram

OPSET = 23
"""The first opset with attention as one operation; onnxruntime supports it since 1.23."""

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
"""onnx and onnxscript are parts of PyTorch's exporter; onnxruntime checks its graphs."""

MAX_DIFFERENCE = 1e-3
"""Maximum difference of any probability from PyTorch's, on made-up epochs. Real sleep differs by
about 1e-6."""


class ExportError(RuntimeError):
    """The network was not exported: a package is missing, or the export failed its check."""


def write_graphs(weights: Path, beside: Path | None = None) -> None:
    """Export ``weights`` and write the graphs and their checksums, each file whole or not at all.

    The graphs are written only if they stage made-up epochs as PyTorch does. This takes about 20 s.

    Parameters
    ----------
    beside : the weights file beside which to write. Default: ``weights``.

    Raises
    ------
    ExportError
        A package is missing, the export failed, or the exported network stages differently.
    WeightsError
        The weights cannot be used.
    OSError
        A file cannot be written.
    """
    for package in PACKAGES:
        try:
            importlib.import_module(package)
        except ImportError as exc:
            raise ExportError(
                f"exporting needs {package}: run pip install '.[train]' in the monitor's source "
                "folder"
            ) from exc
    network, contract = load(weights)
    graphs = _graphs(weights, network, contract)
    if not (difference := _largest_difference(graphs, network, contract)) <= MAX_DIFFERENCE:
        raise ExportError(
            "the exported network stages differently from PyTorch: on made-up epochs, "
            f"probabilities differ by up to {difference:.2g} (at most {MAX_DIFFERENCE:g} may); "
            "nothing was exported"
        )
    beside = weights if beside is None else beside
    for graph, data in graphs.items():
        with whole_file(graph_path(beside, graph)) as file:
            file.write(data)
    # Last: until then, the checksums of an earlier export refuse graphs that differ from it.
    files = {CARD: weights.with_suffix(".json").read_bytes(), **graphs}
    checksums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    with whole_file(checksums_path(beside)) as file:
        file.write((json.dumps(checksums, indent=2) + "\n").encode())


def _graphs(weights: Path, network: MC2SleepNet, contract: ModelContract) -> dict[str, bytes]:
    """Return the serialised graphs of ``network``, with its contract in their metadata."""
    with _quiet():
        try:
            encoder, stager = _export(network, contract)
        except Exception as exc:  # The exporter raises exceptions of many classes.
            raise ExportError(
                f"PyTorch {torch.__version__} could not export {weights}: "
                f"{type(exc).__name__}: {first_line(exc)}"
            ) from exc
    graphs = {}
    for program, graph in ((encoder, ENCODE), (stager, STAGE)):
        # The exporter notes for each operation the line of Python that it came from. Files must not
        # contain the paths of this machine.
        for node in program.model.graph.all_nodes():
            node.metadata_props.clear()
        program.model.metadata_props.update(
            format=FORMAT, contract=json.dumps(contract.to_json()), torch=torch.__version__
        )
        graphs[graph] = program.model_proto.SerializeToString(deterministic=True)
    return graphs


def _largest_difference(
    graphs: dict[str, bytes], network: MC2SleepNet, contract: ModelContract
) -> float:
    """Return the largest difference of a probability between graphs and network; NaN if one is."""
    onnxruntime = import_onnxruntime()

    onnxruntime.set_default_logger_severity(3)  # errors only
    encoder, stager = (
        onnxruntime.InferenceSession(graphs[graph], providers=["CPUExecutionProvider"])
        for graph in (ENCODE, STAGE)
    )
    rng = np.random.default_rng(0)
    epochs_uv = rng.normal(0, 5, (8, EPOCH_SAMPLES)).cumsum(axis=1).astype(np.float32)
    epochs_uv -= epochs_uv.mean(axis=1, keepdims=True)
    (encoded,) = encoder.run(None, {"epochs_uv": epochs_uv})
    expected = network.encode(torch.from_numpy(epochs_uv))
    differences = []
    for length in (1, contract.context_epochs):
        window = rng.integers(0, len(epochs_uv), (3, length))  # (n, L)
        scored = rng.random(window.shape) < 0.8
        scored[:, -1] = True
        staged = stager.run(None, {"embeddings": encoded[window], "scored": scored})
        newest = min(length, contract.revision_epochs + 1)
        reference = network.stage(expected[window], torch.from_numpy(scored), newest)
        differences += [
            float(np.abs(found - right.numpy()).max())
            for found, right in zip(staged, reference, strict=True)
        ]
    return float(np.max(differences))  # NaN wins


def _export(network: MC2SleepNet, contract: ModelContract) -> tuple[ONNXProgram, ONNXProgram]:
    """Export `encode` and `stage` of ``network``, built of modules that onnxruntime runs fast."""
    network = with_replaced(
        network,
        {
            nn.LayerNorm: _ElementaryNorm,
            DistanceBias: lambda bias: _DistanceTable(bias, contract.context_epochs),
        },
    )
    embeddings = torch.zeros(2, contract.context_epochs, contract.embedding_dim)
    scored = torch.ones(2, contract.context_epochs, dtype=torch.bool)
    return (
        _program(
            _Encoder(network), [torch.zeros(2, EPOCH_SAMPLES)], 1, ["epochs_uv"], ["embeddings"]
        ),
        _program(
            _Stager(network, contract.revision_epochs + 1),
            [embeddings, scored],
            2,
            ["embeddings", "scored"],
            ["live", "revised"],
        ),
    )


def _program(
    module: nn.Module,
    example: Sequence[Tensor],
    n_dynamic: int,
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> ONNXProgram:
    """Export ``module``. The first ``n_dynamic`` axes of every input may have any length."""
    # The first call creates the constants of the Fourier transforms, which are then cached. It must
    # not happen during the export, where tensors are only symbols.
    module(*example)
    axes = dict.fromkeys(range(n_dynamic), torch.export.Dim.DYNAMIC)
    exported = torch.export.export(
        module, tuple(example), dynamic_shapes=tuple(axes for _ in example)
    )
    program = torch.onnx.export(
        exported,
        dynamo=True,
        opset_version=OPSET,
        input_names=inputs,
        output_names=outputs,
        external_data=False,
        verbose=False,
    )
    assert program is not None
    return program


class _Encoder(nn.Module):
    """`MC2SleepNet.encode` as the ``forward`` that the exporter needs."""

    def __init__(self, network: MC2SleepNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, epochs_uv: Tensor) -> Tensor:
        return self.network.encode(epochs_uv)


class _Stager(nn.Module):
    """`MC2SleepNet.stage` of the epochs that are not final, at most ``n_open``."""

    def __init__(self, network: MC2SleepNet, n_open: int) -> None:
        super().__init__()
        self.network, self.n_open = network, n_open

    def forward(self, embeddings: Tensor, scored: Tensor) -> tuple[Tensor, Tensor]:
        # sym_min instead of min: the length is a symbol during the export.
        newest = torch.sym_min(self.n_open, embeddings.shape[1])  # type: ignore[no-untyped-call]
        live, revised = self.network.track_logits(embeddings, scored, newest)
        return calibrated(live, revised, self.network.temperature)


class _ElementaryNorm(nn.Module):
    """`nn.LayerNorm` in elementary operations: onnxruntime's own operation is slower."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        x = x - x.mean(dim=-1, keepdim=True)
        variance = (x * x).mean(dim=-1, keepdim=True)
        # A minimum instead of a sum: the exporter treats so small a summand as zero.
        return x / variance.clamp_min(self.eps).sqrt() * self.weight + self.bias


class _DistanceTable(nn.Module):
    """`DistanceBias` computed in advance, for up to ``context`` epochs."""

    bias: Tensor

    def __init__(self, distance: DistanceBias, context: int) -> None:
        super().__init__()
        # One row and column more than any context has. Otherwise the example would use the whole
        # table, and the exporter would conclude that every call does.
        self.register_buffer("bias", distance(context + 1))  # (H, context + 1, context + 1)

    def forward(self, length: int) -> Tensor:
        return self.bias[:, :length, :length]


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the exporter's log and warnings, which are not for users."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
