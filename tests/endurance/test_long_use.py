"""A short life of two homes, the same in every run; `make endure` lives long ones."""

from __future__ import annotations

import sys

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from .life import OPERATIONS
from .machine import LongUse, host
from .operations import WEIGHTS


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted by a call of Linux")
def test_a_few_hundred_operations_lose_nothing_and_show_nothing_wrong():
    chosen = settings(
        max_examples=3, stateful_step_count=40, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
    )  # fmt: skip
    try:
        run_state_machine_as_test(LongUse, settings=chosen, _min_steps=40)
    finally:
        host().close()
    assert OPERATIONS.total() > 150
    assert len(OPERATIONS) > len(WEIGHTS), "of all sorts"
