"""The real engines on the real small model, each thing made once for all tests of a session."""

from __future__ import annotations

import json

import pytest
from workspace import ROOT, Workspace

LOADING = ("generate",)
"""It loads a model, and engines stay out of the process of the tests."""


@pytest.fixture(scope="session")
def shipped(tmp_path_factory) -> Workspace:
    """This repository's own cortex.yaml, synced into an empty home."""
    space = Workspace(ROOT, tmp_path_factory.mktemp("home"), inside=True, apart=LOADING)
    space.first = json.loads(space.run("sync", "--json").stdout)
    return space


@pytest.fixture
def models(tmp_path, shipped) -> Workspace:
    """A project of one's own, in the home where the shipped models are built."""
    return Workspace(tmp_path / "project", shipped.home, inside=True, apart=LOADING)
