"""A sync that has nothing to do is answered by a seal, and by nothing that is not as it was."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cortexbuild.cli import commands, seal, sealing
from cortexbuild.cli.commands import MODULES, commands_for

LIGHT = {
    "argparse", "ast", "asyncio", "dataclasses", "inspect", "json", "logging", "multiprocessing",
    "pathlib", "pydantic", "re", "sqlite3", "ssl", "subprocess", "tempfile", "typing", "urllib",
    "uuid", "yaml",
}  # fmt: skip
"""What a sealed sync imports none of."""
DERIVED = ("index.sqlite", "locks/", "runs/", "seals/", "store.json", "CACHEDIR.TAG", "tmp")
"""What of the store no answer rests on: it may go, or is of the moment."""


@pytest.fixture
def sealed(space, monkeypatch):
    """A project that is built, and was found to be. Files need not lie for two seconds here."""
    monkeypatch.setattr(sealing, "AT_REST", 0)
    space.run("sync")
    space.run("sync")
    space.run("sync")
    assert holds(space)
    return space


def folder(space) -> Path:
    return next((space.store / "seals").iterdir())


def holds(space) -> bool:
    """An answer is kept only with a seal that holds."""
    for path in folder(space).iterdir():
        if path.name != "seal":
            path.unlink()
    space.run("list")
    return len(list(folder(space).iterdir())) == 2


def put_back(path: Path, content: bytes) -> None:
    """Other bytes of the same length, with the time that they had."""
    stat = path.stat()
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(stat.st_mode)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def flipped(content: bytes) -> bytes:
    return bytes([content[0] ^ 1]) + content[1:]


def test_a_sealed_sync_imports_next_to_nothing(sealed):
    code = (
        "import sys\nbefore = set(sys.modules)\nsys.argv = ['cortexbuild', 'sync']\n"
        "from cortexbuild.cli.main import main\nassert main() == 0\n"
        "print('\\n'.join(set(sys.modules) - before))"
    )
    prepare = "from cortexbuild.cli import sealing\nsealing.AT_REST = 0\n" + code
    for text in (prepare, prepare, code):  # in a process of its own: what is installed is the same
        done = subprocess.run(
            [sys.executable, "-S", "-c", f"import sys\nsys.path += {sys.path!r}\n{text}"],
            cwd=sealed.root, env=sealed.environment(), capture_output=True, text=True, check=True,
        )  # fmt: skip
    loaded = set(done.stdout.split())
    assert "cortexbuild.cli.seal" in loaded
    assert not loaded & LIGHT
    assert {name for name in loaded if name.startswith("cortexbuild")} == {
        "cortexbuild", "cortexbuild.cli", "cortexbuild.cli.complaint", "cortexbuild.cli.home",
        "cortexbuild.cli.main", "cortexbuild.cli.seal", "cortexbuild.errors", "cortexbuild.redaction",
        "cortexbuild.version",
    }  # fmt: skip
    assert "1 target: nothing to do, 5 fresh steps" in done.stderr


def test_every_file_of_the_project_and_of_its_results_is_looked_at(sealed):
    looks = (folder(sealed) / "seal").read_text().splitlines()[3:]
    seen = {Path(line.partition(" ")[2]) for line in looks}
    there = [path for root in (sealed.root, sealed.home) for path in root.rglob("*")]
    short = {path: path.relative_to(sealed.store).as_posix() for path in there
             if path.is_relative_to(sealed.store)}  # fmt: skip
    files = {
        path for path in there
        if path.is_file() and not short.get(path, "").startswith(DERIVED)
        and path.name not in (".gitignore", "logs.json")  # of logs nothing is said
    }  # fmt: skip
    unneeded = [short[path].partition("/")[0] for path in files - seen]
    # Two files of the source and two that lie between; what was recorded of fetch and of detect.
    assert sorted(unneeded) == ["ac", "ac", "cas", "cas", "cas", "cas"]
    assert {(sealed.view() / "model.txt").resolve(), sealed.view()} <= seen
    assert sealed.root / "weights" in seen  # a file that is added to it is one more of the model
    assert Path(commands.__file__) in seen
    assert Path(sys.modules["cortexbuild_text"].__file__) in seen


@pytest.mark.parametrize(
    "name",
    [
        "weights/config.json",
        "cortex.yaml",
        "cortex.lock",
        "recipes/short.yaml",
        ".cortex/last.json",
    ],
)
def test_a_file_of_the_project_that_changed_breaks_the_seal(sealed, name):
    put_back(sealed.root / name, (sealed.root / name).read_bytes())
    assert not holds(sealed)


@pytest.mark.parametrize("name", ["weights/tokenizer.json", "recipes/other.yaml"])
def test_a_file_that_is_added_breaks_the_seal(sealed, name):
    sealed.write(name, "{}")
    assert not holds(sealed)


def test_a_byte_flipped_in_a_result_is_noticed(sealed):
    result = sealed.view() / "model.txt"
    put_back(result, flipped(result.read_bytes()))
    assert sealed.sync() == ["quantize"]
    assert sealed.text() == "HELL"


def test_a_lost_file_is_noticed(sealed):
    blob = next(path for path in sealed.blobs() if path.read_bytes() == b"HELL")
    blob.unlink()
    sealed.run("sync")
    assert blob.read_bytes() == b"HELL"


def test_a_lost_record_is_noticed(sealed):
    shutil.rmtree(sealed.store / "ac")
    (sealed.store / "ac" / "v1").mkdir(parents=True)
    assert "quantize" in sealed.sync()


def test_a_view_that_was_moved_is_noticed(sealed):
    sealed.view().rename(sealed.view("elsewhere"))
    sealed.run("sync")
    assert sealed.text() == "HELL"


def test_what_a_killed_process_left_is_swept(sealed):
    (sealed.store / "tmp" / "999999999-dead").mkdir()
    sealed.run("sync")
    assert sealed.debris() == []


def test_while_bytes_are_taken_away_nothing_is_answered_by_a_seal(sealed):
    with (sealed.store / "locks" / "store.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not holds(sealed)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: "\n" * 10,
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("5 fresh", "6 fresh"),
        lambda text: "0" * 64 + text[64:],
        lambda text: text + "1,2,3,4 /nonexistent",
        lambda text: text.replace("\n", "\0"),
    ],
)
def test_a_seal_that_is_not_as_it_was_written_counts_for_nothing(sealed, damage):
    path = folder(sealed) / "seal"
    path.write_text(damage(path.read_text()))
    assert not holds(sealed)
    assert "5 fresh" in sealed.run("sync").stderr


def test_another_version_day_or_set_of_plug_ins_goes_by_no_old_seal(sealed, monkeypatch, tmp_path):
    for name, other in (("VERSION", "0"), ("FORM", "seal 0")):
        with monkeypatch.context() as patch:
            patch.setattr(seal, name, other)
            assert not holds(sealed)
    sealed.env["CORTEX_CACHE"] = "remote:off"
    assert not holds(sealed)
    del sealed.env["CORTEX_CACHE"]
    assert holds(sealed)
    with monkeypatch.context() as patch:
        (tmp_path / "plug" / "more-1.0.dist-info").mkdir(parents=True)
        patch.syspath_prepend(str(tmp_path / "plug"))
        assert not holds(sealed)


def test_what_changed_a_moment_ago_is_not_sealed(space):
    for _ in range(3):
        space.run("sync")
    assert not (space.store / "seals").exists()


@pytest.mark.parametrize("words", [["m:t"], ["--frozen"], ["--until", "convert"]])
def test_only_a_sync_of_everything_is_sealed(space, monkeypatch, words):
    monkeypatch.setattr(sealing, "AT_REST", 0)
    space.manifest(t={}, u={"keep": 2})
    space.run("lock")
    for _ in range(3):
        space.run("sync", *words)
    assert not (space.store / "seals").exists()


def test_a_model_that_is_not_good_enough_is_not_sealed(space, monkeypatch):
    monkeypatch.setattr(sealing, "AT_REST", 0)
    text = (space.root / "cortex.yaml").read_text()
    for _ in range(3):
        space.write("cortex.yaml", text + "validate: {max_kl: 0.1}\n")
        space.run("sync", code=1)
    assert not (space.store / "seals").exists()


@pytest.mark.parametrize("words", [["plan"], ["list"], ["list", "--json"], ["why", "m:t"]])
def test_an_answer_under_a_seal_is_that_without_one(sealed, words):
    said = sealed.run(*words).stdout
    assert sealed.run(*words).stdout == said
    assert len(list(folder(sealed).iterdir())) >= 2
    shutil.rmtree(folder(sealed))
    assert sealed.run(*words).stdout == said
    sealed.write("weights/config.json", '{"text": "other words"}')
    assert sealed.run(*words).stdout != said


def test_where_no_seal_can_be_kept_a_sync_goes_on_without(space, monkeypatch):
    monkeypatch.setattr(sealing, "AT_REST", 0)
    space.run("sync")
    (space.store / "seals").write_text("in the way")
    for _ in range(2):
        assert "5 fresh" in space.run("sync").stderr


def test_an_answer_that_cannot_be_kept_is_given(sealed):
    found = seal.Seal(str(folder(sealed) / "nowhere"), "", "")
    found.keep(["list"], "text")
    assert found.answer(["list"]) is None


def test_a_damaged_answer_is_given_anew(sealed):
    said = sealed.run("list").stdout
    kept = next(path for path in folder(sealed).iterdir() if path.name != "seal")
    kept.write_text(kept.read_text().replace("ok", "no"))
    assert sealed.run("list").stdout == said


def test_the_table_of_commands_is_that_of_their_modules():
    for module, names in MODULES.items():
        assert tuple(c.name for c in commands_for([names[0]])) == names, module
    listed = [name for names in MODULES.values() for name in names]
    assert [command.name for command in commands_for(["--help"])] == listed
    folder = Path(commands.__file__).parent
    there = {path.stem for path in folder.glob("[a-z]*.py") if "\nCOMMANDS = " in path.read_text()}
    assert there == set(MODULES)
