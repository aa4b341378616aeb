"""Sizes, times and counts as people read them."""

from __future__ import annotations

from datetime import UTC, datetime


def size(number: int) -> str:
    """`11.0 MiB`; binary units, one decimal."""
    value = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def time(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def day(seconds: float) -> str:
    """A time, given in seconds since 1970, as a date."""
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
