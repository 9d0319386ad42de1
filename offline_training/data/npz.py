"""Read arrays back from an .npz file: all whole, or one clear error."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Collection
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.errors import InputError


def read_npz(path: Path, names: Collection[str]) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays ``names`` of the .npz file ``path``; its other arrays are not read.

    Checksums are compared before a byte is interpreted, and nothing is unpickled.

    Raises InputError if the file cannot be read, is damaged or lacks one of ``names``.
    """
    try:
        # zipfile checks a member's CRC once all of it is read. np.load would interpret the first
        # bytes before that.
        with zipfile.ZipFile(path) as archive:
            contents = {name: archive.read(f"{name}.npy") for name in names}
        return {
            name: np.lib.format.read_array(BytesIO(content), allow_pickle=False)
            for name, content in contents.items()
        }
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror or exc}") from exc
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, RuntimeError) as exc:
        raise InputError(
            f"{path} is damaged, or not an .npz file with {', '.join(sorted(names))}"
        ) from exc
