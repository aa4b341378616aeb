"""An export that is cut off at any write: what has its final name is whole, and the next one mends all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from survival.faulty import FAULTS, Fault, Faulty
from survival.power import PowerLoss
from survival.stories import of_the_dead

from cortexbuild.core.digest import File
from cortexbuild.exports import How, Package, folder, hf_cache
from cortexbuild.store.local import LocalStore
from cortexbuild.store.system import replaced

CUTS = tuple(fault for fault in FAULTS if fault.power or fault.name == "no room")
LINKED, COPIED = How(replace=True), How(copies=True, replace=True)
OLD = {"provenance.json": b'{"subject": [{"name": "model.bin"}]}', "model.bin": b"old weights"}


class Trial:
    """A store with a model of two files, in one of them a folder, and a place to export it to."""

    def __init__(self, root: Path, to: str, *, over: bool = False) -> None:
        self.root, self.over, self.out = root, over, root / "there" / "out"
        self.store = LocalStore(root / "store")
        made = root / "made"
        (made / "sub").mkdir(parents=True)
        (made / "model.bin").write_bytes(b"weights" * 100)
        (made / "sub" / "more.bin").write_bytes(b"more")
        files = {file.path: file for file in self.store.add_folder(made).files}
        texts = {"LICENSE": b"as you like\n", "provenance.json": self.provenance(files)}
        self.package = Package("m:t", "mlx", files, texts)
        self.neighbour = folder.neighbour(self.out) if to == "folder" else hf_cache.NEIGHBOUR

    def begin(self) -> None:
        shutil.rmtree(self.out.parent, ignore_errors=True)
        if self.over:
            self.out.mkdir(parents=True)
            for name, content in OLD.items():
                (self.out / name).write_bytes(content)

    def provenance(self, files: dict[str, File]) -> bytes:
        rows = ", ".join(f'{{"name": "{name}"}}' for name in files)
        return f'{{"subject": [{rows}]}}'.encode()

    def export(self, how: How) -> None:
        self.neighbour.give(self.store, self.package, self.out, "me/m", how)

    def seen(self) -> Iterator[dict[str, bytes]]:
        """What a program finds there: a folder, or the snapshots of a cache."""
        of_cache = self.out / "models--me--m" / "snapshots"
        folders = of_cache.iterdir() if self.neighbour is hf_cache.NEIGHBOUR else [self.out]
        for found in folders if of_cache.exists() or self.neighbour.to == "folder" else ():
            if found.exists() and not found.name.startswith("."):
                yield {
                    path.relative_to(found).as_posix(): path.read_bytes()
                    for path in found.rglob("*") if not path.is_dir()
                }  # fmt: skip

    def whole(self) -> dict[str, bytes]:
        files = {
            name: self.store.blob(f.digest).read_bytes() for name, f in self.package.files.items()
        }
        return {**files, **self.package.texts}


def cut_off(trial: Trial, how: How, at: int, fault: Fault) -> list[str]:
    """One export in which a fault befalls a call, and one after it; gives the calls of the first."""
    trial.begin()
    disk = Faulty(trial.root, at, fault)
    try:
        with replaced(disk):
            trial.export(how)
    except PowerLoss:
        disk.power.fail(fault.power, at)
    except OSError as error:
        assert str(trial.root) in str(error.filename), f"{error!r} names no path"
    where = f"{fault.name} at {disk.calls[at]}"
    assert [found for found in trial.seen() if found not in (trial.whole(), OLD)] == [], where
    of_the_dead(trial.out.parent)
    with replaced(Faulty(trial.root)):
        trial.export(how)
    assert list(trial.seen()) == [trial.whole()], where
    assert list(trial.out.parent.rglob(".*")) == [], where
    return disk.calls


@pytest.mark.parametrize("fault", CUTS, ids=lambda fault: fault.name)
@pytest.mark.parametrize(
    ("to", "how", "over"),
    [("folder", COPIED, False), ("folder", LINKED, True), ("hf-cache", LINKED, False)],
    ids=["a new folder", "in the place of an older one", "a cache of the Hub"],
)
def test_what_has_its_name_is_whole_wherever_it_ends(tmp_path, to, how, over, fault):
    trial = Trial(tmp_path, to, over=over)
    with closing(trial.store):
        calls = cut_off(trial, how, -1, fault)
        assert {call.partition(" ")[0] for call in calls} >= {"write", "fsync", "rename"}
        for at in range(len(calls)):
            cut_off(trial, how, at, fault)


def test_a_folder_of_somebody_that_is_called_like_a_process_stays(tmp_path):
    trial = Trial(tmp_path, "folder")
    mine = trial.out.with_name(f".{trial.out.name}.4194999")
    mine.mkdir(parents=True)
    with closing(trial.store):
        trial.export(LINKED)
    assert {path.name for path in mine.parent.iterdir()} == {mine.name, trial.out.name}
