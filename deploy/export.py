"""Export the network as two ONNX graphs, encode an epoch and stage a context: no PyTorch needed."""

from __future__ import annotations

import importlib
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from deploy.exporting import first_line, with_replaced, writing_to
from models.calibration import calibrated
from models.contract import EPOCH_SAMPLES, ModelContract
from models.mc2sleepnet import DistanceBias, MC2SleepNet
from models.weights import load
from monitor.errors import MonitorError
from monitor.staging.backend import network_folder
from monitor.staging.gate import Parity, ParityGate
from monitor.staging.onnx_backend import ENCODE, FORMAT, STAGE, OnnxBackend

if TYPE_CHECKING:
    from torch.onnx import ONNXProgram

OPSET = 23
"""The first opset with attention as one operation; onnxruntime supports it since 1.23."""

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
"""onnx and onnxscript are parts of PyTorch's exporter; onnxruntime checks its files."""


def export_onnx(weights: Path, exported: Path) -> Parity:
    """Write `encode.onnx` and `stage.onnx` of ``weights`` into their folder in ``exported``.

    The files are kept only if they stage the excerpt as PyTorch does. This takes about 20 s.

    Raises
    ------
    InputError
        The weights cannot be used, or ``exported`` cannot be written to.
    MonitorError
        A package is missing, the export failed, or the exported network stages differently.
    """
    for package in PACKAGES:
        try:
            importlib.import_module(package)
        except ImportError as exc:
            raise MonitorError(
                f"exporting needs {package}; pip install {' '.join(PACKAGES)}"
            ) from exc
    gate = ParityGate(weights)
    folder = network_folder(exported, gate.contract)
    with writing_to(exported):
        folder.mkdir(parents=True, exist_ok=True)
        # Next to the final folder, so that a file moves there without being copied.
        with tempfile.TemporaryDirectory(prefix=".export-", dir=exported) as trial:
            trial_folder = network_folder(Path(trial), gate.contract)
            trial_folder.mkdir()
            _write_graphs(weights, trial_folder)
            parity = gate.parity(OnnxBackend(weights, Path(trial)))
            if not parity.passed:
                raise MonitorError(
                    f"the exported network stages differently from PyTorch: {parity.in_words}; "
                    "nothing was exported"
                )
            # A crash between the two moves does no harm: each file is whole, and an old and a new
            # file that were made from the same weights work together.
            for name in (ENCODE, STAGE):
                (trial_folder / name).replace(folder / name)
    return parity


def _write_graphs(weights: Path, folder: Path) -> None:
    network, contract = load(weights)
    with _quiet():
        try:
            encoder, stager = _export(network, contract)
        except Exception as exc:  # The exporter raises exceptions of many classes.
            raise MonitorError(
                f"PyTorch {torch.__version__} could not export {weights}: "
                f"{type(exc).__name__}: {first_line(exc)}"
            ) from exc
    for program, name in ((encoder, ENCODE), (stager, STAGE)):
        # The exporter notes for each operation the line of Python that it came from. Files must not
        # contain the paths of this machine.
        for node in program.model.graph.all_nodes():
            node.metadata_props.clear()
        program.model.metadata_props.update(
            format=FORMAT, contract=json.dumps(contract.to_json()), torch=torch.__version__
        )
        program.save(folder / name, external_data=False)


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
