"""The part of both GPU backends that needs no PyTorch.

`nvidia_gpu` finds the GPU. A `Sidecar` describes what was approved or made for it.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from models.files import whole_file
from models.reading import read_json
from monitor.staging.backend import BackendUnavailableError

BUILD = "run sleep-deploy build-engine"

_DRIVERS = ("libcuda.so.1", "nvcuda.dll")  # Linux, Windows
_MANAGEMENT = ("libnvidia-ml.so.1", "nvml.dll")
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76  # CUdevice_attribute in CUDA's driver API


@dataclass(frozen=True, slots=True)
class Gpu:
    """An NVIDIA GPU.

    - ``capability`` is its compute capability, such as 9.0.
    - ``driver`` is the version of NVIDIA's driver, as `driver_version` names it.
    """

    name: str
    capability: str
    driver: str


def nvidia_gpu() -> Gpu:
    """Find the GPU that CUDA would use first.

    It asks NVIDIA's driver directly, so that a machine without a GPU does not load PyTorch for it.
    Raises `BackendUnavailableError` if there is no GPU.
    """
    driver = _library(_DRIVERS)
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
    return Gpu(
        name.value.decode(errors="replace"),
        ".".join(capability),
        driver_version(driver, _library(_MANAGEMENT)),
    )


def driver_version(cuda: Any, management: Any) -> str:
    """Return the version of NVIDIA's driver, such as 580.95.05.

    If NVIDIA's management library is missing, as in some containers, return the version of CUDA
    that the driver supports, such as "CUDA 13.0". It changes less often than the driver does.

    Parameters
    ----------
    cuda, management : the libraries of CUDA's driver API and of NVML; ``management`` may be None.
    """
    if management is not None and management.nvmlInit_v2() == 0:
        version = ctypes.create_string_buffer(80)  # NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE
        failed = management.nvmlSystemGetDriverVersion(version, len(version))
        management.nvmlShutdown()
        if not failed:
            return version.value.decode(errors="replace")
    number = ctypes.c_int()
    cuda.cuDriverGetVersion(ctypes.byref(number))
    return f"CUDA {number.value // 1000}.{number.value % 1000 // 10}"


def _library(names: Sequence[str]) -> ctypes.CDLL | None:
    """Load the first of ``names`` that this machine has."""
    for library in names:
        try:
            return ctypes.CDLL(library)
        except OSError:
            continue
    return None


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A JSON file that describes what was approved or made for one machine.

    - ``made_for``: GPU, versions and weights. If any of them changes, it must be made again.
    - ``precision``: the dtype of the network; none if no precision passed the parity test.
    - ``parity``: the differences from PyTorch in float32 (`Parity.figures`).
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
            return TypeAdapter(cls).validate_python(read_json(path), extra="forbid")
        except (OSError, ValueError):
            return None

    def write(self, path: Path) -> None:
        """Write ``path``, whole or not at all. Raises OSError."""
        with whole_file(path) as file:
            file.write((json.dumps(asdict(self), indent=2) + "\n").encode())

    def difference(self, here: dict[str, str]) -> str:
        """Return in words how ``here`` differs from ``made_for``; empty if it does not."""
        return ", ".join(
            f"{name.replace('_', ' ')} is {here[name]} and was {before}"
            for name in here
            if (before := self.made_for.get(name, "not recorded")) != here[name]
        )
