"""What a shell is offered, asked as shells ask: by the program's own answer, and by a real bash."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from workspace import CLI


def offered(space, line: str) -> list[str]:
    answer = space.root / "answer"
    asked = {
        "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line, "COMP_POINT": str(len(line)),
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
    }  # fmt: skip
    env = {**space.environment(), **asked}
    subprocess.run(CLI, cwd=space.root, env=env, check=True, stdin=subprocess.DEVNULL)
    return [word.strip() for word in answer.read_text().split("\n") if word.strip()]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("cortexbuild sy", ["sync"]),
        ("cortexbuild cache g", ["gc"]),
        ("cortexbuild sync m:", ["m:slow", "m:t"]),
        ("cortexbuild generate m:s", ["m:slow"]),
        ("cortexbuild sync --unt", ["--until"]),
        ("cortexbuild sync --until fe", ["fetch"]),
        ("cortexbuild lock --upgrade ", ["m"]),
        ("cortexbuild push --remote ", ["team"]),
    ],
)
def test_commands_flags_and_names_of_the_manifest_are_offered(space, line, words):
    space.manifest(t={}, slow={"keep": 2})
    with (space.root / "cortex.yaml").open("a") as manifest:
        manifest.write('cache: {remotes: [{url: "file:///nowhere", name: team}]}\n')
    assert set(words) <= {word.replace("\\", "") for word in offered(space, line)}


def test_a_wrong_manifest_offers_nothing_and_says_nothing(space):
    space.write("cortex.yaml", "schema: 1\nmodls: {}\n")
    assert not [word for word in offered(space, "cortexbuild generate ") if ":" in word]


def test_bash_completes_a_target(space):
    space.write("bin/cortexbuild", f'#!/bin/sh\nexec {sys.executable} -P -m cortexbuild "$@"\n')
    (space.root / "bin/cortexbuild").chmod(0o755)
    script = (
        'eval "$(cortexbuild completion bash)"; COMP_WORDS=(cortexbuild generate m:); COMP_CWORD=2; '
        "COMP_LINE='cortexbuild generate m:'; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9; "
        '_python_argcomplete cortexbuild; echo "${COMPREPLY[@]}"'
    )
    env = {**space.environment(), "PATH": f"{space.root / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=space.root, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() in ("t", "m:t"), done.stderr  # bash takes a word to begin after `:`


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_code(space, shell):
    said = space.run("completion", shell).stdout
    assert "_ARGCOMPLETE" in said and "cortexbuild" in said
