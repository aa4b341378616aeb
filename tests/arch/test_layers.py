"""The contracts in pyproject.toml, so that `pytest` alone guards the architecture."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import cortexbuild

PACKAGE = Path(cortexbuild.__file__).parent
CORE = sorted((PACKAGE / "core").glob("*.py"))
IMPURE = {"os", "subprocess", "socket", "shutil", "tempfile", "time", "random", "logging"}


def imported(tree: ast.AST) -> set[str]:
    return {
        (alias.name if isinstance(node, ast.Import) else node.module or "").split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }


def test_imports_point_one_way():
    program = Path(sys.executable).parent / "lint-imports"
    run = subprocess.run(
        [program, "--no-cache"], capture_output=True, text=True, cwd=PACKAGE.parent
    )
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("path", CORE, ids=lambda p: p.name)
def test_core_does_no_input_or_output(path):
    tree = ast.parse(path.read_text())
    assert not imported(tree) & IMPURE
    calls = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"open", "print", "input"}


def catches_all(type_: ast.expr | None) -> bool:
    """Whether an `except` of that is for any error, alone or among others."""
    names = {node.id for node in ast.walk(type_) if isinstance(node, ast.Name)} if type_ else set()
    return type_ is None or bool(names & {"Exception", "BaseException"})


def test_only_the_worker_and_main_catch_everything():
    broad = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and catches_all(node.type)
    ]
    assert sorted(broad) == ["cli/main.py", "exec/worker.py"]
    for said in ("", " Exception", " (OSError, BaseException)"):
        (tried,) = ast.parse(f"try: ...\nexcept{said}: ...").body
        assert catches_all(tried.handlers[0].type)


def test_nothing_unpickles_but_the_pipe_to_our_own_children():
    for path in PACKAGE.rglob("*.py"):
        assert not imported(ast.parse(path.read_text())) & {"pickle", "shelve", "marshal", "dill"}


def test_the_public_names_are_these():
    assert cortexbuild.__all__ == sorted(cortexbuild.__all__)
    for name in cortexbuild.__all__:
        assert getattr(cortexbuild, name) is not None
    assert not hasattr(cortexbuild, "nothing_of_this_name")
