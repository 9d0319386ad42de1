"""CPU, memory, handles and threads of a process and its children, by psutil."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Usage:
    """The resources that a process and its children use now. ``cpu_s`` counts from their start."""

    cpu_s: float
    rss_mb: float
    handles: int
    threads: int


def usage(pid: int) -> Usage | None:
    """Measure process ``pid`` and its children; None if one of them ends or cannot be read."""
    total = Usage(0.0, 0.0, 0, 0)
    try:
        process = psutil.Process(pid)
        for each in [process, *process.children(recursive=True)]:
            cpu = each.cpu_times()
            total = Usage(
                total.cpu_s + cpu.user + cpu.system,
                total.rss_mb + each.memory_info().rss / 2**20,
                total.handles + _handles(each),
                total.threads + each.num_threads(),
            )
    except psutil.Error:
        return None
    return total


def _handles(process: psutil.Process) -> int:
    """Count open file descriptors; on Windows, handles."""
    if sys.platform == "win32":
        return process.num_handles()
    return process.num_fds()
