"""Every command of the command line, one module each or a few that belong together."""

from __future__ import annotations

from . import (
    bundles,
    cache,
    checking,
    comparing,
    keys,
    lock,
    looking,
    plan,
    remotes,
    reporting,
    running,
    starting,
    sync,
)
from .command import Command

COMMANDS: tuple[Command, ...] = (
    *sync.COMMANDS,
    *lock.COMMANDS,
    *plan.COMMANDS,
    *looking.COMMANDS,
    *checking.COMMANDS,
    *cache.COMMANDS,
    *comparing.COMMANDS,
    *running.COMMANDS,
    *reporting.COMMANDS,
    *starting.COMMANDS,
    *remotes.COMMANDS,
    *keys.COMMANDS,
    *bundles.COMMANDS,
)
