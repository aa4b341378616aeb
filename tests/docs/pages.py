"""The pages of the documentation, and the blocks in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from workspace import ROOT

DOCS = ROOT / "docs"
FENCE = re.compile(
    r"^(?:<!-- not run: (?P<why>[^\n]+) -->\n)?"
    r"(?P<indent> *)```(?P<language>\w+)\n(?P<text>.*?)^(?P=indent)```$",
    flags=re.MULTILINE | re.DOTALL,
)
SHELL = ("sh", "console")
OPERATORS = {"|", "&&", ";", ">", ">>", "<"}


@dataclass(frozen=True)
class Block:
    page: str
    language: str
    text: str
    why: str
    """Why it is not run; nothing where it is."""

    def lines(self) -> list[str]:
        """The command lines: all of a script, of a terminal those with a prompt."""
        joined = self.text.replace("\\\n", " ").splitlines()
        if self.language == "console":
            joined = [line[2:] for line in joined if line.startswith("$ ")]
        return [line for line in joined if line.strip() and not line.lstrip().startswith("#")]


def pages() -> list[str]:
    """Every page for people, from the root of the repository."""
    found = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "RELEASING.md",
        *DOCS.rglob("*.md"),
    ]
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


@cache
def blocks_of(page: str) -> tuple[Block, ...]:
    found = FENCE.finditer((ROOT / page).read_text())
    return tuple(Block(page, m["language"], m["text"], m["why"] or "") for m in found)


def blocks(*languages: str) -> Iterator[Block]:
    return (
        block for page in pages() for block in blocks_of(page) if block.language in languages
    )  # fmt: skip


def calls(line: str) -> Iterator[list[str]]:
    """The commands of ours in a line of a shell, each as its words after `cortexbuild`."""
    spread = line.replace("$(", " ; ").replace(")", " ")
    words = shlex.shlex(spread, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    command: list[str] = []
    for word in [*words, ";"]:
        if word not in OPERATORS:
            if command or not re.match(r"\w+=", word):
                command.append(word)
            continue
        if command and command[0].rpartition("/")[2] == "cortexbuild":
            yield command[1:]
        command = []


def anchors(page: Path) -> set[str]:
    """What a link may point at within a page: its headings, as MkDocs and GitHub name them."""
    bare = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    heads = re.findall(r"^#+ (.+)$", bare, flags=re.MULTILINE)
    words = (re.sub(r"[^\w\s-]", "", head.lower()).strip() for head in heads)
    return {re.sub(r"[-\s]+", "-", text) for text in words}
