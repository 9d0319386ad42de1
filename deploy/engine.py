"""Prepare an NVIDIA GPU: approve half precision for CUDA, and build TensorRT engines.

Only the parts that need no GPU have run yet: see `monitor.staging.cuda_backend`.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from deploy.exporting import writing_to
from deploy.parity import Parity, ParityGate
from models.contract import EPOCH_SAMPLES
from models.exporting import first_line, with_replaced
from monitor.errors import MonitorError, one_line
from monitor.staging import cuda_backend, tensorrt_backend
from monitor.staging.backend import Backend, BackendUnavailableError, network_folder
from monitor.staging.cuda_backend import FULL, HALF, REFUSED, cuda_device, open_cuda
from monitor.staging.device_backend import LARGEST_BATCH
from monitor.staging.gpu import Sidecar, nvidia_gpu
from monitor.staging.network_parts import load_parts
from monitor.staging.tensorrt_backend import EMBED, INSTALL, STAGE, open_tensorrt

Report = Callable[[str], None]


def build_engines(weights: Path, exported: Path, force: bool, report: Report) -> list[Parity]:
    """Prepare this machine's GPU for ``weights``, unless it is prepared already.

    Half precision is approved, and engines are kept, only if they stage the excerpt as PyTorch
    does on the CPU.

    Parameters
    ----------
    force : prepare it again.
    report : called with a line of text for everything that was not made.

    Returns
    -------
    The parity of everything that was made.

    Raises
    ------
    InputError
        The weights cannot be used, or ``exported`` cannot be written to.
    MonitorError
        There is no NVIDIA GPU that PyTorch can use, or even float32 stages differently on it.
    """
    try:
        gpu = nvidia_gpu()
        device = cuda_device(gpu)
    except BackendUnavailableError as exc:
        raise MonitorError(f"nothing can be built: {exc}") from exc
    gate = ParityGate(weights)
    folder = network_folder(exported, gate.contract)
    try:
        with writing_to(exported):
            folder.mkdir(parents=True, exist_ok=True)
            made = [
                approve_half(
                    lambda precision: open_cuda(weights, exported, precision),
                    gate,
                    folder / cuda_backend.SIDECAR,
                    cuda_backend.made_for(gpu, gate.contract),
                    force,
                    report,
                )
            ]
            try:
                here = tensorrt_backend.made_for(gpu, gate.contract)
                made.append(_build_tensorrt(weights, exported, gate, device, here, force, report))
            except (BackendUnavailableError, RuntimeError) as exc:
                report(f"  tensorrt: not built: {first_line(exc)}")
    except RuntimeError as exc:
        raise MonitorError(f"the {gpu.name} failed: {first_line(exc)}") from exc
    return [parity for parity in made if parity is not None]


def approve_half(
    open_backend: Callable[[str], Backend],
    gate: ParityGate,
    sidecar: Path,
    here: dict[str, str],
    force: bool,
    report: Report,
) -> Parity | None:
    """Write into ``sidecar`` the precision that the backend uses ``here``.

    It is half if that passes the gate, else float32.

    Returns
    -------
    The parity of that precision; None if the sidecar already names one, unless ``force``.

    Raises
    ------
    MonitorError
        Float32 does not pass the gate either.
    """
    known = Sidecar.read(sidecar)
    valid = known is not None and not known.difference(here) and known.precision != REFUSED
    if known is not None and valid and not force:
        report(f"  cuda: up to date, {known.precision}")
        return None
    for precision in (HALF, FULL):
        parity = gate.parity(open_backend(precision))
        if parity.passed:
            Sidecar(here, precision, _figures(parity)).write(sidecar)
            return parity
        report(f"  cuda: {precision} stages differently from PyTorch: {parity.in_words}")
    Sidecar(here, REFUSED, _figures(parity)).write(sidecar)
    raise MonitorError(f"not even float32 stages as PyTorch does on the CPU: {parity.in_words}")


def _build_tensorrt(
    weights: Path,
    exported: Path,
    gate: ParityGate,
    device: torch.device,
    here: dict[str, str],
    force: bool,
    report: Report,
) -> Parity | None:
    """Build the engines. Returns None if they are up to date, or did not pass the gate.

    Raises `BackendUnavailableError` if TensorRT is missing or cannot build them.
    """
    folder = network_folder(exported, gate.contract)
    if not force:
        try:
            tensorrt_backend.read_engines(folder, here)
            report("  tensorrt: up to date")
            return None
        except BackendUnavailableError:
            pass  # They are missing or outdated: build them.
    torch_tensorrt = _torch_tensorrt()
    # Engines without a sidecar are not used. If the build fails, the old ones must not be either.
    (folder / tensorrt_backend.SIDECAR).unlink(missing_ok=True)
    report("  tensorrt: building engines, some minutes")
    engines = {
        name: _engine(torch_tensorrt, program)
        for name, program in programs(weights, device).items()
    }
    files = {name: hashlib.sha256(engine).hexdigest() for name, engine in engines.items()}
    with tempfile.TemporaryDirectory(prefix=".build-", dir=exported) as trial:
        trial_folder = network_folder(Path(trial), gate.contract)
        trial_folder.mkdir()
        for name, engine in engines.items():
            (trial_folder / name).write_bytes(engine)
        Sidecar(here, HALF, {}, files).write(trial_folder / tensorrt_backend.SIDECAR)
        parity = gate.parity(open_tensorrt(weights, Path(trial)))
        if not parity.passed:
            report(f"  tensorrt: not kept, it stages differently from PyTorch: {parity.in_words}")
            return None
        for name in engines:
            (trial_folder / name).replace(folder / name)
    # The sidecar comes last: before it exists, the new engines are not used.
    Sidecar(here, HALF, _figures(parity), files).write(folder / tensorrt_backend.SIDECAR)
    return parity


def programs(weights: Path, device: torch.device) -> dict[str, ExportedProgram]:
    """Export the network in half precision, in the two parts that become engines.

    Their batch may have any length up to `LARGEST_BATCH`. Norms compute in float32.
    """
    parts = load_parts(weights, device, getattr(torch, HALF))
    contract = parts.contract
    assert isinstance(parts.embed, nn.Module) and isinstance(parts.stage, nn.Module)
    embed, stage = (
        with_replaced(part, {nn.LayerNorm: _FullNorm}) for part in (parts.embed, parts.stage)
    )
    batch = Dim("batch", min=1, max=LARGEST_BATCH)
    # Two examples: torch.export would conclude from a batch of one that it is always one.
    measured = parts.measure(torch.zeros(2, EPOCH_SAMPLES, device=device))
    embeddings = torch.zeros(2, contract.context_epochs, contract.embedding_dim, device=device)
    scored = torch.ones(embeddings.shape[:2], dtype=torch.bool, device=device)
    return {
        EMBED: torch.export.export(
            embed, measured, dynamic_shapes=(tuple({0: batch} for _ in measured),)
        ),
        STAGE: torch.export.export(
            stage, (embeddings, scored), dynamic_shapes=({0: batch}, {0: batch})
        ),
    }


class _FullNorm(nn.Module):
    """`nn.LayerNorm` computed in float32. PyTorch does so by itself; TensorRT does not."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.norm = norm.float()

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.float()).to(x.dtype)  # type: ignore[no-any-return]


