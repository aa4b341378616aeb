"""The logs of steps: their names, their lines, and what is added to one while a step runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event as Flag
from threading import Lock, Thread

from ..core.events import Event, StepLogged
from ..errors import plain

OFTEN = 0.2
"""Seconds between two looks at logs that are followed."""
MOST = 1 << 20
"""Bytes that are read of the end of a log, and between two looks."""
CONTROLS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b.")


def log_name(label: str) -> str:
    return label.replace("/", "-").replace(":", "--") + ".log"


def readable(line: str) -> str:
    """A line of a log as it may be shown: of a progress bar its last state, and no control codes,
    which could do what they like with a terminal."""
    shown = CONTROLS.sub("", line.rstrip("\r\n").rpartition("\r")[2])
    return plain(shown)


def lines_of(log: Path) -> list[str]:
    """Its lines; of a very long log, those at its end. Raises OSError."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - MOST))
        text = file.read().decode(errors="replace")
    return [readable(line) for line in text.rstrip().split("\n")] if text.strip() else []


def last_lines(log: Path, most: int = 10) -> list[str]:
    try:
        return lines_of(log)[-most:]
    except OSError:
        return []


class Follower:
    """Tells of whole lines as they are added to the logs in a folder."""

    def __init__(
        self, folder: Path, labels: Mapping[str, str], tell: Callable[[Event], None]
    ) -> None:
        self._folder, self._labels, self._tell = folder, labels, tell
        self._read: dict[str, int] = {}
        self._lock = Lock()  # it looks by itself, and when a step ends

    def look(self) -> None:
        with self._lock:
            for path in sorted(self._folder.glob("*.log")):
                for line in self._more(path):
                    self._tell(StepLogged(self._labels.get(path.name, path.stem), readable(line)))

    def _more(self, path: Path) -> list[str]:
        start = self._read.get(path.name, 0)
        with path.open("rb") as file:
            file.seek(start)
            text = file.read(MOST)
        whole = len(text) if len(text) == MOST else text.rfind(b"\n") + 1
        self._read[path.name] = start + whole
        return text[:whole].decode(errors="replace").splitlines()


@contextmanager
def following(
    folder: Path, labels: Mapping[str, str], tell: Callable[[Event], None]
) -> Iterator[Follower]:
    """Logs in `folder`, by the name of the file, are told of until this ends."""
    follower, over = Follower(folder, labels, tell), Flag()

    def follow() -> None:
        while not over.wait(OFTEN):
            follower.look()

    thread = Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield follower
    finally:
        over.set()
        thread.join()
        follower.look()
