"""Every command of the command line, one module each or a few that belong together."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from .command import Command

MODULES = {
    "starting": ("init",),
    "editing": ("add", "remove"),
    "importing": ("import",),
    "sync": ("sync",),
    "watching": ("watch",),
    "lock": ("lock",),
    "outdated": ("outdated",),
    "plan": ("plan",),
    "looking": ("why", "list", "info", "path"),
    "checking": ("verify", "provenance"),
    "log": ("log",),
    "doctor": ("doctor",),
    "cache": ("cache",),
    "comparing": ("status", "diff"),
    "running": ("generate",),
    "exporting": ("export", "push-to-hub"),
    "serving": ("serve",),
    "reporting": ("report", "compare"),
    "describing": ("recipes", "schema", "completion"),
    "remotes": ("push", "pull"),
    "keys": ("keys",),
    "cluster": ("worker", "scheduler", "cluster"),
    "bundles": ("bundle",),
}
"""In the order of `--help`, so that one command is known without the others being imported."""


def commands_for(words: Sequence[str]) -> Sequence[Command]:
    """The command that these words begin with and those beside it; all where there is none."""
    named = [module for module, names in MODULES.items() if words and words[0] in names]
    return [
        command
        for module in named or MODULES
        for command in import_module(f"{__name__}.{module}").COMMANDS
    ]
