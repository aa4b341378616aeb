"""A disk that fails: it is asked in the place of the real one (`cortexbuild/store/system.py`)."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from threading import RLock, current_thread, main_thread

from survival.power import Power, PowerLoss

from cortexbuild.store.system import System

FREES = ("unlink", "rmdir", "remove_tree")
"""What a full disk still does."""


@dataclass(frozen=True)
class Fault:
    """What befalls the n-th call: an error of this number, once or from then on (`stays`); or a
    write that takes a part of what it is given (`short`); or a loss of power; or something else
    that happens just before it."""

    name: str
    number: int = 0
    stays: bool = False
    short: bool = False
    power: str = ""
    meanwhile: bool = False
    told: bool = False  # to end, by SIGTERM

    def can_befall(self, call: str) -> bool:
        """Only writes are cut short, and what frees room needs none."""
        if self.short:
            return call == "write"
        return self.stays or self.number != errno.ENOSPC or call not in FREES


FAULTS = (
    Fault("no room", errno.ENOSPC),
    Fault("no room any more", errno.ENOSPC, stays=True),
    Fault("no room for all of it", errno.ENOSPC, short=True),
    Fault("less is written than was given", short=True),
    Fault("the disk fails", errno.EIO),
    Fault("the disk fails from then on", errno.EIO, stays=True),
    Fault("no right to", errno.EACCES),
    Fault("read-only from then on", errno.EROFS, stays=True),
    Fault("the power fails, and all that was not settled is lost", power="lost"),
    Fault("the power fails, and contents that were not settled are lost", power="contents"),
    Fault("the power fails, and some of what was not settled is lost", power="some"),
    Fault("killed", power="kept"),
    Fault("another sync and a collection come between", meanwhile=True),
    Fault("told to end", told=True),
)


class Faulty(System):
    """Counts the calls, and has a fault befall the `at`-th of them; or the first that is so called:
    `rename cortex.lock`. `root` is what it may lose."""

    def __init__(
        self, root: Path, at: int | str = -1, fault: Fault = FAULTS[0],
        between: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self.at, self.name = (-1, at) if isinstance(at, str) else (at, "")
        self.fault, self.between = fault, between
        self.calls: list[str] = []
        self.dead = self._known = False
        self.power = Power(root)
        self._lock = RLock()
        self._inside = False

    def ask(self, name: str, path: Path) -> bool:
        """Count a call that is about to be made; whether it is to be made."""
        with self._lock:
            if self.dead:
                if not self._known and current_thread() is main_thread():
                    self._known = True  # it befell another thread
                    raise PowerLoss
                return False
            if self._inside:
                return True
            self.calls.append(f"{name} {path.name}")
            here = len(self.calls) - 1
            if self.name and self.at < 0 and self.calls[-1].startswith(self.name):
                self.at = here
            fault = self.fault
            if fault.short and here == self.at and name != "write":
                return True
            if here == self.at and fault.power:
                self.dead, self._known = True, current_thread() is main_thread()
                raise PowerLoss
            if here == self.at and fault.meanwhile and current_thread() is main_thread():
                self._inside = True
                self.between()
                self._inside = False
            if here == self.at and fault.told:
                os.kill(os.getpid(), signal.SIGTERM)
            full = fault.number == errno.ENOSPC and name in FREES
            befalls = here == self.at or (fault.stays and here > self.at >= 0)
            if befalls and fault.number and not full:
                raise OSError(fault.number, os.strerror(fault.number), self._said(name, path))
            return True

    def _said(self, name: str, path: Path) -> str | None:
        return None if name in ("write", "fsync", "say") else str(path)  # they know only a number

    def open(self, path: Path, mode: str) -> FileIO:
        if not self.ask("open", path):
            return FileIO(os.devnull, "r+")
        file = _File(path, mode)
        file.system, file.path = self, path
        self.power.changed(path)
        return file

    def handle(self, path: Path, flags: int, mode: int) -> int:
        if not self.ask("handle", path):
            return os.open(os.devnull, os.O_RDWR)
        return super().handle(path, flags, mode)

    def say(self, handle: int, content: bytes) -> None:
        path = _opened(handle)
        if self.ask("say", path):
            super().say(handle, content)
            self.power.changed(path)

    def fsync(self, handle: int) -> None:
        path = _opened(handle)
        with self._lock:  # or another thread's signal to end would come while this one notes it
            if self.ask("fsync", path):
                self.power.settle(path)

    def truncate(self, path: Path, size: int) -> None:
        if self.ask("truncate", path):
            super().truncate(path, size)
            self.power.changed(path)

    def rename(self, source: Path, dest: Path) -> None:
        if self.ask("rename", dest):
            self.power.keep_number(dest)
            super().rename(source, dest)

    def link(self, source: Path, dest: Path) -> None:
        if self.ask("link", dest):
            super().link(source, dest)

    def symlink(self, shown: str, path: Path) -> None:
        if self.ask("symlink", path):
            super().symlink(shown, path)

    def unlink(self, path: Path) -> None:
        if self.ask("unlink", path):
            self.power.keep_number(path)
            super().unlink(path)

    def mkdir(self, path: Path) -> None:
        if self.ask("mkdir", path):
            super().mkdir(path)
            self.power.changed(path)

    def rmdir(self, path: Path) -> None:
        if self.ask("rmdir", path):
            self.power.keep_number(path)
            super().rmdir(path)

    def remove_tree(self, path: Path) -> None:
        try:
            if self.ask("remove_tree", path):
                self.power.keep_number(path)
                super().remove_tree(path)
        except OSError:
            next((file.unlink() for file in sorted(path.rglob("*")) if file.is_file()), None)

    def chmod(self, path: Path, mode: int) -> None:
        if self.ask("chmod", path):
            super().chmod(path, mode)

    def clone(self, source: Path, dest: Path) -> bool:
        del source, dest
        return False  # as on most file systems: then all is written


def _opened(handle: int) -> Path:
    return Path(f"/proc/self/fd/{handle}").readlink()


class _File(FileIO):
    system: Faulty
    path: Path

    def write(self, content) -> int:
        system, fault = self.system, self.system.fault
        left = memoryview(content).cast("B")
        before = len(system.calls)
        try:
            asked = system.ask("write", self.path)
        except PowerLoss:
            super().write(left[: len(left) // 2])
            raise
        finally:
            system.power.changed(self.path)
        if not asked:
            return len(left)
        if fault.short and before == system.at and len(left) > 1:
            return super().write(left[: len(left) // 2])
        return super().write(left)
