"""What the two backends for NVIDIA's GPUs share, as far as it needs no PyTorch: is there a GPU, and
what was made for it by `sleep-deploy build-engine`?"""

from __future__ import annotations

import ctypes
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from monitor.staging.backend import BackendUnavailableError

BUILD = "run sleep-deploy build-engine"

_DRIVERS = ("libcuda.so.1", "nvcuda.dll")  # Linux, Windows
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76  # CUdevice_attribute


@dataclass(frozen=True, slots=True)
class Gpu:
    """``capability``: its compute capability, such as 9.0."""

    name: str
    capability: str


def nvidia_gpu() -> Gpu:
    """The GPU that CUDA would use first, asked of NVIDIA's driver itself: where there is none, that
    costs nothing. Raises `BackendUnavailableError` without one."""
    driver = _driver()
    if driver is None or driver.cuInit(0) != 0:
        raise BackendUnavailableError("there is no NVIDIA GPU here, or its driver is not installed")
    device = ctypes.c_int()
    if driver.cuDeviceGet(ctypes.byref(device), 0) != 0:
        raise BackendUnavailableError("there is no NVIDIA GPU that this program may use")
    name = ctypes.create_string_buffer(256)
    driver.cuDeviceGetName(name, len(name), device)
    capability = []
    for attribute in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR):
        number = ctypes.c_int()
        driver.cuDeviceGetAttribute(ctypes.byref(number), attribute, device)
        capability.append(str(number.value))
    return Gpu(name.value.decode(errors="replace"), ".".join(capability))


def _driver() -> ctypes.CDLL | None:
    for library in _DRIVERS:
        try:
            return ctypes.CDLL(library)
        except OSError:
            continue
    return None


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What was made for one machine, as the file beside it says.

    ``made_for`` names all that, changed, asks for making it again: GPU, versions, weights.
    ``parity`` says how it stages, against PyTorch in float32; ``files`` has the sha256 of each.
    """

    made_for: dict[str, str]
    precision: str
    parity: dict[str, float]
    files: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Sidecar | None:
        """None if there is none, or not a whole one."""
        try:
            return TypeAdapter(cls).validate_json(path.read_bytes(), extra="forbid")
        except (OSError, ValueError):
            return None

    def write(self, path: Path) -> None:
        """Whole or not at all."""
        part = path.with_name(path.name + ".part")
        part.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        part.replace(path)

    def difference(self, here: dict[str, str]) -> str:
        """What is otherwise ``here``, in words; empty if it was made for this."""
        return ", ".join(
            f"{name.replace('_', ' ')} is {here[name]} and was {self.made_for.get(name)}"
            for name in here
            if self.made_for.get(name) != here[name]
        )
