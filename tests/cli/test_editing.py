"""`add` and `remove`: the manifest and the lock change together, or not at all."""

from __future__ import annotations

import json

import pytest
from hub import Hub
from workspace import tiny_safetensors

from cortexbuild.cli import drafts
from cortexbuild.cli.adding import origin_of, recipe_for
from cortexbuild.cli.hardware import Hardware, usual_recipes
from cortexbuild.cli.recipes import Recipes
from cortexbuild.cli.wire import toolbox
from cortexbuild.core.lock import NO_FILES, Pinned
from cortexbuild.core.naming import name_of
from cortexbuild.errors import UsageError

MINE = """\
# ours: keep it short
schema: 1
models:
  m: # the first
    source:   "path:weights"
    targets: {t: {recipe: short}}   # one
  # more to come
"""


def test_add_writes_an_entry_and_its_lock_and_remove_takes_both_away(space):
    space.write("cortex.yaml", MINE)
    space.run("lock")
    lock = (space.root / "cortex.lock").read_text()
    space.write("More Weights/config.json", '{"text": "more"}')
    space.write("More Weights/model.safetensors", tiny_safetensors())
    done = space.run("add", "More Weights", "--target", "short")
    entry = "  more-weights:\n    source: path:More Weights\n    targets: [short]\n"
    assert (space.root / "cortex.yaml").read_text() == MINE + entry
    assert "path:More Weights" in (space.root / "cortex.lock").read_text()
    assert done.stdout.splitlines()[0] == "more-weights  path:More Weights"
    assert "2 files" in done.stdout and "licence: unknown" in done.stdout
    assert "`cortexbuild sync` writes about" in done.stderr
    space.sync("more-weights")
    view = space.view("more-weights--short")
    assert "stays until `cortexbuild sync --prune`" in space.run("remove", "more-weights").stderr
    assert (space.root / "cortex.yaml").read_text() == MINE
    assert (space.root / "cortex.lock").read_text() == lock
    assert view.exists()
    space.run("sync", "--prune")
    assert not view.exists()


def test_a_target_is_added_to_a_model_and_removed(space):
    space.write("cortex.yaml", MINE)
    space.run("add", "m:short")
    with_target = MINE.replace("short}}", "short}, short: {recipe: short}}")
    assert (space.root / "cortex.yaml").read_text() == with_target
    assert "already" in space.run("add", "m:short", code=2).stderr
    assert json.loads(space.run("remove", "m:t", "--json").stdout)["removed"] == ["m:t"]
    said = space.run("remove", "m:short", code=2).stderr
    assert "the only target of `m`" in said and "`cortexbuild remove m`" in said
    listed = MINE.replace("{t: {recipe: short}}", "[short]")
    space.write("cortex.yaml", listed)
    space.write("recipes/long.yaml", (space.root / "recipes/short.yaml").read_text())
    space.run("add", "m:long")
    assert "[short, long]   # one" in (space.root / "cortex.yaml").read_text()
    space.run("remove", "m:long")
    assert (space.root / "cortex.yaml").read_text() == listed


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (["weights", "--as", "m"], "cortex.yaml:4:3: there is a model `m` already", "--as NAME"),
        (["org/name"], "`org/name` is no source", "on the Hub it would be `hf:org/name`"),
        (["n:short"], "no model `n`", "it has m:t"),
        (["weights", "--target", "shrt"], "no recipe `shrt`", "did you mean `short`?"),
        (["path:nowhere", "--target", "short"], "nowhere does not exist", "relative to"),
        (["weights", "--revision", "v1"], "`--revision` cannot be said", "of the Hub"),
        (["weights", "--as", "a b", "--target", "short"], "a name is letters", ""),
        (["m:short", "--as", "x"], "are of a source", ""),
    ],
)
def test_what_cannot_be_added_changes_nothing(space, words, said, hint):
    space.write("cortex.yaml", MINE)
    space.run("lock")
    lock = (space.root / "cortex.lock").read_bytes()
    error = space.run("add", *words, code=2).stderr
    assert said in error and hint in error
    assert (space.root / "cortex.yaml").read_text() == MINE
    assert (space.root / "cortex.lock").read_bytes() == lock


def test_a_lock_that_cannot_be_written_leaves_the_manifest_as_it_was(space):
    manifest = space.write("cortex.yaml", MINE)
    manifest.chmod(0o640)

    def fail() -> None:
        assert manifest.read_bytes() == b"new"
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        drafts.keep_draft(manifest, MINE.encode(), b"new", fail)
    assert manifest.read_text() == MINE
    assert manifest.stat().st_mode & 0o777 == 0o640
    with pytest.raises(UsageError, match="changed while"):
        drafts.keep_draft(manifest, b"older", b"new")
    assert manifest.read_text() == MINE


def test_a_manifest_that_is_a_link_stays_one(space):
    real = space.write("dotfiles/cortex.yaml", "schema: 1\nmodels: {}\n")
    (space.root / "cortex.yaml").unlink()
    (space.root / "cortex.yaml").symlink_to(real)
    space.run("add", "weights", "--target", "short", "--no-lock")
    assert (space.root / "cortex.yaml").is_symlink() and "weights:" in real.read_text()
    assert not (space.root / "cortex.lock").exists()
    assert list(real.parent.iterdir()) == [real]


