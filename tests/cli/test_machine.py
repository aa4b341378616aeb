"""What there is for steps: this machine's, its container's, or what cortex.yaml says."""

from __future__ import annotations

import os

import pytest

from cortexbuild.cli.machine import capacity, children, container_limits, memory
from cortexbuild.core.manifest import Resources
from cortexbuild.core.needs import GIB, Capacity


@pytest.fixture
def groups(tmp_path):
    def write(path, text):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    write("a/b/memory.max", "max\n")
    write("a/memory.max", "4294967296\n")
    write("memory/docker/x/memory.limit_in_bytes", "2147483648\n")
    write("memory/memory.limit_in_bytes", "9223372036854771712\n")
    return tmp_path


def test_a_container_has_what_the_tightest_group_around_it_has(groups):
    assert container_limits("0::/a/b\n", groups) == [4 * GIB]
    assert container_limits("0::/\n", groups) == []
    older = "5:cpu,memory:/docker/x\n4:devices:/a\n"
    assert min(container_limits(older, groups)) == 2 * GIB
    assert container_limits("0::/../..\n", groups) == [], "of a group that is not seen from here"


def test_what_is_not_said_is_this_machine_s():
    found = capacity(Resources())
    assert found.memory == memory() and found.jobs == os.cpu_count()
    said = Resources.model_validate({"memory": "12GiB", "jobs": 3, "gpu": 2})
    assert capacity(said) == Capacity(12 * GIB, jobs=3, gpu=2)
    assert capacity(said, jobs=1).jobs == 1, "the command line comes first"
    assert capacity(Resources(memory=1, gpu=0)).gpu == 0


def test_idle_children_are_kept_as_memory_allows():
    assert children(Capacity(64 * GIB, jobs=2)) == 10
    assert children(Capacity(8 * GIB, jobs=2)) == 4
    assert children(Capacity(GIB, jobs=3)) == 3
