"""Prepare an NVIDIA GPU: approve it for PyTorch, and build TensorRT engines.

Only the parts that need no GPU have run yet: see `monitor.staging.cuda_backend`.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from deploy.exporting import writing_to
from models.contract import EPOCH_SAMPLES
from models.exporting import first_line, with_replaced
from models.files import whole_file
from monitor.errors import MonitorError, one_line
from monitor.staging import cuda_backend, tensorrt_backend
from monitor.staging.approval import HALF, REFUSED, OpenIn, judge, stored_approval
from monitor.staging.backend import BackendUnavailableError, network_folder
from monitor.staging.cuda_backend import cuda_device, open_on_device
from monitor.staging.device_backend import LARGEST_BATCH
from monitor.staging.gate import Parity, ParityGate
from monitor.staging.gpu import Gpu, Sidecar, nvidia_gpu
from monitor.staging.network_parts import load_parts
from monitor.staging.tensorrt_backend import EMBED, INSTALL, STAGE, open_engines

Report = Callable[[str], None]


def build_engines(weights: Path, exported: Path, force: bool, report: Report) -> list[Parity]:
    """Prepare this machine's GPU for ``weights``, unless it is prepared already.

    A precision is approved, and engines are kept, only if they stage the excerpt as PyTorch does
    on the CPU.

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
                approve(
                    lambda precision: open_on_device(gpu, device, weights, exported, precision),
                    gate,
                    folder / cuda_backend.SIDECAR,
                    cuda_backend.made_for(gpu, gate.contract),
                    force,
                    report,
                )
            ]
            try:
                here = tensorrt_backend.made_for(gpu, gate.contract)
                made.append(
                    _build_tensorrt(weights, folder, gate, gpu, device, here, force, report)
                )
            except (BackendUnavailableError, RuntimeError) as exc:
                report(f"  tensorrt: not built: {first_line(exc)}")
    except RuntimeError as exc:
        raise MonitorError(f"the {gpu.name} failed: {first_line(exc)}") from exc
    return [parity for parity in made if parity is not None]


def approve(
    open_in: OpenIn,
    gate: ParityGate,
    sidecar: Path,
    here: dict[str, str],
    force: bool,
    report: Report,
) -> Parity | None:
    """Write into ``sidecar`` the precision that the monitor uses ``here``, as its first start does.

    It is half if that passes the gate, else float32. A refusal that is stored is judged again.

    Returns
    -------
    The parity of that precision; None if the sidecar already approves one, unless ``force``.

    Raises
    ------
    MonitorError
        Float32 does not pass the gate either.
    """
    known = stored_approval(sidecar, here)
    if known is not None and known.precision != REFUSED and not force:
        report(f"  cuda: up to date, {known.precision}")
        return None
    precision, parity = judge(open_in, gate, lambda line: report(f"  cuda: {line}"))
    Sidecar(here, precision, parity.figures).write(sidecar)
    if precision == REFUSED:
        raise MonitorError(f"not even float32 stages as PyTorch does on the CPU: {parity.in_words}")
    return parity


def _build_tensorrt(
    weights: Path,
    folder: Path,
    gate: ParityGate,
    gpu: Gpu,
    device: torch.device,
    here: dict[str, str],
    force: bool,
    report: Report,
) -> Parity | None:
    """Build the engines in ``folder``. Returns None if they are up to date, or did not pass.

    Raises `BackendUnavailableError` if TensorRT is missing or cannot build them.
    """
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
    parity = gate.parity(open_engines(gpu, device, weights, HALF, engines))
    if not parity.passed:
        report(f"  tensorrt: not kept, it stages differently from PyTorch: {parity.in_words}")
        return None
    for name, engine in engines.items():
        with whole_file(folder / name) as file:
            file.write(engine)
    files = {name: hashlib.sha256(engine).hexdigest() for name, engine in engines.items()}
    # The sidecar comes last: before it exists, the new engines are not used.
    Sidecar(here, HALF, parity.figures, files).write(folder / tensorrt_backend.SIDECAR)
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
