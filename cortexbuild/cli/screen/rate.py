"""How fast something moves now, and how long it will take."""

from __future__ import annotations

from collections import deque

WINDOW = 15.0
"""Seconds that are looked back: long enough to be calm, short enough to notice a slow network."""
LEAST = 1.0
"""Seconds before anything is said."""


class Rate:
    """Of one step. What was there when it began, as of a download that goes on, is not speed."""

    def __init__(self, now: float) -> None:
        self.began, self.done, self.total = now, 0, 0
        self._seen: deque[tuple[float, int]] = deque()

    def move(self, now: float, done: int, total: int) -> None:
        self.done, self.total = min(done, total), total
        if self._seen and done < self._seen[-1][1]:  # it began again
            self._seen.clear()
        self._seen.append((now, self.done))
        while len(self._seen) > 2 and now - self._seen[1][0] > WINDOW:
            self._seen.popleft()

    def speed(self, now: float) -> float:
        """Per second, over the last while; 0 where it is not known yet."""
        if not self._seen or now - self._seen[0][0] < LEAST:
            return 0.0
        began, before = self._seen[0]
        return (self.done - before) / (now - began)

    def left(self, now: float) -> float | None:
        """Seconds; None where nothing moves."""
        speed = self.speed(now)
        return (self.total - self.done) / speed if speed > 0 else None
