"""Has nothing changed since a sync found nothing to do? Then there is nothing to do now.

A seal names every file and folder that such a sync's answer rests on, each with its stat, and
the circumstances under which it was given (`sealing.py` writes it). Here it is only compared, and
next to nothing is imported for that: what would take a second by looking at everything takes a
twentieth of it. A seal that is damaged, of other circumstances, or of which a single file is not
as it was counts for nothing, and all is looked at. It lies in the store, beside the records that
would be believed in its place; one from a project's own folder would be a stranger's word.

What was said of a project while a seal held stays the answer for as long as it holds.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from hashlib import sha256

from ..version import VERSION
from . import home

FORM = "seal 1"
SILENT = ("-q", "--quiet")
ALLOWED = {*SILENT, "--locked", "--offline", "--no-color"}
"""Of `sync`: what changes nothing where there is nothing to do."""
ASKED = {"list": ("--json",), "plan": (), "why": ("--json",)}
"""Commands that tell of nothing but what a seal is about, with the options that they may have."""
ENVIRONMENT = ("HOME", "CORTEX_CACHE", "CORTEX_OFFLINE", "CORTEX_SIGNING_KEY")
ABSENT = "-"


class Seal:
    """One that holds. `summary` is what the sync said, but for the time."""

    def __init__(self, folder: str, digest: str, summary: str) -> None:
        self.summary = summary
        self._folder, self._digest = folder, digest

    def answer(self, words: list[str]) -> str | None:
        """What the command of these words has said under this seal."""
        return read_whole(self._path(words))

    def keep(self, words: list[str], text: str) -> None:
        if not os.path.isdir(self._folder):  # another process seals anew
            return
        try:
            write_whole(self._path(words), text)
        except OSError:  # no room: it is asked again, then
            return

    def _path(self, words: list[str]) -> str:
        return os.path.join(self._folder, digest("\0".join([self._digest, *words])))


def quickly(words: list[str]) -> int | None:
    """Do what the words of a command line say, if a seal is enough for it. Gives the exit code."""
    started = time.monotonic()
    if words[:1] == ["sync"] and ALLOWED.issuperset(words[1:]):
        seal = held()
        if seal is not None and not any(word in SILENT for word in words):
            print(f"{seal.summary}  {time.monotonic() - started:.1f}s", file=sys.stderr)
        return 0 if seal is not None else None
    said = seal.answer(words) if (seal := seal_for(words)) is not None else None
    if said is None:
        return None
    sys.stdout.write(said)
    sys.stdout.flush()
    return 0


def seal_for(words: list[str]) -> Seal | None:
    """The seal that stands behind the answer to a question, if it is one and a seal holds."""
    options = ASKED.get(words[0]) if words else None
    if options is None or any(w.startswith("-") and w not in options for w in words):
        return None
    return held()


def held() -> Seal | None:
    """The seal of the project in this folder, if it holds."""
    try:
        store = home.store()
        folder = folder_of(store, os.getcwd())
        text = read_whole(os.path.join(folder, "seal"))
        if text is None or os.listdir(os.path.join(store, "tmp")):  # somebody works, or was killed
            return None
        lock = os.open(os.path.join(store, "locks", "store.lock"), os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            under, summary, *looks = text.split("\n")
            if under != circumstances() or not all(map(_is_as_it_was, looks)):
                return None
        finally:
            os.close(lock)
    except (OSError, ValueError):  # with BlockingIOError: bytes are being taken away
        return None
    return Seal(folder, digest(text), summary)


def folder_of(store: str, project: str) -> str:
    """Where the seal of a project is kept, and what was said under it."""
    return os.path.join(store, "seals", digest(os.path.realpath(project)))


def circumstances() -> str:
    """All but files that an answer depends on: the program, what is installed, machine and day.

    The day is among them since once a day a sync notes what is in use.
    """
    found = [FORM, VERSION, sys.version, time.strftime("%Y-%m-%d", time.gmtime())]
    found += [str(os.sysconf("SC_PHYS_PAGES")), str(os.sysconf("SC_PAGE_SIZE"))]
    found += [f"{name}={os.environ.get(name, '')}" for name in ENVIRONMENT]
    for folder in sys.path:
        found.append(folder)
        if os.path.isdir(folder or "."):
            found += sorted(n for n in os.listdir(folder or ".") if n.endswith("-info"))
    return digest("\n".join(found))


def look(path: str) -> str:
    """A file or folder as it is now. With ctime, which no program can set."""
    try:
        stat = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    return f"{stat.st_size},{stat.st_mtime_ns},{stat.st_ctime_ns},{stat.st_ino}"


def _is_as_it_was(line: str) -> bool:
    was, _, path = line.partition(" ")
    return look(path) == was


def digest(text: str) -> str:
    return sha256(text.encode(errors="surrogateescape")).hexdigest()


def read_whole(path: str) -> str | None:
    """What `write_whole` wrote; None if it is not there, or not as it was written."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            claimed, _, text = file.read().partition("\n")
    except OSError:
        return None
    return text if claimed == digest(text) else None


def write_whole(path: str, text: str) -> None:
    from pathlib import Path

    from ..store import drafts

    drafts.replace_text(Path(path), f"{digest(text)}\n{text}")
