"""Load `dtbsv` of SciPy's BLAS without the rest of `scipy.linalg`.

`import scipy.linalg` takes longer than anything else at the start of the monitor, since it loads
`numpy.f2py`, `numpy.testing` and more. `dtbsv` needs one compiled module of it.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from typing import Any

import scipy


def load_dtbsv() -> Any:
    """Return `scipy.linalg.blas.dtbsv`.

    The compiled module is private to SciPy. If it cannot be loaded by itself, `scipy.linalg` is
    imported.
    """
    if "scipy.linalg" not in sys.modules:
        spec = PathFinder.find_spec("_fblas", [f"{folder}/linalg" for folder in scipy.__path__])
        if spec is not None and spec.loader is not None:
            try:
                module = module_from_spec(spec)
                spec.loader.exec_module(module)
                return module.dtbsv
            except (ImportError, AttributeError):
                pass
    from scipy.linalg.blas import dtbsv

    return dtbsv
