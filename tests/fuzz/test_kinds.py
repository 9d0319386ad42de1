"""Some cases of each kind, the same in every run. `python -m tests.fuzz` runs many more."""

from __future__ import annotations

import os
from contextlib import ExitStack
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.errors import MonitorError
from tests.fuzz.bounds import examine
from tests.fuzz.kinds import KINDS

N_CASES = 40


@pytest.mark.parametrize("name", list(KINDS))
def test_an_input_ends_in_a_clear_error_or_in_the_right_result(name: str) -> None:
    # No deadline and no random start: the machine may be busy, and a run must equal the last one.
    @settings(
        max_examples=N_CASES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=False))
    def holds(random: Random) -> None:
        examine(kind, kind.generate(random))

    with ExitStack() as stack:
        try:
            kind = stack.enter_context(KINDS[name]())
        except MonitorError as exc:  # the server's binary is missing
            if os.environ.get("CI"):
                raise
            pytest.skip(str(exc))
        holds()
