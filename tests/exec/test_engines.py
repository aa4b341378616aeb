"""What is told of an engine that is not here, or in another version: all that a command needs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cortexbuild.core.step import ToolId
from cortexbuild.errors import ToolError
from cortexbuild.exec.engines import check_versions, install, refusal
from cortexbuild.tools import every_tool

LOCKED = {"llama-cpp-python": "0.3.36", "transformers": "5.1.0"}


@pytest.mark.parametrize(
    ("versions", "beside", "said"),
    [
        ({"mlx": "1.0"}, (), "pip install 'cortexbuild[mlx]' mlx==1.0"),
        (LOCKED, (), "pip install 'cortexbuild[gguf]' llama-cpp-python==0.3.36 transformers==5.1.0"),
        ({"transformers": "5.1.0"}, LOCKED, "pip install 'cortexbuild[gguf]' transformers==5.1.0"),
        ({"torch": "2.6"}, (), "pip install 'cortexbuild[torch]' torch==2.6"),
        ({"mlx": "1.0", "gguf": "2.0"}, (), "pip install 'cortexbuild[gguf,mlx]' mlx==1.0 gguf==2.0"),
        ({"theirs": "1.0"}, (), "pip install theirs==1.0"),
    ],
)  # fmt: skip
def test_the_extra_that_brings_it_is_named_with_the_version(versions, beside, said):
    assert install(versions, beside) == said


def test_another_version_is_told_with_the_extra_of_the_whole_tool():
    found = refusal(ToolId("gguf", 1, LOCKED), 1, {**LOCKED, "transformers": "6.0.0"})
    assert found is not None
    assert str(found) == "transformers 6.0.0 is here, and cortex.lock has transformers 5.1.0"
    assert found.hint.startswith("`pip install 'cortexbuild[gguf]' transformers==5.1.0`, or take")


@pytest.mark.parametrize(
    ("locked", "hint"),
    [
        ({"mlx": "0.32.1"}, "`pip install 'cortexbuild[mlx]' mlx==0.32.1`"),
        ({"theirs": "1.0"}, "as its author says"),
    ],
)
def test_one_that_is_not_installed_is_told_with_the_version_that_the_lock_has(locked, hint):
    def absent() -> dict[str, str]:
        raise ToolError("it is not installed", hint="as its author says")

    tool = replace(next(iter(every_tool())), engine=absent)
    with pytest.raises(ToolError) as caught:
        check_versions(ToolId(tool.name, tool.revision, locked), tool)
    ((name, version),) = locked.items()
    assert str(caught.value) == f"it is not installed, and cortex.lock has {name} {version}"
    assert caught.value.hint == hint
