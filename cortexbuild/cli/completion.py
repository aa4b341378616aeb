"""Completion in a shell: argcomplete asks our own parser, and knows what TARGET stands for."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from ..errors import CortexError
from .beside import MANIFEST, read_manifest
from .recipes import Recipes

SHELLS = ("bash", "zsh", "fish")
Offer: TypeAlias = Callable[[Path], Iterable[str]]


def words_so_far() -> list[str]:
    """The line that is being completed, without the program's name."""
    return os.environ.get("COMP_LINE", "").split()[1:]


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell, and end this process."""
    import argcomplete

    for one in _parsers(parser):
        for action in one._actions:  # argparse has no other way to walk what it was told
            offer = OFFERS.get(action.metavar) if isinstance(action.metavar, str) else None
            if offer is not None:
                action.completer = _quietly(offer)  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser)


def shell_code(shell: str) -> str:
    """What a shell is to evaluate, so that it asks us."""
    import argcomplete

    code: str = argcomplete.shellcode(["cortexbuild"], shell=shell)
    return code


def _parsers(parser: argparse.ArgumentParser) -> Iterable[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _parsers(below)


def _quietly(offer: Offer) -> Callable[..., list[str]]:
    """A wrong manifest is no reason to write into the line that somebody types."""

    def ask(parsed_args: argparse.Namespace, **_: object) -> list[str]:
        folder = Path(getattr(parsed_args, "folder", None) or ".")
        try:
            return list(offer(folder / (getattr(parsed_args, "manifest", None) or MANIFEST)))
        except (CortexError, OSError):
            return []

    return ask


def _targets(path: Path) -> list[str]:
    models = read_manifest(path).models.items()
    return [f"{name}:{target}" for name, model in models for target in model.targets]


def _models(path: Path) -> Iterable[str]:
    return read_manifest(path).models


def _remotes(path: Path) -> list[str]:
    return [remote.name for remote in read_manifest(path).cache.remotes]


def _recipes(path: Path) -> Iterable[str]:
    return Recipes(path.absolute().parent)


OFFERS: Mapping[str, Offer] = {
    "TARGET": _targets,
    "MODEL": _models,
    "RECIPE": _recipes,
    "REMOTE": _remotes,
    "A": _targets,
    "B": _targets,
}
"""What may stand where help says TARGET, and so on. Files are what a shell offers by itself."""
