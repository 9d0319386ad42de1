"""The backend for onnxruntime on the CPU, the default one. It runs the graphs beside the weights.

It needs no PyTorch. The graphs of the default weights ship; `sleep-train fit` and `sleep-deploy
export` write those of other weights.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from models.contract import ModelContract
from models.graphs import (
    ENCODE,
    FORMAT,
    INPUTS,
    STAGE,
    GraphError,
    graph_path,
    import_onnxruntime,
    read_graph,
)
from models.reading import parsed_json
from monitor.errors import one_line
from monitor.staging.backend import BackendUnavailableError, checked_contract
from monitor.staging.slices import WINDOWS, Slices
from monitor.types import F32, Bool

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


class OnnxBackend:
    """onnxruntime on the CPU. One thread stages an epoch, because others share the machine."""

    name = "onnx"
    trouble = ""

    def __init__(self, weights: Path) -> None:
        """Load the graphs beside ``weights``. Of the weights only the card is read.

        Raises
        ------
        BackendUnavailableError
            onnxruntime is not installed, or the graphs are missing, damaged or made from other
            weights.
        InputError
            The card cannot be used.
        """
        self._weights = weights
        self._contract = checked_contract(weights)
        graphs = [graph_path(weights, graph) for graph in (ENCODE, STAGE)]
        # First: to install onnxruntime does not help a user who has no export.
        if missing := [path for path in graphs if not path.exists()]:
            raise BackendUnavailableError(
                f"these weights are not exported yet ({missing[0]} does not exist); {self._remedy}"
            )
        try:
            onnxruntime = import_onnxruntime()
        except ImportError as exc:
            raise BackendUnavailableError(
                "onnxruntime is not installed; pip install onnxruntime"
            ) from exc
        # 3: errors only. It warns, for example, that it found no GPU, which users need not know.
        onnxruntime.set_default_logger_severity(3)
        self._encoder = self._load(ENCODE)
        self._stager = self._load(STAGE)
        self._slices = Slices()
        self.runs_on = f"onnxruntime {onnxruntime.__version__} on the CPU"

    @property
    def contract(self) -> ModelContract:
        return self._contract

    def encode(self, epochs_uv: F32) -> F32:
        # One epoch at a time, for the reason given in `TorchBackend.encode`.
        return self._slices.run(self._encode, epochs_uv, length=1)[0]

    def stage(self, embeddings: F32, scored: Bool) -> tuple[F32, F32]:
        live, revised = self._slices.run(self._stage, embeddings, scored, length=WINDOWS)
        return live, revised

    def _encode(self, epochs_uv: F32) -> tuple[F32]:
        (embeddings,) = self._encoder.run(None, {"epochs_uv": epochs_uv})
        return (embeddings,)

    def _stage(self, embeddings: F32, scored: Bool) -> tuple[F32, F32]:
        live, revised = self._stager.run(None, {"embeddings": embeddings, "scored": scored})
        return live, revised

    @property
    def _remedy(self) -> str:
        return f"run sleep-deploy export --weights {shlex.quote(str(self._weights))}"

    def _load(self, graph: str) -> InferenceSession:
        onnxruntime = import_onnxruntime()

        path, remedy = graph_path(self._weights, graph), self._remedy
        try:
            data = read_graph(self._weights, graph)
        except GraphError as exc:
            raise BackendUnavailableError(f"{exc}; {remedy}") from exc
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # A thread that waits must sleep: spinning would take the core from other sleepers.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = onnxruntime.InferenceSession(
                data, options, providers=["CPUExecutionProvider"]
            )
        except Exception as exc:  # onnxruntime's exceptions have no common base class.
            raise BackendUnavailableError(
                f"onnxruntime {onnxruntime.__version__} cannot load {path}; {remedy} "
                f"({one_line(exc)})"
            ) from exc
        inputs = [each.name for each in session.get_inputs()]
        if _contract_in(session) != self._contract or inputs != INPUTS[graph]:
            raise BackendUnavailableError(
                f"{path} was made from other weights, or by another version; {remedy}"
            )
        return session


def _contract_in(session: InferenceSession) -> ModelContract | None:
    """Read the contract that the export wrote into the file; None if the format is another."""
    try:
        metadata = session.get_modelmeta().custom_metadata_map
        contract = ModelContract.from_json(parsed_json(metadata["contract"]))
        return contract if metadata["format"] == FORMAT else None
    except (KeyError, TypeError, ValueError):
        return None
