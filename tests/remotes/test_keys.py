"""The files of keys: who may read them, and what is no key."""

from __future__ import annotations

import errno
import stat

import pytest
from store.disks import Lacking

from cortexbuild.errors import UsageError
from cortexbuild.remotes import keys
from cortexbuild.store.system import replaced


def test_a_new_key_is_for_its_owner_alone(tmp_path):
    made = keys.new_key(tmp_path / "keys", "ci-2026")
    path = tmp_path / "keys" / "ci-2026.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert keys.own_keys(path.parent) == [made]
    assert "secret" not in repr(made) and made.seed.hex() not in repr(made)
    with pytest.raises(UsageError, match="already"):
        keys.new_key(path.parent, "ci-2026")
    assert keys.own_keys(path.parent) == [made]


def test_a_key_that_others_can_read_is_not_used(tmp_path):
    keys.new_key(tmp_path, "ci")
    (tmp_path / "ci.key").chmod(0o640)
    with pytest.raises(UsageError, match="others can read") as error:
        keys.signing_key(tmp_path)
    assert "chmod 600" in error.value.hint


def test_which_key_signs(tmp_path, monkeypatch):
    monkeypatch.delenv(keys.VARIABLE, raising=False)
    assert keys.signing_key(tmp_path) is None
    one = keys.new_key(tmp_path, "one")
    assert keys.signing_key(tmp_path) == one
    two = keys.new_key(tmp_path, "two")
    with pytest.raises(UsageError, match="several keys"):
        keys.signing_key(tmp_path)
    assert keys.signing_key(tmp_path, "two") == two
    with pytest.raises(UsageError, match="no key `three`"):
        keys.signing_key(tmp_path, "three")
    monkeypatch.setenv(keys.VARIABLE, keys.secret_text(one))
    assert keys.signing_key(tmp_path) == one
    monkeypatch.setenv(keys.VARIABLE, str(tmp_path / "two.key"))
    assert keys.signing_key(tmp_path) == two


@pytest.mark.parametrize(
    "text", ["ci", "ci:secret:", "ci:secret:AAAA", ":secret:" + "A" * 44, "x:secret:%%"]
)
def test_what_is_no_secret(tmp_path, monkeypatch, text):
    monkeypatch.setenv(keys.VARIABLE, text)
    with pytest.raises(UsageError):
        keys.signing_key(tmp_path)


def test_a_secret_is_not_taken_for_a_public_key(tmp_path):
    made = keys.new_key(tmp_path, "ci")
    with pytest.raises(UsageError, match="is no public key"):
        keys.trust(tmp_path, keys.secret_text(made))
    assert made.seed.hex() not in (tmp_path / "ci.key").name


def test_trust_adds_up_and_one_name_is_one_key(tmp_path):
    own = keys.new_key(tmp_path, "own")
    other, imposter = (keys.public_text(keys.new_key(tmp_path / at, "other")) for at in ("a", "b"))
    team = keys.public_text(keys.new_key(tmp_path / "c", "team"))
    assert keys.trust(tmp_path, other) and not keys.trust(tmp_path, other)
    assert set(keys.trusted_keys(tmp_path, [team])) == {"own", "other", "team"}
    assert keys.trusted_keys(tmp_path, [])["own"] == own.public()
    with pytest.raises(UsageError, match="two keys"):
        keys.trust(tmp_path, imposter)
    with pytest.raises(UsageError, match="two keys"):
        keys.trusted_keys(tmp_path, [imposter])


@pytest.mark.parametrize("name", ["", "../x", "a b", "-x", "x" * 65, "a:b"])
def test_a_name_that_is_none(tmp_path, name):
    with pytest.raises(UsageError):
        keys.new_key(tmp_path / "keys", name)
    assert not list(tmp_path.rglob("*.key"))


def test_a_file_of_trusted_keys_that_is_no_text(tmp_path):
    (tmp_path / "trusted").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="trusted: not text"):
        keys.trusted_keys(tmp_path, [])


def test_without_room_no_half_of_a_key_stays(tmp_path):
    with replaced(Lacking("fsync", errno.ENOSPC)), pytest.raises(OSError, match="No space left"):
        keys.new_key(tmp_path, "ci-2026")
    assert keys.own_keys(tmp_path) == []
    assert keys.new_key(tmp_path, "ci-2026").name == "ci-2026"
