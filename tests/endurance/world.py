"""Two projects on one home, a second machine, and a folder that they share: the places, what is
in them, and what each target must come to. The last is worked out here from nothing but a text and
a number, and not asked of cortexbuild.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workspace import RECIPE, tiny_safetensors

TEXTS = ("hello world", "jello world", "a longer text, of another size")
KEEPS = (1, 4, 11)  # the last is all of two texts: a target with the bytes of its intermediate
FAILS = 0
"""In the place of a number: the step fails."""
MEASURES = b'{"nonfinite_logits": 0}'
SECRET = "long-use:secret:" + "A" * 43 + "="
WEIGHTS = tiny_safetensors()


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def config(text: str) -> bytes:
    return json.dumps({"text": text}).encode()


def joined(text: str) -> bytes:
    return text.upper().encode()


def result(text: str, keep: int) -> bytes:
    """What a target of that text and number must be."""
    return joined(text)[:keep]


@dataclass
class Project:
    """A folder with a model, its home, and the numbers of its targets."""

    root: Path
    home: Path
    model: str
    text: str = TEXTS[0]
    targets: dict[str, int] = field(default_factory=lambda: {"t0": 4})

    def write_source(self, text: str, how: str = "anew") -> None:
        """`quietly` leaves the time as it was, `renamed` brings another file to its place."""
        path = self.root / "weights" / "config.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "model.safetensors").write_bytes(WEIGHTS)
        before = path.stat() if path.exists() else None
        if how == "renamed":
            draft = self.root / "weights.new"
            draft.write_bytes(config(text))
            draft.replace(path)
        else:
            path.write_bytes(config(text))
        if how == "quietly" and before is not None:
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        self.text = text

    def write_manifest(self, remote: Path, public: str) -> None:
        rows = [f"      {name}: {{recipe: short, set: {_settings(keep)}}}"
                for name, keep in sorted(self.targets.items())]  # fmt: skip
        lines = [
            "schema: 1", "models:", f"  {self.model}:", "    source: path:weights",
            "    targets:", *rows,
            f'cache: {{remotes: ["file://{remote}"]}}',
            f'trust: ["{public}"]', "",
        ]  # fmt: skip
        (self.root / "recipes").mkdir(parents=True, exist_ok=True)
        (self.root / "recipes" / "short.yaml").write_text(RECIPE)
        (self.root / "cortex.yaml").write_text("\n".join(lines))

    def good_targets(self) -> list[str]:
        return sorted(name for name, keep in self.targets.items() if keep != FAILS)

    def view(self, target: str) -> Path:
        return self.home / "quantized_models" / f"{self.model}--{target}"

    def shown(self, target: str) -> Mapping[str, bytes] | None:
        """What a view shows: contents by name. None if there is no view."""
        view = self.view(target)
        if not os.path.lexists(view):
            return None
        return {path.name: path.read_bytes() for path in view.iterdir()} if view.exists() else {}


class World:
    def __init__(self, base: Path) -> None:
        from cortexbuild.remotes.keys import public_text
        from cortexbuild.remotes.signing import SigningKey

        self.base, self.remote = base, base / "shared"
        self.homes = [base / "home", base / "away"]
        self.public = public_text(SigningKey("long-use", b"\0" * 32))
        self.env = {"CORTEX_SIGNING_KEY": SECRET}
        self.projects = {
            "a": Project(base / "a", self.homes[0], "m"),
            "b": Project(base / "b", self.homes[0], "o"),
            "c": Project(base / "c", self.homes[1], "m"),
        }
        self.remote.mkdir()
        for home in self.homes:
            for path in ("mlx_models/mine/model.safetensors", "quantized_models/mine/config.json",
                         "conversion_cache.json"):  # fmt: skip
                (home / path).parent.mkdir(parents=True, exist_ok=True)
                (home / path).write_text(f"of Cortex itself, {path}")
        for project in self.projects.values():
            project.write_source(project.text)
            self.write_manifest(project)
        self._strange = dict(self._neighbours())

    def write_manifest(self, project: Project) -> None:
        project.write_manifest(self.remote, self.public)

    def copy_checkout(self, source: Project, to: Project) -> None:
        """As `git pull` on another machine does: all that is committed."""
        for name in ("weights", "recipes"):
            shutil.rmtree(to.root / name, ignore_errors=True)
            shutil.copytree(source.root / name, to.root / name)
        for name in ("cortex.yaml", "cortex.lock"):
            if (source.root / name).exists():
                shutil.copy(source.root / name, to.root / name)
        to.text, to.targets = source.text, dict(source.targets)

    def check_neighbours(self) -> None:
        """What is not ours is as it was, and nothing came to stand beside it."""
        assert dict(self._neighbours()) == self._strange, "what is not ours has changed"
        expected = {"home", "away", "shared", "a", "b", "c"}
        assert {path.name for path in self.base.iterdir()} - expected <= {"bundle.tar"}
        for project in self.projects.values():
            ours = {".cortex", "weights", "recipes", "cortex.yaml", "cortex.lock"}
            assert {path.name for path in project.root.iterdir()} <= ours | {
                path.name for path in project.root.glob(".cortex.lock.*")
            }, project.root
        for home in self.homes:
            assert {p.name for p in home.iterdir()} <= {
                "build", "mlx_models", "quantized_models", "conversion_cache.json"
            }  # fmt: skip

    def _neighbours(self) -> Iterator[tuple[Path, bytes]]:
        for home in self.homes:
            yield home, (home / "conversion_cache.json").read_bytes()
            for path in sorted(home.glob("*_models/mine/*")):
                yield path, path.read_bytes()


class Truth:
    """What is true of any record and content, for all the texts and numbers there can be."""

    def __init__(self) -> None:
        self.texts = {sha(config(text)): text for text in TEXTS}
        self.joined = {sha(joined(text)): text for text in TEXTS}
        self._facts: dict[str, object] = {}

    def tree_of(self, ingredients: Mapping[str, Any]) -> list[list[object]] | None:
        """What a step of these ingredients makes; None where that is not known in advance."""
        kind, inputs = ingredients["kind"], ingredients["inputs"]
        if kind == "convert":
            return files({"model.txt": joined(self.texts[inputs["model"]["config.json"]])})
        if kind == "quantize":
            text = self.joined[inputs["model"]["model.txt"]]
            return files({"model.txt": result(text, ingredients["params"]["keep"])})
        if kind == "validate":
            return files({"measures.json": MEASURES})
        return None

    def check(self, record: Mapping[str, Any]) -> None:
        ingredients = record["ingredients"]
        if ingredients["kind"] == "fetch":
            assert {path: digest for path, digest, _ in record["tree"]} == ingredients["tree"]
        elif ingredients["kind"] == "detect":
            assert [path for path, *_ in record["tree"]] == ["facts.json"]
            first = self._facts.setdefault(record["key"], record["tree"])
            assert first == record["tree"], "the same facts, whoever looks"
        else:
            assert record["tree"] == self.tree_of(ingredients), record["label"]


def files(contents: Mapping[str, bytes]) -> list[list[object]]:
    return [[name, sha(content), len(content)] for name, content in sorted(contents.items())]


def _settings(keep: int) -> str:
    return '{"fail": "raise"}' if keep == FAILS else f'{{"keep": {keep}}}'
