"""Where everything is kept. Apart from the rest, so that it costs nothing to ask."""

from __future__ import annotations

import os


def home() -> str:
    """CORTEX_HOME, or ~/.cortex."""
    chosen = os.environ.get("CORTEX_HOME") or os.path.join("~", ".cortex")
    return os.path.join(os.getcwd(), os.path.expanduser(chosen))


def store() -> str:
    return os.path.join(home(), "build", "v1")
