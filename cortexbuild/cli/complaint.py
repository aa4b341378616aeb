"""An error, as whoever typed the command is told of it."""

from __future__ import annotations

import sys

from ..errors import CortexError


def tell(error: CortexError) -> int:
    """Say what is wrong and what to do; gives the exit code."""
    print(f"error: {error}", file=sys.stderr)
    if error.hint:
        print(f"\nhint: {error.hint}", file=sys.stderr)
    return error.exit_code
