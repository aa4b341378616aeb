"""A process in which code of a model may run, and which ends after that."""

from __future__ import annotations

import os
import sys
from pathlib import Path

REFUSED = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind", "socket.getaddrinfo",
           "socket.gethostbyname", "socket.gethostbyaddr")  # fmt: skip
"""Of Python's audit events; code that is not Python raises none."""


def admit(folder: Path) -> None:
    """Make this process ready for code of a model, for good. transformers, which is not imported
    yet, copies such code to `folder` instead of to a cache that other models' code is in."""
    os.environ["HF_MODULES_CACHE"] = str(folder)

    def refuse(event: str, _arguments: object) -> None:
        if event in REFUSED:
            raise PermissionError(f"a model's code has no network: {event}")

    sys.addaudithook(refuse)
