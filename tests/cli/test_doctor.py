"""Each check meets what it is there for, set up for real; the command says what puts it right."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from contextlib import closing
from errno import EOPNOTSUPP
from pathlib import Path

import pytest
from remotes.servers import plain_nginx

from cortexbuild.cli.doctor import engines, home, sharing, stored
from cortexbuild.cli.doctor.checks import CHECKS
from cortexbuild.cli.doctor.finding import Finding
from cortexbuild.remotes.keys import new_key
from cortexbuild.store.roots import Root, keep_root

DAY = 86_400.0


def doctor(space, *args, code=0):
    """What is not well, by check."""
    space.env.setdefault("CXX", "true")  # a compiler is tried in a test of its own
    said = json.loads(space.run("doctor", "--json", *args, code=code).stdout)
    assert said["schema"] == "cortexbuild/doctor/1" and said["ok"] == (code == 0)
    rows = [row for row in said["findings"] if row["level"] != "ok"]
    assert all(row["mend"] for row in rows), "what is wrong has a way to mend it"
    return [(row["level"], row["check"], row["what"], row["mend"]) for row in rows]


def only(found, check):
    return [row for row in found if row[1] == check]


def test_all_is_well_where_all_is_well(space):
    space.run("list")  # makes the store
    assert [row for row in doctor(space) if row[1] not in ("disk", "engines")] == []
    said = space.run("doctor")
    assert "ok       home: " in said.stdout and "0 errors" in said.stderr
    checks = {line.split()[1].rstrip(":") for line in said.stdout.splitlines()}
    assert {"python", "engines", "home", "disk", "store", "clock", "project"} <= checks


def test_without_a_project_and_a_home_the_machine_is_looked_at(space):
    (space.root / "cortex.yaml").unlink()
    assert "not there yet" in space.run("doctor").stdout
    assert not space.home.exists()


def test_a_manifest_that_is_wrong_is_a_finding_and_the_rest_goes_on(space):
    space.write("cortex.yaml", "schema: 2\n")
    found = doctor(space, code=1)
    assert only(found, "project")[0][2].startswith("cortex.yaml:1:1: schema: expected 1")


def test_a_home_that_cannot_be_written_to(space):
    space.run("list")  # makes the store
    space.home.chmod(0o555)
    try:
        if os.access(space.home, os.W_OK):  # root may all
            space.home.chmod(0o777)
            found = only(doctor(space), "home")
            assert found[0][0] == "warning" and "chmod go-w" in found[0][3]
        else:
            assert "cannot be written to" in only(doctor(space, code=1), "home")[0][2]
    finally:
        space.home.chmod(0o755)


def test_a_home_that_is_a_file(space):
    space.home.write_text("")
    found = only(doctor(space, code=1), "home")
    assert "cannot be written to" in found[0][2] and "CORTEX_HOME" in found[0][3]


@pytest.mark.parametrize(
    ("free", "level"), [(1 << 20, "error"), (5 << 30, "warning"), (1 << 40, "ok")]
)
def test_room_on_the_disk(free, level):
    assert home.of_room(free, Path("/home")).level == level


def refused(*args):
    raise OSError(EOPNOTSUPP, "not here")


def test_a_file_system_that_can_do_nothing(tmp_path):
    found = list(home.tried(tmp_path, refused, lambda *_: False, refused))
    assert [one.level for one in found] == ["warning", "warning"]
    assert "take their room twice" in found[0].what and "flock: not here" in found[1].what


def test_a_file_system_that_can(tmp_path):
    found = list(home.tried(tmp_path, os.link, lambda *_: True, fcntl.flock))
    assert found[:2] == [
        Finding("ok", "files are shared by hard links and reflinks"),
        Finding("ok", "locks work (flock)"),
    ]


def test_the_deepest_mount_says_what_a_folder_is_on():
    text = "/dev/vda1 / ext4 rw 0 0\nnas:/home /home\\040dir nfs4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n"
    mounts = dict(home.linux_mounts(text))
    assert home.file_system(Path("/home dir/me/.cortex"), mounts) == "nfs4"
    assert home.file_system(Path("/home/me"), mounts) == "ext4"
    assert [one.level for one in home.of_kind(Path("/x"), "nfs4")] == ["warning"]
    assert [one.level for one in home.of_kind(Path("/x"), "fuse.sshfs")] == ["warning"]
    assert [one.level for one in home.of_kind(Path("/x"), "ext4")] == ["ok"]
    mac = "/dev/disk3s1 on / (apfs, sealed)\n//me@nas/x on /Volumes/x (smbfs, nodev)\n"
    assert dict(home.darwin_mounts(mac)) == {"/": "apfs", "/Volumes/x": "smbfs"}


def test_a_store_of_another_layout(space):
    space.run("list")  # makes the store
    (space.store / "store.json").chmod(0o644)
    (space.store / "store.json").write_text('{"layout": 2}')
    assert "layout 2" in only(doctor(space, code=1), "store")[0][2]


def test_an_index_that_is_damaged_and_mended_as_it_says(space):
    space.run("list")  # makes the store
    path = space.store / "index.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute("pragma wal_checkpoint(truncate)")
    whole = path.read_bytes()
    path.write_bytes(whole[:200] + b"\xff" * (len(whole) - 200))
    found = only(doctor(space, code=1), "store")
    assert "is damaged" in found[0][2] and found[0][3].startswith(f"rm {path}*")
    for file in space.store.glob("index.sqlite*"):
        file.unlink()
    space.run("list")
    assert only(doctor(space), "store") == []


def test_what_was_left_behind(space):
    space.run("list")  # makes the store
    (space.store / "tmp" / "4000000-dead").mkdir()
    (space.store / "corrupt").mkdir()
    (space.store / "corrupt" / "abc").write_bytes(b"12")
    found = only(doctor(space), "store")
    assert [row[0] for row in found] == ["warning", "warning"]
    assert "1 folder of commands" in found[0][2] and "1 file that" in found[1][2]
    space.run("sync", "--until", "fetch")
    assert "1 folder" not in str(doctor(space))


def test_a_project_that_is_gone(space, tmp_path):
    space.run("list")  # makes the store
    keep_root(space.store, Root("a", space.root))
    space.root.rename(tmp_path / "moved")
    space.root = tmp_path / "moved"
    found = only(doctor(space), "projects")
    assert "not there any more" in found[0][2] and "cache gc" in found[0][3]


def test_a_clock_that_is_wrong():
    now = 1795000000.0
    assert stored.of_clock(now, now - DAY).level == "ok"
    behind = stored.of_clock(now, now + DAY)
    assert behind.level == "warning" and "1440m00s ahead" in behind.what
    assert stored.of_clock(0.0, 0.0).level == "error"


def test_engines_beside_the_lock_and_the_least():
    here = {"mlx": "0.32.4", "torch": "2.5.0", "gguf": "", "transformers": ""}
    locked = {"mlx": "0.33.0", "transformers": "5.0.0"}
    found = {one.what: one for one in engines.of_engines(here, locked, {"torch": "2.6"})}
    assert [(one.level, what) for what, one in found.items()] == [
        ("ok", "gguf is not installed (pip install 'cortexbuild[gguf]')"),
        ("error", "mlx 0.32.4 is here, and cortex.lock has 0.33.0"),
        ("warning", "torch 2.5.0 is older than what cortexbuild was tried with (2.6)"),
        ("error", "transformers is not installed, and cortex.lock has 5.0.0"),
    ]
    assert (
        "'cortexbuild[mlx]' mlx==0.33.0"
        in found["mlx 0.32.4 is here, and cortex.lock has 0.33.0"].mend
    )


def test_a_python_that_is_too_old_or_emulated():
    assert engines.of_python((3, 10), "Python 3.10.1 on Linux x86_64").level == "error"
    assert engines.of_python((3, 12), "Python 3.12.1 on Darwin x86_64").level == "warning"
    assert engines.of_python((3, 12), "Python 3.12.1 on Darwin arm64").level == "ok"


def test_a_compiler_that_compiles_nothing(tmp_path):
    broken = tmp_path / "g++"
    broken.write_text("#!/bin/sh\necho 'no headers here' >&2\nexit 1\n")
    broken.chmod(0o755)
    assert "compiles nothing: no headers here" in engines.of_compiler(str(broken)).what
    assert "it is not installed" in engines.of_compiler("no-such-compiler").what
    assert engines.of_compiler("g++").level == "ok"


def with_remotes(space, text):
    path = space.root / "cortex.yaml"
    path.write_text(path.read_text() + text)


def test_a_folder_that_is_not_mounted(space, tmp_path):
    folder = tmp_path / "mnt"
    with_remotes(
        space, f"cache: {{remotes: [{{url: 'file://{folder}', unsigned: true, name: team}}]}}\n"
    )
    found = only(doctor(space, code=1), "remotes")
    assert "remote `team`" in found[0][2] and "mount what should be there" in found[0][3]
    folder.mkdir()
    assert only(doctor(space, "--cache", "team:rw"), "remotes") == []
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    (folder / "roots").rmdir()
    (folder / "roots").write_text("where a folder should be")
    assert only(doctor(space, "--cache", "team:rw", code=1), "remotes")


def test_a_server_that_reads_and_one_that_is_away(space, tmp_path):
    with plain_nginx(tmp_path) as url:
        with_remotes(space, f"cache: {{remotes: [{{url: '{url}', name: team}}]}}\n")
        found = doctor(space)
        assert only(found, "remotes") == []
        assert "no key is trusted" in only(found, "keys")[0][2]
        found = only(doctor(space, "--cache", "team:rw", code=1), "keys")
        assert "there is no key to sign with" in found[0][2]
    found = only(doctor(space, code=1), "remotes")
    assert "cannot be reached" in found[0][2]
    assert only(doctor(space, "--offline"), "remotes") == []


def test_clocks_that_differ():
    assert list(sharing.of_skew("team", 20.0)) == []
    (found,) = sharing.of_skew("team", -3600.0)
    assert "60m00s behind" in found.what


def test_keys_that_others_can_read(space):
    folder = space.home / "build" / "keys"
    new_key(folder, "ci")
    assert only(doctor(space), "keys") == []
    (folder / "ci.key").chmod(0o644)
    assert "others can read this signing key" in only(doctor(space, code=1), "keys")[0][2]
    (folder / "ci.key").chmod(0o600)
    folder.chmod(0o777)
    assert "chmod 700" in only(doctor(space, code=1), "keys")[0][3]


def test_a_token_is_told_of_and_never_shown(space, tmp_path):
    path = space.root / "cortex.yaml"
    path.write_text(path.read_text().replace("path:weights", "hf:acme/model@main"))
    space.env |= {"HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": ""}
    assert "no token for the Hub" in only(doctor(space), "tokens")[0][2]
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "token").write_text("hf_secretword")
    (tmp_path / "hf" / "token").chmod(0o644)
    assert "chmod 600" in only(doctor(space), "tokens")[0][3]
    space.env |= {"HF_TOKEN": "hf_secretword"}
    said = space.run("doctor")
    assert "there is a token for the Hub (HF_TOKEN)" in said.stdout
    assert "secretword" not in said.stdout + said.stderr


def test_every_check_is_told_of_once_in_a_group():
    names = [name for name, _ in CHECKS]
    assert sorted(set(names), key=names.index) == [
        n for i, n in enumerate(names) if n not in names[:i]
    ]
    assert len({check for _, check in CHECKS}) == len(CHECKS)
