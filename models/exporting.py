"""Shared by the ONNX export and the engine build: replace modules, and shorten errors."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch import nn

M = TypeVar("M", bound=nn.Module)

Replacements = Mapping[type[nn.Module], Callable[[Any], nn.Module]]
"""For each class of module, the function that makes a replacement from a module of that class."""


def with_replaced(module: M, replacements: Replacements) -> M:
    """Return a deep copy of ``module`` in which every submodule of these classes is replaced.

    ``module`` itself does not change. Submodules of a replacement are not replaced again.
    """
    copied = copy.deepcopy(module)
    _replace(copied, replacements)
    return copied


def _replace(module: nn.Module, replacements: Replacements) -> None:
    for name, child in list(module.named_children()):
        replacement = replacements.get(type(child))
        if replacement is not None:
            setattr(module, name, replacement(child))
        else:
            _replace(child, replacements)


def first_line(exc: Exception) -> str:
    """Return the first line of ``exc``. PyTorch's exceptions explain themselves over pages."""
    return (str(exc).splitlines() or [""])[0]
