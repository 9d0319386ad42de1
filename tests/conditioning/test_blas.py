"""`dtbsv` without `scipy.linalg`."""

from __future__ import annotations

import subprocess
import sys

_LOAD = """
import sys
import numpy as np
from monitor.conditioning.blas import load_dtbsv

alone = load_dtbsv()
assert not {"scipy.linalg", "numpy.f2py"} & sys.modules.keys(), "all of scipy.linalg was imported"
from scipy.linalg.blas import dtbsv  # both can be loaded

rng = np.random.default_rng(5)
right = rng.normal(size=3000)
diagonals = np.asfortranarray(rng.normal(size=(3, 3000)) * [[1.0], [0.5], [0.1]])
for function in (alone, load_dtbsv()):
    equal = function(2, diagonals, right, lower=1, diag=1)
    assert np.array_equal(equal, dtbsv(2, diagonals, right, lower=1, diag=1))
assert load_dtbsv() is dtbsv
"""


def test_it_is_that_of_scipy_and_loads_no_more_than_it_needs() -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", _LOAD], check=True)
