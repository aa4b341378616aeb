"""Several files at once, where the work is reading and hashing: both let other threads run."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def together(
    work: Callable[[Item], Result], items: Sequence[Item]
) -> Generator[Result, None, None]:
    """What `work` gives for each, in their order; the first error ends all that has not begun.

    Whoever may stop before the end closes it. Left to the collector of garbage, which comes in any
    thread, its threads would be waited for by one that is just being started: for ever, seen.
    """
    if len(items) < 2:
        yield from map(work, items)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(len(items), max(2, os.cpu_count() or 1))) as pool:
        yield from pool.map(work, items)
