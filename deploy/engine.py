"""What an NVIDIA GPU runs: half precision on CUDA, approved or not, and TensorRT engines.

Not run on hardware yet, but for what needs none: see `monitor.staging.cuda_backend`.
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

from deploy.parity import Parity, excerpt_epochs, measure_parity
from models.contract import EPOCH_SAMPLES
from monitor.errors import InputError, MonitorError
from monitor.staging import cuda_backend, tensorrt_backend
from monitor.staging.backend import Backend, BackendUnavailableError, exported_folder
from monitor.staging.cuda_backend import FULL, HALF, REFUSED, CudaBackend, cuda_device
from monitor.staging.device_network import LARGEST_BATCH, DeviceNetwork
from monitor.staging.gpu import Sidecar, nvidia_gpu
from monitor.staging.tensorrt_backend import EMBED, INSTALL, STAGE, TensorRtBackend
from monitor.staging.torch_backend import TorchBackend

Tell = Callable[[str], None]


def build_engines(weights: Path, exported: Path, force: bool, tell: Tell) -> list[Parity]:
    """Make what the GPU of this machine runs of ``weights``, unless it is there and made for it.

    Half precision is approved, and engines are kept, only if they stage the excerpt as PyTorch
    does. Returns the parity of what was made; ``tell`` is told about the rest.

    Raises
    ------
    InputError
        The weights cannot be used, or ``exported`` cannot be written to.
    MonitorError
        There is no NVIDIA GPU that PyTorch can use, or even float32 stages otherwise on it.
    """
    try:
        gpu = nvidia_gpu()
        device = cuda_device(gpu)
    except BackendUnavailableError as exc:
        raise MonitorError(f"nothing can be built: {exc}") from exc
    judge = Judge(weights)
    folder = exported_folder(judge.contract, exported)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        made = [
            approve_half(
                lambda precision: CudaBackend(weights, exported, precision),
                judge,
                folder / cuda_backend.SIDECAR,
                cuda_backend.made_for(gpu, judge.contract),
                force,
                tell,
            )
        ]
        try:
            here = tensorrt_backend.made_for(gpu, judge.contract)
            made.append(_build_tensorrt(weights, exported, judge, device, here, force, tell))
        except (BackendUnavailableError, RuntimeError) as exc:
            tell(f"  tensorrt: not built: {_first_line(exc)}")
    except RuntimeError as exc:
        raise MonitorError(f"the {gpu.name} failed: {_first_line(exc)}") from exc
    except OSError as exc:
        raise InputError(
            f"cannot write to {exported}: {exc.strerror or exc}; choose another folder with "
            "--exported"
        ) from exc
    return [parity for parity in made if parity is not None]


class Judge:
    """Compares backends with PyTorch on the CPU."""

    def __init__(self, weights: Path) -> None:
        self._reference = TorchBackend(weights)
        self.contract = self._reference.contract

    def parity(self, backend: Backend) -> Parity:
        excerpt = excerpt_epochs(self.contract.gain)
        return measure_parity(backend, self._reference, *excerpt)


def approve_half(
    open_backend: Callable[[str], Backend],
    judge: Judge,
    sidecar: Path,
    here: dict[str, str],
    force: bool,
    tell: Tell,
) -> Parity | None:
    """Write into ``sidecar`` in which precision the backend is to run ``here``: half, if it stages
    alike, else float32. None if it is known.

    Raises `MonitorError` if float32 does not stage alike either.
    """
    known = Sidecar.read(sidecar)
    fits = known is not None and not known.difference(here) and known.precision != REFUSED
    if known is not None and fits and not force:
        tell(f"  cuda: up to date, {known.precision}")
        return None
    for precision in (HALF, FULL):
        parity = judge.parity(open_backend(precision))
        if parity.passed:
            Sidecar(here, precision, _figures(parity)).write(sidecar)
            return parity
        tell(f"  cuda: {precision} stages otherwise: {_otherwise(parity)}")
    Sidecar(here, REFUSED, _figures(parity)).write(sidecar)
    raise MonitorError(f"not even float32 stages as PyTorch does on the CPU: {_otherwise(parity)}")


def _build_tensorrt(
    weights: Path,
    exported: Path,
    judge: Judge,
    device: torch.device,
    here: dict[str, str],
    force: bool,
    tell: Tell,
) -> Parity | None:
    """None if the engines are up to date, or not kept. Raises `BackendUnavailableError` without
    TensorRT, or if it cannot build them."""
    folder = exported_folder(judge.contract, exported)
    if not force:
        try:
            tensorrt_backend.read_engines(folder, here)
            tell("  tensorrt: up to date")
            return None
        except BackendUnavailableError:
            pass  # that is what this is for
    torch_tensorrt = _torch_tensorrt()
    # What is not built again is not trusted any more either.
    (folder / tensorrt_backend.SIDECAR).unlink(missing_ok=True)
    tell("  tensorrt: building engines, some minutes")
    with tempfile.TemporaryDirectory(prefix=".build-", dir=exported) as trial:
        trial_folder = exported_folder(judge.contract, Path(trial))
        trial_folder.mkdir()
        engines = {
            name: _engine(torch_tensorrt, program)
            for name, program in programs(weights, device).items()
        }
        files = {name: hashlib.sha256(engine).hexdigest() for name, engine in engines.items()}
        for name, engine in engines.items():
            (trial_folder / name).write_bytes(engine)
        Sidecar(here, HALF, {}, files).write(trial_folder / tensorrt_backend.SIDECAR)
        parity = judge.parity(TensorRtBackend(weights, Path(trial)))
        if not parity.passed:
            tell(f"  tensorrt: not kept, it stages otherwise: {_otherwise(parity)}")
            return None
        for name in engines:
            (trial_folder / name).replace(folder / name)
    # Last: engines that it does not describe are not used.
    Sidecar(here, HALF, _figures(parity), files).write(folder / tensorrt_backend.SIDECAR)
    return parity


def programs(weights: Path, device: torch.device) -> dict[str, ExportedProgram]:
    """The network in half precision, in the two parts that become engines. Their batch may have any
    length up to `LARGEST_BATCH`."""
    network = DeviceNetwork(weights, device, getattr(torch, HALF))
    contract = network.contract
    batch = Dim("batch", min=1, max=LARGEST_BATCH)
    # torch.export would take a batch of one for a batch that is always one.
    measured = network.measured(torch.zeros(2, EPOCH_SAMPLES, device=device))
    embeddings = torch.zeros(2, contract.context_epochs, contract.embedding_dim, device=device)
    scored = torch.ones(embeddings.shape[:2], dtype=torch.bool, device=device)
    embedder, stager = network.embedder, network.stager
    assert isinstance(embedder, nn.Module) and isinstance(stager, nn.Module)
    for module in (embedder, stager):
        _norms_in_float32(module)
    return {
        EMBED: torch.export.export(
            embedder, tuple(measured), dynamic_shapes=(tuple({0: batch} for _ in measured),)
        ),
        STAGE: torch.export.export(
            stager, (embeddings, scored), dynamic_shapes=({0: batch}, {0: batch})
        ),
    }


class _FullNorm(nn.Module):
    """`nn.LayerNorm` computed in float32, as PyTorch does by itself and TensorRT does not."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.norm = norm.float()

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.float()).to(x.dtype)  # type: ignore[no-any-return]


