"""Lives as hypothesis makes them up: any numbers, each of which is an operation."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from .host import Host
from .life import Life
from .operations import act

host = cache(Host)


class LongUse(RuleBasedStateMachine):
    """One rule: among several, hypothesis takes few of them, and those often."""

    def __init__(self) -> None:
        super().__init__()
        self._base = Path(tempfile.mkdtemp(prefix="long-use-")).resolve()
        self._life = Life(self._base, host())

    @rule(number=st.integers(0, 2**63))
    def act(self, number: int) -> None:
        act(self._life, number)

    def teardown(self) -> None:
        for line in self._life.said:
            note(line)
        shutil.rmtree(self._base)
