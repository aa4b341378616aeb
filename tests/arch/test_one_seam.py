"""What is ours on a disk is written by way of `store/disk.py` alone: so faults can be injected there
at every write, and none is forgotten (docs/internals/how-faults-are-tested.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import cortexbuild

PACKAGE = Path(cortexbuild.__file__).parent
FOLDERS = ("store", "remotes", "exports", "app", "cli")
ELSEWHERE = {
    "store/system.py": "it is the seam",
    "remotes/keys.py": "a person's keys, made once by `keys new`",
    "remotes/archive.py": "a bundle, where a person wants it",
    "remotes/bundle.py": "a bundle, where a person wants it",
    "cli/doctor/engines.py": "a line to try the compiler with, in a folder of its own",
    "cli/doctor/home.py": "tries what the disk can do, in a folder of its own",
    "cli/doctor/sharing.py": "something to try a remote with, in a folder of its own",
    "cli/commands/reporting.py": "a page, where a person wants it",
}
OF_OS = {
    "rename", "replace", "renames", "link", "symlink", "unlink", "remove", "mkdir", "makedirs",
    "rmdir", "removedirs", "truncate", "chmod", "fsync", "mkfifo", "utime",
    "ftruncate", "pwrite",
}  # fmt: skip
OF_PATHS = {
    "write_text", "write_bytes", "rename", "hardlink_to", "symlink_to", "unlink", "mkdir", "rmdir",
    "touch", "chmod",
}  # fmt: skip
OF_SHUTIL = {"rmtree", "move", "copy", "copy2", "copyfile", "copyfileobj", "copytree"}


def writes(path: Path) -> list[str]:
    """The calls in a module that change something on a disk."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            said = ast.unparse(node.func)
            if _is_write(node, said):
                found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


def _is_write(call: ast.Call, said: str) -> bool:
    owner, _, name = said.rpartition(".")
    if owner == "disk":
        return False
    if owner in ("os", "shutil"):
        makes = name == "open" and "O_CREAT" in ast.unparse(call)
        return makes or name in (OF_OS if owner == "os" else OF_SHUTIL)
    if name in ("open", "FileIO"):
        return any(set(mode) & set("wxa+") for mode in _texts(call) if len(mode) < 4)
    alone = len(call.args) == 1 and not call.keywords  # of a path; that of a text has two
    return bool(owner) and (name in OF_PATHS or (name == "replace" and alone))


def _texts(call: ast.Call) -> list[str]:
    values = [*call.args, *(word.value for word in call.keywords)]
    return [v.value for v in values if isinstance(v, ast.Constant) and isinstance(v.value, str)]


def modules() -> list[str]:
    paths = (path for folder in FOLDERS for path in (PACKAGE / folder).rglob("*.py"))
    return sorted(path.relative_to(PACKAGE).as_posix() for path in paths)


@pytest.mark.parametrize("name", sorted(set(modules()) - ELSEWHERE.keys()))
def test_a_module_writes_by_way_of_the_seam(name):
    own = [] if name != "store/disk.py" else ["system"]  # it asks the system, and nothing else
    assert [call for call in writes(PACKAGE / name) if not any(o in call for o in own)] == []


def test_what_is_excepted_is_there_and_writes():
    for name in ELSEWHERE:
        assert writes(PACKAGE / name), name
