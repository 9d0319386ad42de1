"""The network as two ONNX graphs, which need no PyTorch: an epoch's embedding, and its stages."""

from __future__ import annotations

import importlib
import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from deploy.parity import (
    MAX_DIFFERENCE,
    MIN_AGREEMENT,
    Parity,
    excerpt_epochs,
    measure_parity,
)
from models.contract import EPOCH_SAMPLES, ModelContract
from models.mc2sleepnet import DistanceBias, MC2SleepNet
from models.weights import load
from monitor.errors import InputError, MonitorError
from monitor.staging.backend import exported_folder
from monitor.staging.onnx_backend import ENCODE, FORMAT, STAGE, OnnxBackend
from monitor.staging.torch_backend import TorchBackend

if TYPE_CHECKING:
    from torch.onnx import ONNXProgram

OPSET = 23
"""The first with attention as one operation. onnxruntime knows it since 1.23."""

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
"""What PyTorch's exporter is made of, and what its files are tried with."""


def export_onnx(weights: Path, exported: Path) -> Parity:
    """Write `encode.onnx` and `stage.onnx` of ``weights`` into their folder in ``exported``.

    They are put there only if they stage the excerpt as PyTorch does. Takes some 20 s.

    Raises
    ------
    InputError
        The weights cannot be used, or ``exported`` cannot be written to.
    MonitorError
        A package is missing, the export failed, or what it made stages otherwise.
    """
    for package in PACKAGES:
        try:
            importlib.import_module(package)
        except ImportError as exc:
            raise MonitorError(
                f"exporting needs {package}; pip install {' '.join(PACKAGES)}"
            ) from exc
    reference = TorchBackend(weights)
    contract = reference.contract
    folder = exported_folder(contract, exported)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=exported) as made:
            made_folder = exported_folder(contract, Path(made))
            made_folder.mkdir()
            _write_graphs(weights, made_folder)
            backend = OnnxBackend(weights, Path(made))
            parity = measure_parity(backend, reference, *excerpt_epochs(contract.gain))
            if not parity.passed:
                raise MonitorError(
                    f"the exported network stages otherwise than PyTorch: "
                    f"{parity.label_agreement:.2%} of the labels agree (at least "
                    f"{MIN_AGREEMENT:.1%} must), probabilities differ by up to "
                    f"{parity.largest_difference:.2g} (at most {MAX_DIFFERENCE:g}); nothing was "
                    "exported"
                )
            # Each file is whole, and any two made of the same weights belong together.
            for name in (ENCODE, STAGE):
                (made_folder / name).replace(folder / name)
    except OSError as exc:
        raise InputError(
            f"cannot write to {exported}: {exc.strerror or exc}; choose another folder with "
            "--exported"
        ) from exc
    return parity


def _write_graphs(weights: Path, folder: Path) -> None:
    network, contract = load(weights)
    with _quiet():
        try:
            encoder, stager = _export(network, contract)
        except Exception as exc:  # of the exporter's many kinds
            said = (str(exc).splitlines() or [""])[0]
            raise MonitorError(
                f"PyTorch {torch.__version__} could not export {weights}: "
                f"{type(exc).__name__}: {said}"
            ) from exc
    for program, name in ((encoder, ENCODE), (stager, STAGE)):
        # Where in this checkout each operation came from.
        for node in program.model.graph.all_nodes():
            node.metadata_props.clear()
        program.model.metadata_props.update(
            format=FORMAT, contract=json.dumps(contract.to_json()), torch=torch.__version__
        )
        program.save(folder / name, external_data=False)


def _export(network: MC2SleepNet, contract: ModelContract) -> tuple[ONNXProgram, ONNXProgram]:
    stager = _Stager(network, contract)
    embeddings = torch.zeros(2, contract.context_epochs, contract.embedding_dim)
    scored = torch.ones(2, contract.context_epochs, dtype=torch.bool)
    return (
        _program(
            _Encoder(network), [torch.zeros(2, EPOCH_SAMPLES)], 1, ["epochs_uv"], ["embeddings"]
        ),
        _program(stager, [embeddings, scored], 2, ["embeddings", "scored"], ["live", "revised"]),
    )


def _program(
    module: nn.Module,
    example: Sequence[Tensor],
    n_dynamic: int,
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> ONNXProgram:
    """``module`` exported; the first ``n_dynamic`` axes of every input may have any length."""
    # The constants of its transforms are made and kept at the first use, which must be a real one.
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
    def __init__(self, network: MC2SleepNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, epochs_uv: Tensor) -> Tensor:
        return self.network.encode(epochs_uv)


class _Stager(nn.Module):
    """`MC2SleepNet.stage` of the epochs still open, in the shape that onnxruntime runs fastest.

    Track by track: it finds by itself what both have in common, and of the live one the last layer
    is needed for the newest epoch alone.
    """

    def __init__(self, network: MC2SleepNet, contract: ModelContract) -> None:
        super().__init__()
        self.network = network
        self.n_open = contract.revision_epochs + 1
        _replace(network, nn.LayerNorm, _Norm)
        _replace(network, DistanceBias, lambda bias: _Distances(bias, contract.context_epochs))

    def forward(self, embeddings: Tensor, scored: Tensor) -> tuple[Tensor, Tensor]:
        network = self.network
        n_open = torch.sym_min(self.n_open, embeddings.shape[1])  # type: ignore[no-untyped-call]
        live = network.staging_view(embeddings, scored, True, 1).prediction
        revised = network.staging_view(embeddings, scored, False, n_open).prediction
        return (
            (live[:, -1] / network.temperature[0]).softmax(dim=1),
            (revised / network.temperature[1]).softmax(dim=2),
        )


class _Norm(nn.Module):
    """`nn.LayerNorm` in elementary operations: onnxruntime's own takes longer."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        x = x - x.mean(dim=-1, keepdim=True)
        variance = (x * x).mean(dim=-1, keepdim=True)
        # Not added: the exporter takes so small a summand for zero.
        return x / variance.clamp_min(self.eps).sqrt() * self.weight + self.bias


class _Distances(nn.Module):
    """`DistanceBias` looked up beforehand, for up to ``context`` epochs."""

    bias: Tensor

    def __init__(self, distance: DistanceBias, context: int) -> None:
        super().__init__()
        # One more than is ever asked for: the example would seem to ask for the whole, always.
        self.register_buffer("bias", distance(context + 1))  # (H, context + 1, context + 1)

    def forward(self, length: int) -> Tensor:
        return self.bias[:, :length, :length]


def _replace(module: nn.Module, kind: type[Any], replacement: Callable[[Any], nn.Module]) -> None:
    for name, child in list(module.named_children()):
        if isinstance(child, kind):
            setattr(module, name, replacement(child))
        else:
            _replace(child, kind, replacement)


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter remarks on a lot that is nothing to the user."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
