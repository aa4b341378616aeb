"""llama.cpp's converter as a source: from a package index, a named folder, the PATH."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from cortexbuild.core.digest import Digest
from cortexbuild.errors import IntegrityError, ToolError, UsageError
from cortexbuild.sources import find_source, toolchain
from cortexbuild.sources.toolchain import index, settings

NAME = "llama_cpp_python-9.9.9.tar.gz"
ROOT = "llama_cpp_python-9.9.9/vendor/llama.cpp"
PARTS = {
    "convert_hf_to_gguf.py": b"print('converter')",
    "conversion/__init__.py": b"",
    "gguf-py/gguf/__init__.py": b"x = 1",
    "models/templates/a.jinja": b"{{ a }}",
    "LICENSE": b"MIT",
}
OTHERS = {"ggml/src/ggml.c": b"int x;", "gguf-py/gguf/scripts/dump.py": b"", "README.md": b"# hi"}


def archive(path: Path, files: dict[str, bytes], *more: tarfile.TarInfo) -> str:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{ROOT}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in more:
            tar.addfile(member)
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Looks:
    def sums_of(self, paths: Sequence[Path]) -> Sequence[tuple[Digest, int]]:
        contents = [path.read_bytes() for path in paths]
        return [(Digest(hashlib.sha256(one).hexdigest()), len(one)) for one in contents]


class Delivery:
    def __init__(self) -> None:
        self.brought: dict[str, bytes] = {}

    def copy(self, files: Mapping[str, Path]) -> None:
        self.brought |= {path: source.read_bytes() for path, source in files.items()}


@pytest.fixture
def simple(tmp_path, monkeypatch) -> Path:
    """An index that is a folder, the only one that pip is set up for; the store is empty."""
    page = tmp_path / "simple" / "llama-cpp-python"
    page.mkdir(parents=True)
    monkeypatch.setattr(index, "pip_settings", lambda: {"index-url": f"file://{page.parent}"})
    monkeypatch.setenv("CORTEX_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CORTEX_LLAMA_CPP", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(toolchain, "version", lambda _name: "9.9.9")
    return page


def announce(page: Path, sha256: str) -> None:
    page.joinpath("index.html").write_text(f'<a href="{NAME}#sha256={sha256}">{NAME}</a>')


def pin(root: Path):
    return find_source(toolchain.ORIGIN).pin(toolchain.ORIGIN, root, Looks())


def test_the_converter_alone_comes_out_of_the_source_distribution_once(simple, tmp_path):
    announce(simple, archive(simple / NAME, PARTS | OTHERS))
    pinned = pin(tmp_path)
    assert [file.path for file in pinned.tree.files] == sorted(PARTS)
    (simple / NAME).unlink()
    assert pin(tmp_path) == pinned
    delivery = Delivery()
    toolchain.fetch(pinned, tmp_path, delivery)
    assert delivery.brought == PARTS
    (kept,) = (tmp_path / "home/build/v1/toolchains").iterdir()
    assert kept.name.startswith("llama.cpp-9.9.9-")
    assert list((tmp_path / "home/build/v1/tmp").iterdir()) == []


def test_other_bytes_than_announced_are_refused(simple, tmp_path):
    archive(simple / NAME, PARTS)
    announce(simple, "0" * 64)
    with pytest.raises(IntegrityError, match="not what the package index announces"):
        pin(tmp_path)
    assert list((tmp_path / "home/build/v1/toolchains").iterdir()) == []


def test_an_index_that_announces_no_sha256_is_not_believed(simple, tmp_path):
    archive(simple / NAME, PARTS)
    (simple / "index.html").write_text(f'<a href="{NAME}#md5=00">{NAME}</a>')
    with pytest.raises(ToolError, match="announces no sha256") as caught:
        pin(tmp_path)
    assert "CORTEX_LLAMA_CPP" in caught.value.hint


def test_links_and_paths_that_lead_out_are_left_where_they_are(simple, tmp_path):
    link = tarfile.TarInfo(f"{ROOT}/conversion/link.py")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    up = tarfile.TarInfo(f"{ROOT}/conversion/../../../../up.py")
    announce(simple, archive(simple / NAME, PARTS, link, up))
    assert [file.path for file in pin(tmp_path).tree.files] == sorted(PARTS)


def test_a_distribution_without_the_converter_is_an_error(simple, tmp_path):
    announce(simple, archive(simple / NAME, OTHERS))
    with pytest.raises(ToolError, match=r"has no conversion/__init__\.py"):
        pin(tmp_path)


def test_a_damaged_archive_is_an_error(simple, tmp_path):
    archive(simple / NAME, PARTS)
    content = (simple / NAME).read_bytes()[:-40]
    (simple / NAME).write_bytes(content)
    announce(simple, hashlib.sha256(content).hexdigest())
    with pytest.raises(IntegrityError, match="cannot be unpacked"):
        pin(tmp_path)


def test_a_named_folder_wins_and_must_be_whole(simple, tmp_path, monkeypatch):
    monkeypatch.setenv("CORTEX_LLAMA_CPP", "mine")
    with pytest.raises(ToolError, match="CORTEX_LLAMA_CPP names .*mine, which has no whole"):
        pin(tmp_path)
    write(tmp_path / "mine")
    assert [file.path for file in pin(tmp_path).tree.files] == sorted(PARTS)
    before = pin(tmp_path).tree.digest
    (tmp_path / "mine/conversion/__init__.py").write_bytes(b"changed = True")
    assert pin(tmp_path).tree.digest != before


def test_a_checkout_on_the_path_serves_where_there_is_no_index(simple, tmp_path):
    script = tmp_path / "bin" / "convert_hf_to_gguf.py"
    write(script.parent)
    with pytest.raises(ToolError, match="not to be had from a package index"):
        pin(tmp_path)  # the script cannot be run
    script.chmod(0o755)
    assert [file.path for file in pin(tmp_path).tree.files] == sorted(PARTS)
    (tmp_path / "bin/gguf-py/gguf/__init__.py").unlink()
    with pytest.raises(ToolError, match="not to be had from a package index"):
        pin(tmp_path)  # the script alone is not enough


def brew(prefix: Path) -> Path:
    """llama.cpp as its formula puts it: `cmake --install` brings the script, and links lead to it."""
    keg = prefix / "Cellar" / "llama.cpp" / "8770"
    script = keg / "bin" / "convert_hf_to_gguf.py"
    script.parent.mkdir(parents=True)
    script.write_text("import conversion")
    script.chmod(0o755)
    (prefix / "opt").mkdir()
    (prefix / "opt" / "llama.cpp").symlink_to("../Cellar/llama.cpp/8770")
    (prefix / "bin").mkdir()
    (prefix / "bin" / script.name).symlink_to(f"../Cellar/llama.cpp/8770/bin/{script.name}")
    return keg


def test_homebrew_s_script_alone_is_named_and_not_run(simple, tmp_path, monkeypatch):
    keg = brew(tmp_path / "homebrew")
    monkeypatch.setenv("PATH", str(tmp_path / "homebrew" / "bin"))
    with pytest.raises(ToolError, match="homebrew/bin/convert_hf_to_gguf.py is the script alone"):
        pin(tmp_path)
    write(keg / "bin")  # a formula that brought all of it would be taken, through the link
    assert [file.path for file in pin(tmp_path).tree.files] == sorted(PARTS)


def test_homebrew_s_folder_named_says_what_it_lacks(simple, tmp_path, monkeypatch):
    brew(tmp_path / "homebrew")
    monkeypatch.setenv("CORTEX_LLAMA_CPP", str(tmp_path / "homebrew" / "opt" / "llama.cpp"))
    with pytest.raises(ToolError, match="no whole converter: .*as Homebrew installs it"):
        pin(tmp_path)


def write(folder: Path) -> None:
    for path, content in (PARTS | OTHERS).items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def test_without_the_library_one_is_told_how_to_get_it(simple, tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.delenv("CORTEX_LLAMA_CPP", raising=False)
    monkeypatch.setattr(toolchain, "PACKAGE", "no-such-package")
    with pytest.raises(ToolError) as caught:
        pin(tmp_path)
    assert str(caught.value) == "no-such-package is not installed"
    assert caught.value.hint == "pip install 'cortexbuild[gguf]'"


def test_there_is_one_toolchain(tmp_path):
    with pytest.raises(UsageError, match="no `toolchain:gcc`"):
        toolchain.pin("toolchain:gcc", tmp_path, Looks())


def test_settings_are_those_of_pip_here(monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "https://mine/simple")
    assert settings.pip_settings()["index-url"] == "https://mine/simple"
    monkeypatch.setattr(settings.sys, "executable", "/bin/false")  # an environment without pip
    assert settings.pip_settings()["index-url"] == "https://mine/simple"


def test_settings_are_merged_as_pip_does():
    lines = [
        "global.index-url='https://a/simple'",
        "download.index-url='https://b/simple'",
        "install.index-url='https://c/simple'",
        ":env:.extra-index-url='https://d https://e'",
        ":env:.no-index='false'",
    ]
    found = settings.merged(lines)
    assert found == {"index-url": "https://b/simple", "extra-index-url": "https://d https://e"}
    assert index.Index(found).urls == ["https://b/simple", "https://d", "https://e"]
    assert index.Index({}).urls == ["https://pypi.org/simple"]
    with pytest.raises(ToolError, match="pip is set up to use none"):
        index.Index({"no-index": "1"}).find_archive("llama-cpp-python", "1")


def test_a_page_in_json_is_read_too():
    file = {"filename": NAME, "url": "https://files/x.tar.gz", "hashes": {"sha256": "ab"}}
    found = list(index._json(json.dumps({"files": [file]}).encode()))
    assert found == [index.Archive(NAME, "https://files/x.tar.gz", "ab")]


def test_a_password_is_for_its_own_host_and_never_shown():
    page = "https://me:pa%40ss@packages.example/simple/x/"
    assert index._with_login("https://packages.example/f.gz", "me:p", page).startswith(
        "https://me:p@packages"
    )
    assert index._with_login("https://elsewhere/f.gz", "me:p", page) == "https://elsewhere/f.gz"
    bare, login = index._split_login(page)
    assert "@" not in bare and login == "bWU6cGFAc3M="
    with pytest.raises(ToolError, match="http://packages.example/simple: ") as caught:
        index.Index({"index-url": "http://me:canary@packages.example/simple"}).find_archive(
            "x", "1"
        )
    assert "canary" not in str(caught.value)


def test_what_will_be_run_does_not_come_over_plain_http():
    with pytest.raises(OSError, match="is not https"):
        index.Index({}).open("http://packages.example/simple/")
