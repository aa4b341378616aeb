from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster.farm import Farm


@pytest.fixture(scope="module")
def farm(tmp_path_factory) -> Iterator[Farm]:
    """A scheduler and three workers, each with a home of its own and room for one step."""
    made = Farm(tmp_path_factory.mktemp("farm"))
    try:
        yield made.scheduler().workers("ann", "bob", "cid")
    finally:
        made.end()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Farm]:
    """A scheduler alone, for tests that end its workers, or itself."""
    made = Farm(tmp_path / "farm")
    made.folder.mkdir()
    try:
        yield made.scheduler()
    finally:
        made.end()