def _norms_in_float32(module: nn.Module) -> None:
    for name, child in list(module.named_children()):
        if isinstance(child, nn.LayerNorm):
            setattr(module, name, _FullNorm(child))
        elif not isinstance(child, _FullNorm):
            _norms_in_float32(child)


def _engine(torch_tensorrt: Any, program: ExportedProgram) -> bytes:
    """TensorRT's engine of ``program``, serialised. It takes its types from the program."""
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
            # Left whole, attention's mask would be taken for the causal one, whatever it holds.
            decompose_attention=True,
            disable_tf32=True,
        )
    except Exception as exc:  # of many kinds
        raise BackendUnavailableError(
            f"torch-tensorrt {torch_tensorrt.__version__} could not build an engine: "
            f"{type(exc).__name__}: {_first_line(exc)}"
        ) from exc
    return engine


def _placeholders(program: ExportedProgram) -> Sequence[Tensor]:
    """The program's inputs, weights left out."""
    names = set(program.graph_signature.user_inputs)
    return [node.meta["val"] for node in program.graph.nodes if node.name in names]


def _torch_tensorrt() -> Any:
    try:
        # It prints what it misses.
        with redirect_stdout(io.StringIO()):
            import torch_tensorrt
    except Exception as exc:  # a bare one, if TensorRT's libraries are missing
        raise BackendUnavailableError(
            f"torch-tensorrt cannot be loaded ({exc}); {INSTALL}"
        ) from exc
    return torch_tensorrt


def _first_line(exc: Exception) -> str:
    return (str(exc).splitlines() or [""])[0]


def _figures(parity: Parity) -> dict[str, float]:
    named = asdict(parity)
    return {name: named[name] for name in ("n_epochs", "label_agreement", "largest_difference")}


def _otherwise(parity: Parity) -> str:
    return (
        f"{parity.label_agreement:.2%} of the labels agree, probabilities differ by up to "
        f"{parity.largest_difference:.2g}"
    )
