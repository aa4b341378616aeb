"""What is otherwise on macOS, with the calls that only it has played by fakes."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import sys

import pytest

from cortexbuild.store import disk, drafts, waiting


class Drive:
    """Notes what was flushed, and how. `knows` says whether the file system can do it fully."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, knows: bool) -> None:
        self.calls: list[str] = []
        self.knows = knows
        monkeypatch.setattr(sys, "platform", "darwin")
        monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
        monkeypatch.setattr(fcntl, "fcntl", self.fcntl)
        monkeypatch.setattr(os, "fsync", lambda handle: self.calls.append("fsync"))

    def fcntl(self, handle: int, command: int) -> int:
        assert command == 51
        if not self.knows:
            raise OSError(25, "Inappropriate ioctl for device")
        self.calls.append("full")
        return 0


@pytest.mark.parametrize(("knows", "how"), [(True, "full"), (False, "fsync")])
def test_what_is_written_leaves_the_drive_s_memory_too(tmp_path, monkeypatch, knows, how):
    drive = Drive(monkeypatch, knows)
    assert drafts.write_once(tmp_path / "record", "text", tmp_path / "draft")
    assert drive.calls == [how, how], "the file, and then its name"


class Libc:
    """clonefile(2), by copying; as on APFS it makes no file where there is one."""

    def clonefile(self, source: bytes, dest: bytes, flags: int) -> int:
        assert flags == 0
        if os.path.lexists(dest):
            return -1
        shutil.copyfile(source, dest)
        return 0


def test_a_clone_is_made_where_no_file_is_yet(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Libc())
    source, dest = tmp_path / "source", tmp_path / "dest"
    source.write_text("bytes")
    assert disk.clone(source, dest) and dest.read_text() == "bytes"
    source.write_text("others")
    assert not disk.clone(source, dest) and dest.read_text() == "bytes"


def test_a_process_counts_as_alive_where_there_is_no_proc(monkeypatch):
    """What it left is swept when it is gone altogether."""
    monkeypatch.setattr(waiting, "Path", lambda *_: no_proc())
    assert waiting.pid_lives(os.getpid())
    assert not waiting.pid_lives(4194305), "above the largest id that Linux and macOS give"


def no_proc():
    from pathlib import Path

    return Path("/nonexistent/stat")
