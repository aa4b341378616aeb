"""The README is followed, with the real engines on the real model."""

from __future__ import annotations

import shlex

import pytest
from docs.pages import SHELL, blocks_of

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("engine")]


def test_what_the_readme_shows_runs(shipped):
    (told,) = (b for b in blocks_of("README.md") if b.language in SHELL and not b.why)
    sync, generate = told.lines()
    assert "nothing to do" in shipped.run(*shlex.split(sync)[1:]).stderr
    assert len(shipped.run(*shlex.split(generate)[1:]).stdout) > 20