def _engine(torch_tensorrt: Any, program: ExportedProgram) -> bytes:
    """Build TensorRT's engine of ``program``, serialised. Its dtypes are the program's."""
    inputs = []
    for each in _placeholders(program):
        row = tuple(map(int, each.shape[1:]))
        inputs.append(
            torch_tensorrt.Input(
                min_shape=(1, *row),
                opt_shape=(LARGEST_BATCH, *row),
                max_shape=(LARGEST_BATCH, *row),
                dtype=each.dtype,
            )
        )
    try:
        engine: bytes = torch_tensorrt.dynamo.convert_exported_program_to_serialized_trt_engine(
            program,
            arg_inputs=inputs,
            # Otherwise torch-tensorrt replaces the attention mask by the causal one, silently.
            decompose_attention=True,
            disable_tf32=True,
        )
    except Exception as exc:  # It raises exceptions of many classes.
        raise BackendUnavailableError(
            f"torch-tensorrt {torch_tensorrt.__version__} could not build an engine: "
            f"{type(exc).__name__}: {first_line(exc)}"
        ) from exc
    return engine


def _placeholders(program: ExportedProgram) -> Sequence[Tensor]:
    """Return the program's inputs without its weights."""
    names = set(program.graph_signature.user_inputs)
    return [node.meta["val"] for node in program.graph.nodes if node.name in names]


def _torch_tensorrt() -> Any:
    try:
        # On import, it prints which optional parts are missing.
        with redirect_stdout(io.StringIO()):
            import torch_tensorrt
    except Exception as exc:  # A bare Exception if TensorRT's libraries are missing.
        raise BackendUnavailableError(
            f"torch-tensorrt cannot be loaded ({one_line(exc)}); {INSTALL}"
        ) from exc
    return torch_tensorrt


def _figures(parity: Parity) -> dict[str, float]:
    """Return the figures that a sidecar stores."""
    named = asdict(parity)
    return {name: named[name] for name in ("n_epochs", "label_agreement", "largest_difference")}
