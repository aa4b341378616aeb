"""An error that nobody foresaw: what is kept of it, and what the user is told."""

from __future__ import annotations

import os
import platform
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from ..errors import plain
from ..redaction import redacted
from ..store import disk
from ..version import VERSION
from . import home

KEPT = 20
"""Reports; older ones go."""


def report(error: Exception, words: Sequence[str]) -> str:
    """Keep what a person who mends it has to know, and give the sentences for the one who met it.

    Of the command line only the command is kept: the rest may be nobody else's business.
    """
    command = next((word for word in words if not word.startswith("-")), "")
    text = (
        f"cortexbuild {VERSION}, Python {platform.python_version()}, {platform.platform()}\n"
        f"command: {command}\n\n{''.join(traceback.format_exception(error))}"
    )
    what = f"error: cortexbuild came upon something unforeseen: {type(error).__name__}: {error}"
    try:
        path = _keep(text)
    except OSError as reason:  # a full disk, or a home that cannot be written to
        why = f"hint: please report it with the lines above; they could not be kept: {reason}"
        return f"{text}\n{what}\n\n{why}"
    return f"{what}\n\nhint: what was finished is kept; please report this with {path}"


def _keep(text: str) -> Path:
    folder = Path(home.home(), "build", "bugs")
    disk.make_folder(folder)
    for old in sorted(folder.iterdir())[: -KEPT + 1]:
        disk.unlink(old)
    path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    disk.write_text(path, redacted(plain(text)))
    return path
