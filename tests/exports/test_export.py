"""A target that is handed out: what goes with it, what is in the way, and what it may not be."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
import xxhash
import yaml

from cortexbuild.core.digest import Digest, File
from cortexbuild.errors import StoreError, UsageError
from cortexbuild.exports import How, Package, lmstudio
from cortexbuild.exports.names import split_name
from cortexbuild.exports.placing import _swap
from cortexbuild.store.local import LocalStore
from cortexbuild.store.looking import stat_of


def exported(space, *args, code=0, target="m:t"):
    return space.run("export", target, *args, code=code)


def front(folder: Path) -> dict:
    return yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])


def test_a_folder_has_the_model_its_card_its_licence_and_where_it_comes_from(space, tmp_path):
    space.write("weights/README.md", "---\nlicense: mit\nbase_model: org/base\n---\n")
    space.write("weights/LICENSE", "do as you like\n")
    space.sync()
    out = tmp_path / "out"
    said = json.loads(exported(space, "--to", str(out), "--json").stdout)
    assert (said["to"], said["path"], said["bytes"]) == ("folder", str(out), {"linked": 4})
    assert sorted(p.name for p in out.iterdir()) == [
        "LICENSE",
        "README.md",
        "m-t.txt",
        "provenance.json",
    ]
    assert (out / "m-t.txt").samefile(space.view() / "model.txt")
    assert (out / "LICENSE").read_text() == "do as you like\n"
    head = front(out)
    assert (head["license"], head["base_model"]) == ("mit", "org/base")
    assert (head["base_model_relation"], head["tags"]) == ("quantized", ["cortexbuild", "short"])
    (subject,) = json.loads((out / "provenance.json").read_text())["subject"]
    content = (out / "m-t.txt").read_bytes()
    assert subject == {"name": "m-t.txt", "digest": {"sha256": hashlib.sha256(content).hexdigest()}}
    card = (out / "README.md").read_text()
    assert subject["digest"]["sha256"] in card and "keep: 4" in card and "path:weights" in card


def test_a_card_has_no_markup_of_a_strangers(space, tmp_path):
    """Of a licence, a base or a setting: in its head, which is YAML, and in its tables."""
    licence = "<script>alert(1)</script>` [me](javascript:alert(1)) | \u2028--- \\<b> &lt;"
    config = {"text": "hello", "license": licence, "base_model": f"org/{licence}"}
    space.write("weights/config.json", json.dumps(config))
    space.manifest(t={"says": json.dumps({"note": f"\n---\n{licence}\n# mine"})})
    space.sync()
    out = tmp_path / "out"
    exported(space, "--to", str(out))
    card = (out / "README.md").read_text()
    head, body = card.split("---\n")[1:]
    assert yaml.safe_load(head)["license_name"] == " ".join(licence.split())
    assert "alert" in body and "\u2028" not in card
    for line in body.replace("\\\\", "").splitlines():
        if "alert" in line or "mine" in line:
            assert re.search(r"(?<!\\)[<>\[\]`]", line.replace("`short`", "")) is None, line
    sizes = {line.count("|") - line.count("\\|") for line in body.splitlines() if "says: " in line}
    assert sizes == {4}, "a row has three cells, whatever stands in them"


def test_again_is_nothing_to_do_and_a_copy_can_be_edited(space, tmp_path):
    space.sync()
    out = tmp_path / "out"
    exported(space, "--to", str(out))
    before = (out / "README.md").stat().st_ino
    assert json.loads(exported(space, "--to", str(out), "--json").stdout)["bytes"] == {"there": 4}
    assert (out / "README.md").stat().st_ino == before
    done = exported(space, "--to", str(tmp_path / "copy"), "--copy")
    assert "copied 4 B: as asked" in done.stderr
    (tmp_path / "copy" / "m-t.txt").write_text("mine")
    assert space.text() == "HELL"


def test_an_older_build_is_replaced_when_it_is_asked_for(space, tmp_path):
    space.sync()
    out = tmp_path / "out"
    exported(space, "--to", str(out))
    space.manifest(t={"keep": 2})
    assert "m:t is not up to date" in exported(space, "--to", str(out), code=1).stderr
    space.sync()
    assert "`--replace` puts this one" in exported(space, "--to", str(out), code=1).stderr
    assert (out / "m-t.txt").read_text() == "HELL"
    exported(space, "--to", str(out), "--replace")
    assert (out / "m-t.txt").read_text() == "HE" and not list(tmp_path.glob(".out*"))


def test_an_older_build_stays_when_its_replacement_cannot_come(tmp_path):
    draft, folder, old = (tmp_path / name for name in ("draft", "folder", "old"))
    folder.mkdir()
    with pytest.raises(FileNotFoundError):
        _swap(draft, folder, old)
    assert folder.exists() and not old.exists()


@pytest.mark.parametrize("ours", [True, False])
def test_what_no_export_made_is_never_taken_away(space, tmp_path, ours):
    space.sync()
    out = tmp_path / "out"
    if ours:
        exported(space, "--to", str(out))
        (out / "README.md").write_text("mine now")
    out.mkdir(exist_ok=True)
    (out / "thesis.tex").write_text("years")
    done = exported(space, "--to", str(out), "--replace", code=1)
    assert "so it is left alone" in done.stderr and (out / "thesis.tex").read_text() == "years"


def test_notes_beside_a_model_do_not_make_it_another(space, tmp_path):
    space.sync()
    out = tmp_path / "out"
    exported(space, "--to", str(out))
    (out / "notes.txt").write_text("nice")
    exported(space, "--to", str(out))
    assert (out / "notes.txt").exists()


def test_bytes_that_rotted_without_a_trace_do_not_go_out(space, tmp_path):
    space.sync()
    blob = next(path for path in space.blobs() if path.read_bytes() == b"HELL")
    blob.chmod(0o644)
    blob.write_bytes(b"HULL")
    blob.chmod(0o444)
    store = LocalStore(space.store)
    was = xxhash.xxh3_128(b"HELL").hexdigest()
    store.index.keep_blob(Digest(blob.name), stat_of(blob), was)  # a disk tells nobody
    store.close()
    done = exported(space, "--to", str(tmp_path / "out"), code=6)
    assert "damaged" in done.stderr and not (tmp_path / "out").exists()


def test_what_is_not_built_or_not_good_enough_does_not_go_out(space, tmp_path):
    assert "is not built" in exported(space, "--to", str(tmp_path / "o"), code=1).stderr
    space.sync()
    text = space.root.joinpath("cortex.yaml").read_text()
    space.write("recipes/short.yaml", space.root.joinpath("recipes/short.yaml").read_text().replace(
        "{do: validate, tool: text}", "{do: validate, tool: text, set: {says: '{\"kl\": 0.5}'}}"))  # fmt: skip
    space.sync()
    space.write("cortex.yaml", text + "validate: {max_kl: 0.1}\n")
    done = exported(space, "--to", str(tmp_path / "o"), code=1)
    assert "KL divergence" in done.stderr and not (tmp_path / "o").exists()


def test_no_folder_of_this_machine_is_told(space, tmp_path):
    place = space.root / "weights"
    space.write(
        "cortex.yaml",
        (space.root / "cortex.yaml").read_text().replace("path:weights", f"path:{place}"),
    )
    space.sync()
    out = tmp_path / "out"
    exported(space, "--to", str(out))
    assert not [p for p in out.iterdir() if str(tmp_path).encode() in p.read_bytes()]
    assert "path:weights" in (out / "README.md").read_text()


def test_the_hubs_client_finds_it_in_its_cache(space, tmp_path):
    from huggingface_hub import scan_cache_dir, snapshot_download

    space.sync()
    cache = tmp_path / "hub"
    space.env["HF_HUB_CACHE"] = str(cache)
    said = json.loads(exported(space, "--to", "hf-cache", "--json").stdout)
    assert said["name"] == "local/m-t"
    found = snapshot_download("local/m-t", cache_dir=cache, local_files_only=True)
    assert found == said["path"] and (Path(found) / "m-t.txt").read_text() == "HELL"
    assert (Path(found) / "m-t.txt").resolve().samefile(space.view() / "model.txt")
    scanned = scan_cache_dir(cache)
    (repo,) = scanned.repos
    assert not scanned.warnings and set(repo.refs) == {"main"} and repo.nb_files == 3
    assert json.loads(exported(space, "--to", "hf-cache", "--json").stdout)["bytes"] == {"there": 4}
    space.manifest(t={"keep": 2})
    space.sync()
    assert "at another commit" in exported(space, "--to", "hf-cache", code=1).stderr
    exported(space, "--to", "hf-cache", "--replace")
    newer = snapshot_download("local/m-t", cache_dir=cache, local_files_only=True)
    assert newer != found and (Path(newer) / "m-t.txt").read_text() == "HE"


@pytest.mark.parametrize("name", ["m", "a/b/c", "../m", "a/..", "a--b/m", "a/b ", "/m", "a/"])
def test_what_is_no_name_on_the_hub_is_none_here(name):
    with pytest.raises(UsageError, match="not a name"):
        split_name(name)


def test_a_word_that_is_no_program_is_refused(space):
    assert "`./olama`" in exported(space, "--to", "olama", code=2).stderr


def test_lm_studio_has_publisher_model_and_file(tmp_path, monkeypatch):
    store = LocalStore(tmp_path / "store")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "m-t.gguf").write_bytes(b"weights")
    (file,) = store.add_folder(tmp_path / "in").files
    packed = Package("m:t", "gguf", {"m-t.gguf": file}, {"README.md": b"card"})
    given = lmstudio.give(store, packed, tmp_path / "models", "me/m", How())
    found = {
        p.relative_to(tmp_path / "models").as_posix()
        for p in (tmp_path / "models").rglob("*")
        if p.is_file()
    }
    assert found == {"me/m/m-t.gguf", "me/m/README.md"} and given.bytes_ == {"linked": 7}
    with pytest.raises(UsageError, match="m:t is int8"):
        lmstudio.give(store, Package("m:t", "int8", {}, {}), tmp_path, "me/m", How())
    (tmp_path / "models" / "me" / "f").write_text("a file")
    with pytest.raises(StoreError, match="is a file"):
        lmstudio.give(store, packed, tmp_path / "models", "me/f", How())
    store.close()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert lmstudio.root() == tmp_path / ".lmstudio" / "models"
    (tmp_path / ".cache" / "lm-studio").mkdir(parents=True)
    assert lmstudio.root() == tmp_path / ".cache" / "lm-studio" / "models"
    (tmp_path / ".lmstudio-home-pointer").write_text(f"{tmp_path}/moved\n")
    assert lmstudio.root() == tmp_path / "moved" / "models"


def test_half_of_an_export_is_never_seen(tmp_path):
    store = LocalStore(tmp_path / "store")
    gone = File("b.bin", "0" * 64, 3)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.bin").write_bytes(b"weights")
    (file,) = store.add_folder(tmp_path / "in").files
    packed = Package("m:t", "mlx", {"a.bin": file, "b.bin": gone}, {})
    with pytest.raises(OSError):
        lmstudio.give(store, packed, tmp_path / "models", "me/m", How())
    assert list((tmp_path / "models" / "me").iterdir()) == []
    store.close()
