"""Load the LSL library when it is needed. Only this module imports and configures pylsl."""

from __future__ import annotations

import functools
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from monitor.errors import InputError


@functools.cache
def load_pylsl() -> Any:
    """Return the module pylsl. Raises `InputError` if it cannot be loaded."""
    try:
        import pylsl  # type: ignore[import-untyped, unused-ignore]
        import pylsl.util
    except (ImportError, OSError, RuntimeError, AttributeError) as exc:
        raise InputError(
            f"LSL cannot be used here: {str(exc).splitlines()[0] if str(exc) else exc!r}. "
            "pylsl's own liblsl needs glibc 2.35 or newer; for another one see PYLSL_LIB"
        ) from exc
    # liblsl writes every loss to the terminal, over the dashboard. `LslSource` reports losses, so
    # liblsl's log is switched off, unless the user has a configuration file for liblsl.
    places = ("lsl_api.cfg", "~/lsl_api/lsl_api.cfg", "/etc/lsl_api/lsl_api.cfg")
    configured = any(Path(place).expanduser().exists() for place in places)
    if not configured and "LSLAPICFG" not in os.environ:
        with suppress(NotImplementedError):
            pylsl.set_config_content("[log]\nlevel = -3\n")
    return pylsl


def absent(pylsl: Any) -> tuple[type[Exception], ...]:
    """Return the exceptions for a sender that is gone, or that does not answer in time."""
    return pylsl.util.TimeoutError, pylsl.util.LostError
