"""onnxruntime on the CPU, from what `sleep-deploy export` made: no PyTorch, for a small box."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from models.contract import ModelContract
from monitor.staging.backend import BackendUnavailableError, checked_contract, exported_folder
from monitor.staging.slices import WINDOWS, Slices
from monitor.types import F32, Bool

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

ENCODE, STAGE = "encode.onnx", "stage.onnx"
FORMAT = "1"
"""Of the exported graphs: another one when the network computes anything else from its weights."""


class OnnxBackend:
    """onnxruntime on the CPU. An epoch is staged by one thread: others share the machine."""

    name = "onnx"
    trouble = ""

    def __init__(self, weights: Path, exported: Path) -> None:
        """Load what was exported of ``weights``, whose card alone is read.

        Raises `BackendUnavailableError` without onnxruntime, or if what is in ``exported`` is
        missing, damaged or was made of other weights; `InputError` for an unusable card.
        """
        self._contract = checked_contract(weights)
        try:
            import onnxruntime
        except ImportError as exc:
            raise BackendUnavailableError(
                "onnxruntime is not installed; pip install onnxruntime"
            ) from exc
        folder = exported_folder(self._contract, exported)
        # Its remarks, such as that it found no GPU, are not for the user.
        onnxruntime.set_default_logger_severity(3)
        self._encoder = self._load(folder / ENCODE)
        self._stager = self._load(folder / STAGE)
        self._slices = Slices()
        self.runs_on = f"onnxruntime {onnxruntime.__version__} on the CPU"

    @property
    def contract(self) -> ModelContract:
        return self._contract

    def encode(self, epochs_uv: F32) -> F32:
        # One by one, as `TorchBackend` does, and for the same reason.
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

    def _load(self, path: Path) -> InferenceSession:
        import onnxruntime

        if not path.is_file():
            raise BackendUnavailableError(
                f"these weights are not exported yet ({path} does not exist); run sleep-deploy "
                "export"
            )
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as exc:  # its errors have no common base
            said = " ".join(str(exc).split())
            raise BackendUnavailableError(
                f"onnxruntime {onnxruntime.__version__} cannot load {path}; run sleep-deploy "
                f"export again ({said})"
            ) from exc
        if _contract_in(session) != self._contract:
            raise BackendUnavailableError(
                f"{path} was made of other weights, or by another version; run sleep-deploy export "
                "again"
            )
        return session


def _contract_in(session: InferenceSession) -> ModelContract | None:
    """The contract that the export put into the file; None if it is of another format."""
    try:
        said = session.get_modelmeta().custom_metadata_map
        contract = ModelContract.from_json(json.loads(said["contract"]))
        return contract if said["format"] == FORMAT else None
    except (KeyError, TypeError, ValueError):
        return None