def test_without_a_model_a_sync_has_nothing_to_do_and_says_what_to_do(space):
    space.write("cortex.yaml", "schema: 1\nmodels: {}\n")
    said = space.run("sync").stderr
    assert "has no models yet; `cortexbuild add hf:org/name` adds one" in said
    assert "0 targets: nothing to do" in said


def test_a_repository_is_added_by_its_page_and_pinned_without_its_weights(space):
    with Hub() as hub:
        files = {"config.json": b'{"text": "hi"}', "model.safetensors": tiny_safetensors()}
        commit = hub.commit("acme/Tiny-Model", files)
        hub.tag("acme/Tiny-Model", "v1", commit)
        space.inside = False  # huggingface-hub reads its variables when it is imported
        space.env |= {"HF_ENDPOINT": hub.url, "HOME": str(space.home), "NO_PROXY": "127.0.0.1"}
        page = "https://huggingface.co/acme/Tiny-Model/tree/v1"
        found = json.loads(space.run("add", page, "--target", "short", "--json").stdout)
        weights = sum(request.sent for request in hub.log if "cdn" in request.path)
        lock = (space.root / "cortex.lock").read_text()
        space.run("lock", "--upgrade")
        assert (space.root / "cortex.lock").read_text() == lock
    assert found["model"] == "tiny-model" and found["source"] == "hf:acme/Tiny-Model@v1"
    assert found["commit"] == commit and found["files"] == 2 and found["writes"] > 0
    assert commit in (space.root / "cortex.lock").read_text()
    assert "source: hf:acme/Tiny-Model@v1" in (space.root / "cortex.yaml").read_text()
    assert 0 < weights <= len(files["model.safetensors"])  # of which there is little but headers
    assert not list((space.store / "cas").rglob("??/*"))


@pytest.mark.parametrize(
    ("origin", "name"),
    [
        ("hf:Qwen/Qwen2.5-7B-Instruct", "qwen2.5-7b-instruct"),
        ("hf:a/Model@refs/pr/3", "model"),
        ("hf:a/Model-GGUF@main/sub/Model.Q4_K_M-00001-of-00002.gguf", "model.q4_k_m"),
        ("hf:a/M/x.gguf", "x"),
        ("https://h.example/d/My%20Model.gguf#sha256=00", "my-20model"),
        ("path:../models/My Model/", "my-model"),
        ("path:--", "model"),
        ("path:taken", "taken-2"),
    ],
)
def test_a_model_is_named_after_its_source(origin, name):
    assert name_of(origin, {"taken"}) == name


@pytest.mark.parametrize(
    ("said", "revision", "origin"),
    [
        ("hf:a/b", "v2", "hf:a/b@v2"),
        ("hf:a/b/x.gguf", "v2", "hf:a/b@v2/x.gguf"),
        ("https://huggingface.co/a/b", "", "hf:a/b"),
        ("https://hf.co/a/b/resolve/main/d/x.gguf?download=true", "", "hf:a/b@main/d/x.gguf"),
        ("https://h.example/x.gguf#sha256=00", "", "https://h.example/x.gguf#sha256=00"),
    ],
)
def test_a_source_may_be_said_as_people_have_it(tmp_path, said, revision, origin):
    assert origin_of(said, tmp_path, revision) == origin


def machine(accelerator="none", *engines):
    return Hardware("", 0, accelerator, engines)


def test_the_first_recipe_is_that_of_an_engine_that_is_here():
    assert usual_recipes(machine("Metal", "mlx", "gguf"))[0] == "mlx-4bit"
    assert usual_recipes(machine("Metal", "gguf"))[0] == "gguf-q4_k_m"
    assert usual_recipes(machine("Metal"))[0] == "mlx-4bit"
    assert usual_recipes(machine("CUDA", "mlx", "gguf"))[0] == "gguf-q4_k_m"
    assert usual_recipes(machine("none", "torch"))[0] == "int8"
    assert usual_recipes(machine())[0] == "gguf-q4_k_m"


@pytest.mark.parametrize(
    ("facts", "first", "recipe"),
    [
        ({"format": "safetensors", "architecture": "llama"}, "mlx-4bit", "mlx-4bit"),
        ({"format": "gguf", "quantization": "Q6_K"}, "mlx-4bit", "gguf-q6_k"),
        ({"format": "gguf", "quantization": "Q4_0"}, "mlx-4bit", "mlx-4bit"),
        ({"format": "mlx", "method": {"method": "mlx", "bits": 8}}, "gguf-q4_k_m", "mlx-8bit"),
        ({"format": "gguf", "quantization": "IQ2_XXS"}, "mlx-4bit", None),
    ],
)
def test_what_is_quantized_already_is_kept_as_it_is(tmp_path, facts, first, recipe):
    recipes, usual = Recipes(tmp_path), [first, *({"mlx-4bit", "gguf-q4_k_m"} - {first})]
    pinned = Pinned("path:x", NO_FILES, facts)
    if recipe is None:
        with pytest.raises(UsageError, match=r"^the source is quantized already \(gguf-iq2_xxs"):
            recipe_for(pinned, recipes, usual, toolbox())
    else:
        assert recipe_for(pinned, recipes, usual, toolbox()) == recipe
