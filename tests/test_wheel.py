"""The wheel: the same bytes wherever it is built, and all that is needed to work without a checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from workspace import PLUGIN, ROOT, Workspace

PARTS = (
    "cortexbuild",
    "recipes",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    ".gitignore",
)


def build(folder: Path, umask: int, touched: float) -> Path:
    """A wheel from a copy of the checkout, made with another umask and other times."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            folder.mkdir(exist_ok=True)
            shutil.copy(source, folder / part)
    for path in folder.rglob("*"):
        path.chmod(0o777 & ~umask if path.is_dir() else 0o666 & ~umask)
        os.utime(path, (touched, touched))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"], cwd=folder,
        env={**environment, "SOURCE_DATE_EPOCH": "1800000000"}, check=True, capture_output=True,
        preexec_fn=lambda: os.umask(umask),
    )  # fmt: skip
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("wheel") / "a", 0o022, 1_000_000_000)


def test_the_same_commit_gives_the_same_bytes(wheel, tmp_path):
    other = build(tmp_path / "b", 0o077, 1_700_000_000)
    assert other.name == wheel.name and other.read_bytes() == wheel.read_bytes()


def test_it_has_every_file_of_the_package_and_the_recipes_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = [p for p in (ROOT / "cortexbuild").rglob("*") if p.is_file()]
    here = {p.relative_to(ROOT).as_posix() for p in package if "__pycache__" not in p.parts}
    recipes = {f"cortexbuild/_recipes/{p.name}" for p in (ROOT / "recipes").iterdir()}
    assert names == here | recipes
    assert {Path(name).suffix for name in names} == {
        ".py",
        ".txt",
        ".js",
        ".css",
        ".html",
        ".typed",
        ".yaml",
    }


def test_it_works_where_no_checkout_is(wheel, tmp_path, space):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    project = Workspace(
        space.root, space.home, {"PYTHONPATH": os.pathsep.join([str(site), str(PLUGIN)])}
    )
    code = "import cortexbuild; print(cortexbuild.__file__)"
    said = subprocess.run(
        [sys.executable, "-P", "-c", code], env=project.environment(), cwd=space.root,
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert said.startswith(str(site))
    found = project.report()
    assert found["summary"]["failed"] == 0 and found["summary"]["built"] == 5
    outputs = project.outputs([["recipes"], ["schema"], ["report"], ["report", "--sbom"]])
    assert "gguf-q4_k_m" in outputs[0] and json.loads(outputs[1])["title"]
    assert "<html" in (space.root / "report.html").read_text()
