"""Names of strangers' files, and files that are none: pipes, devices, links, ten thousand."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from workspace import Workspace, tiny_safetensors

from cortexbuild.core.digest import File, Tree, digest_bytes
from cortexbuild.errors import CortexError, IntegrityError, plain
from cortexbuild.formats.cards import plain_text
from cortexbuild.formats.detection import detect
from cortexbuild.formats.npz import read_arrays

DIGEST = digest_bytes(b"")


@pytest.mark.parametrize(
    "name",
    ["..", "../a", "a/../b", "/a", "a//b", "./a", "a/", "", "C:x", "C:\\x", "a\\b", "a\0b", "a\nb", "a\rb",
     "a\x1b[2Jb", "a\u202eb", "\ud800", "x" * 256, "é" * 128],
)  # fmt: skip
def test_a_tree_has_no_such_file(name: str) -> None:
    with pytest.raises(IntegrityError) as error:
        Tree.of([File(name, DIGEST, 0)])
    assert str(error.value).isprintable()


@pytest.mark.parametrize("one, other", [("a", "A"), ("é", "e\u0301"), ("ß", "SS"), ("a", "a/b")])
def test_names_that_fall_together_are_not_in_one_tree(one: str, other: str) -> None:
    with pytest.raises(IntegrityError, match="differ only in case|cannot be a file"):
        Tree.of([File(one, DIGEST, 0), File(other, DIGEST, 0)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.safetensors").write_bytes(tiny_safetensors())
    (tmp_path / "m" / "config.json").write_text("{}")
    return tmp_path / "m"


@pytest.mark.parametrize("name", ["config.json", "README.md", "model.safetensors", "other"])
def test_a_pipe_in_a_folder_is_not_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(IntegrityError, match=f"{name}: a pipe, a socket or a device"):
        detect(folder)


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/tty", "/dev/random"])
def test_a_link_to_a_device_is_not_read(folder: Path, device: str) -> None:
    (folder / "tokenizer_config.json").symlink_to(device)
    with pytest.raises(IntegrityError, match="a pipe, a socket or a device"):
        detect(folder)


def test_links_that_go_round_are_not_followed(folder: Path) -> None:
    (folder / "below").symlink_to(folder, target_is_directory=True)
    (folder / "itself").mkdir()
    (folder / "itself" / "again").symlink_to("..", target_is_directory=True)
    assert detect(folder).format == "safetensors"
    (folder / "round").symlink_to("round")
    with pytest.raises(IntegrityError, match="round: a link that leads nowhere"):
        detect(folder)


def test_ten_thousand_files_are_fine(folder: Path) -> None:
    for number in range(10_000):
        (folder / f"{number}.txt").touch()
    assert detect(folder).format == "safetensors"
    files = [File(f"d/{number}", DIGEST, 0) for number in range(10_000)]
    assert len(Tree.of(files).files) == 10_000


def test_a_source_with_a_pipe_for_its_weights_is_refused(space: Workspace) -> None:
    weights = space.root / "weights" / "model.safetensors"
    weights.unlink()
    os.mkfifo(weights)
    said = space.run("sync", code=6).stderr
    assert "model.safetensors" in said and "pipe" in said


def test_a_pipe_where_the_lock_should_be_is_not_waited_for(space: Workspace) -> None:
    os.mkfifo(space.root / "cortex.lock")
    assert "cortex.lock is not a lock" in space.run("plan", code=2).stderr


def test_what_a_terminal_obeys_is_written_out() -> None:
    title = "a\x1b]0;owned\x07\x9b31m\u202eb\r\b\x00é😀\n\t"
    assert plain(title) == "a\\x1b]0;owned\\x07\\x9b31m\\u202eb\\r\\x08\\x00é😀\n\t"
    assert plain_text("mit\x1b[2J\n  or so") == "mit\\x1b[2J or so"
    assert str(CortexError(title, hint=title)) == plain(title)


def test_a_terminal_is_shown_no_signs_of_a_strangers_model(folder: Path) -> None:
    (folder / "README.md").write_text(
        "---\nlicense: mit\x1b]0;owned\x07\nbase_model: a\x1b[2J/b\n---\n"
    )
    (folder / "config.json").write_text(
        '{"model_type": "llama\\u001b[31m", "license": "x\\u009b1m"}'
    )
    first, second = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "cortexbuild", "info", str(folder)],
        stdout=second,
        stderr=second,
    )
    os.close(second)
    said = os.read(first, 1 << 16).decode()
    os.close(first)
    assert done.returncode == 0 and "llama\\x1b[31m" in said
    assert not {"\x1b", "\x07", "\x9b"} & set(said)


class Exploding:
    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> object:
        return os.mkdir, (str(self._canary),)


def test_an_array_of_objects_is_not_unpickled(tmp_path: Path) -> None:
    canary, stream = tmp_path / "canary", io.BytesIO()
    np.savez(stream, a=np.array([Exploding(canary)], object))
    with pytest.raises(IntegrityError, match="weights.npz: `a.npy` has the unknown type"):
        read_arrays(stream, "weights.npz")
    assert not canary.exists()
