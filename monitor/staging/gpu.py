"""The part of both GPU backends that needs no PyTorch.

`nvidia_gpu` finds the GPU. A `Sidecar` describes the files that `sleep-deploy build-engine` made
for it.
"""

from __future__ import annotations

import ctypes
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from models.files import whole_file
from monitor.staging.backend import BackendUnavailableError

BUILD = "run sleep-deploy build-engine"

_DRIVERS = ("libcuda.so.1", "nvcuda.dll")  # Linux, Windows
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76  # CUdevice_attribute in CUDA's driver API


@dataclass(frozen=True, slots=True)
class Gpu:
    """An NVIDIA GPU. ``capability`` is its compute capability, such as 9.0."""

    name: str
    capability: str


def nvidia_gpu() -> Gpu:
    """Find the GPU that CUDA would use first.

    It asks NVIDIA's driver directly, so that a machine without a GPU does not load PyTorch for it.
    Raises `BackendUnavailableError` if there is no GPU.
    """
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
    """A JSON file beside the files that were made for one machine; it describes them.

    - ``made_for``: GPU, versions and weights. If any of them changes, it must be made again.
    - ``precision``: the dtype of the network; none if no precision passed the parity test.
    - ``parity``: the differences from PyTorch in float32 (`deploy.parity`).
    - ``files``: the sha256 of each file, by name.
    """

    made_for: dict[str, str]
    precision: str
    parity: dict[str, float]
    files: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Sidecar | None:
        """Read ``path``; None if it is missing or damaged."""
        try:
            return TypeAdapter(cls).validate_json(path.read_bytes(), extra="forbid")
        except (OSError, ValueError):
            return None

    def write(self, path: Path) -> None:
        """Write ``path``, whole or not at all. Raises OSError."""
        with whole_file(path) as file:
            file.write((json.dumps(asdict(self), indent=2) + "\n").encode())

    def difference(self, here: dict[str, str]) -> str:
        """Return in words how ``here`` differs from ``made_for``; empty if it does not."""
        return ", ".join(
            f"{name.replace('_', ' ')} is {here[name]} and was {self.made_for.get(name)}"
            for name in here
            if self.made_for.get(name) != here[name]
        )
