from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents import differences
from hypothesis import settings
from workspace import RECIPE, Workspace, tiny_safetensors

# Tests run beside each other, and threads that wait for each other by spinning take all there is.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# The same examples in every run, so that a run that fails fails again. `make explore` looks at
# other ones: what it finds becomes a test with a name.
settings.register_profile("same", derandomize=True)
settings.register_profile("explore", derandomize=False, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture(autouse=True)
def document_errors(monkeypatch) -> Iterator[list[str]]:
    """Every JSON document that a command prints in this process is held against its schema."""
    from cortexbuild.cli import jsontext

    plain, errors = jsontext.document, []

    def document(name, fields):
        found = plain(name, fields)
        errors.extend(differences(name, found))
        return found

    monkeypatch.setattr(jsontext, "document", document)
    yield errors
    assert errors == []


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    space = Workspace(tmp_path / "project", tmp_path / "home", inside=True)
    space.write("recipes/short.yaml", RECIPE)
    space.write("weights/config.json", '{"text": "hello world"}')
    space.write("weights/model.safetensors", tiny_safetensors())
    space.write("weights/README.md", "about it")
    space.manifest()
    return space
