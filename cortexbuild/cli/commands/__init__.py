"""Every command of the command line, one module each or a few that belong together."""

from __future__ import annotations

from . import building, looking, running, starting
from .command import Command

COMMANDS: tuple[Command, ...] = (
    *building.COMMANDS,
    *looking.COMMANDS,
    *running.COMMANDS,
    *starting.COMMANDS,
)
