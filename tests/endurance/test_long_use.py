"""A short life of two homes, the same in every run; `make endure` lives long ones."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from . import snapshot
from .life import OPERATIONS, Life
from .machine import LongUse, host
from .operations import WEIGHTS
from .world import MEASURES, sha

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted by a call of Linux"),
    pytest.mark.xdist_group("long use"),
]


@pytest.fixture(scope="module", autouse=True)
def one_host() -> Iterator[None]:
    yield
    host().close()
    host.cache_clear()


def test_a_few_hundred_operations_lose_nothing_and_show_nothing_wrong():
    chosen = settings(
        max_examples=2, stateful_step_count=40, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
    )  # fmt: skip
    run_state_machine_as_test(LongUse, settings=chosen, _min_steps=40)
    assert OPERATIONS.total() > 60
    assert len(OPERATIONS) > len(WEIGHTS), "of all sorts"


def test_what_one_step_brings_back_another_need_not_make(tmp_path):
    life = Life(tmp_path, host())
    project = life.world.projects["a"]
    project.targets["t1"] = 1
    life.world.write_manifest(project)
    life.sync("a")
    digest = sha(MEASURES)
    life.damage(project.home / f"build/v1/cas/sha256/{digest[:2]}/{digest}", "lose", 0)
    due = snapshot.steps_due(snapshot.take(project.home, {}), project, ["t0", "t1"])
    assert due == ({"validate": 1}, {"validate": 2})
    life.sync("a", "-j", "1")


def test_it_would_be_noticed(tmp_path):
    life = Life(tmp_path, host())
    life.sync("a")
    store = life.world.projects["a"].home / "build" / "v1"
    record = next(p for p in store.glob("ac/v1/*/*") if "quantize" in p.read_text())
    blob = next(p for p in store.glob("cas/*/*/*") if p.read_bytes() == b"HELL")
    theirs = life.world.homes[0] / "quantized_models" / "mine" / "config.json"

    def noticed(said: str, harm: Callable[[], object]) -> None:
        before, was = life._before(), {p: p.read_bytes() for p in (record, blob, theirs)}
        harm()
        with pytest.raises(AssertionError, match=said):
            life._after(before, [])
        for path, content in was.items():
            path.unlink(missing_ok=True)
            path.write_bytes(content)
        life._after(life._before(), [])

    noticed("a record is lost: m:t0/quantize", record.unlink)
    noticed("m:t0/quantize", lambda: _rewrite(record, '"model.txt",', '"mndel.txt",'))
    noticed("lost: b'HELL'", blob.unlink)
    noticed("wrong bytes", lambda: _rewrite(blob, "HELL", "HELP"))
    noticed("what is not ours has changed", lambda: theirs.write_text("ours"))
    project = life.world.projects["a"]
    project.targets["t0"] = 11
    with pytest.raises(AssertionError, match="t0: "):
        life.check_view(project, "t0")


def _rewrite(path, old, new):
    path.chmod(0o600)
    path.write_text(path.read_text().replace(old, new))
