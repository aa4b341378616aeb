"""Somebody who follows a page from its top to its end: writes the files, runs the commands.

What stands for something of the reader's own is replaced first (`changes`): an address by that of
a server of this machine, the public half of a key by what `keys export` said. Files are blocks that
begin with their name in a comment; of `cortex.yaml`, a block may be a part that is put into the one
that is there.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from docs.pages import SHELL, Block, blocks_of
from workspace import Workspace

KEY = re.compile(r"\b(([\w-]+):[A-Za-z0-9+/]{43}=)")
OWN = re.compile(r"# (?P<name>[\w./-]+\.(?:yaml|toml|py)|Modelfile)\n")


@dataclass
class Reader:
    space: Workspace
    patch: pytest.MonkeyPatch
    changes: dict[str, str] = field(default_factory=dict)
    fail: dict[str, int] = field(default_factory=dict)
    """Commands that end with another code than 0, where a page is about that."""
    apart: tuple[str, ...] = ()
    """How commands begin that have a process of their own, since huggingface-hub reads its
    variables when it is imported."""
    ran: list[str] = field(default_factory=list)

    def follow(self, page: str) -> None:
        for block in blocks_of(page):
            text = self._changed(block.text)
            if named := OWN.match(text):
                self._write(named["name"], text)
            elif block.language in SHELL and not block.why:
                for line in Block(page, block.language, text, "").lines():
                    said = self._run(line)
                    self.ran.append(line)
                    self.changes |= {f"{name}:BASE64": key for key, name in KEY.findall(said)}
                    if block.language == "console":
                        check_said(text, line, said)

    def _changed(self, text: str) -> str:
        for old, new in self.changes.items():
            text = text.replace(old, new)
        return text

    def _write(self, name: str, text: str) -> None:
        if name != "cortex.yaml":
            self.space.write(name, text)
            return
        path = self.space.root / name
        there: dict[str, Any] = yaml.safe_load(path.read_text()) if path.exists() else {}
        path.write_text(yaml.safe_dump(there | yaml.safe_load(text), sort_keys=False))

    def _run(self, line: str) -> str:
        bare = re.sub(r"\s+#.*$", "", line).strip()
        if found := re.fullmatch(r"export (\w+)=(.*)", bare):
            self.patch.setenv(found[1], found[2].strip("'\""))
            return ""
        if found := re.fullmatch(r"pip install -e (\S+)", bare):
            self._install(self.space.root / found[1])
            return ""
        if bare.startswith("pip install"):  # of ours: test_pages.py looks at the extras
            assert re.fullmatch(r"pip install '?cortexbuild(\[[\w,]+\])?'?", bare), bare
            return ""
        return self._run_plainly(bare)

    def _run_plainly(self, line: str) -> str:
        words = shlex.split(line)
        if words[0] == "cortexbuild" and not set(line) & set("|>$&"):
            space = replace(self.space, inside=not line.startswith(self.apart))
            done = space.run(*words[1:], code=self.fail.get(line, 0))
            said = (done.stdout + done.stderr).replace(str(self.space.home), "~/.cortex")
            return said.replace(self.space.environment()["HOME"], "~")
        programs = self.space.root.parent / "programs"
        if not programs.exists():  # what a shell finds as `cortexbuild` and `python`
            programs.mkdir()
            for name, what in (("cortexbuild", " -m cortexbuild"), ("python", "")):
                script = programs / name
                script.write_text(f'#!/bin/sh\nexec "{sys.executable}"{what} "$@"\n')
                script.chmod(0o755)
        environment = self.space.environment()
        environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line], cwd=self.space.root, env=environment,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def _install(self, folder: Path) -> None:
        """As pip does it with `-e`: the folder on the path, and what says the entry points."""
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        name = project["name"].replace("-", "_")
        about = folder / f"{name}-{project['version']}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        )
        rows = [
            line
            for group, points in project["entry-points"].items()
            for line in (f"[{group}]", *(f"{key} = {value}" for key, value in points.items()))
        ]
        (about / "entry_points.txt").write_text("\n".join([*rows, ""]))
        self.patch.syspath_prepend(folder)
        before = os.environ.get("PYTHONPATH", "")
        self.patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), before]).rstrip(os.pathsep))


def check_said(text: str, line: str, said: str) -> None:
    """Compare what a page shows below a command with what it said: by lines, numbers aside.

    A line of `…` stands for any others, and within a line for the rest of a word or more; with
    none shown, anything may be said.
    """
    shown = text.split(f"$ {line}\n", 1)[1].split("\n$ ")[0] if f"$ {line}\n" in text else ""
    wanted = [plain(row) for row in shown.splitlines() if not row.startswith("$ ")]
    left = iter([plain(row) for row in said.splitlines()])
    for row in wanted:
        like = re.compile(".*".join(map(re.escape, row.split("…"))))
        assert row == "…" or any(like.fullmatch(other) for other in left), (
            f"`{line}` did not say: {row}\n{said}"
        )


def plain(row: str) -> str:
    row = re.sub(r"\b[0-9a-f]{12}\b", "0", row)  # a commit
    row = re.sub(r"\d+(\.\d+)?", "0", row)
    row = re.sub(r"0 (B|KiB|MiB|GiB)\b", "0 B", row)
    return " ".join(row.split())
