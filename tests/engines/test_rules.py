"""The rules that cortexbuild keeps of Cortex, each under its number, on the real small model.

S1, S3, S16 and others of the store are also in tests/app; S9 to S12 are in tests/formats.
"""

from __future__ import annotations

import json
import os
import shutil

import pytest
from engines.compare import tensors
from engines.running import ENGINES, MODEL, run_after
from hub import Hub
from workspace import FEW, ROOT

from cortexbuild.formats.safetensors.header import read_header, write_header

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("engine")]

GUARD = ROOT / "tests" / "guard"


def manifest(space, source, **targets):
    rows = [
        f"      {name}: {{recipe: {recipe}, set: {json.dumps(settings)}}}"
        for name, (recipe, settings) in targets.items()
    ]
    text = f"schema: 1\n{FEW}models:\n  m:\n    source: path:{source}\n    targets:\n"
    space.write("cortex.yaml", text + "\n".join(rows) + "\n")


def changed_copy(folder):
    """The example model with one weight changed."""
    shutil.copytree(MODEL, folder)
    path = folder / "model.safetensors"
    info = read_header(path).tensors["model.layers.0.mlp.down_proj.weight"]
    content = bytearray(path.read_bytes())
    content[info.start : info.start + 2] = b"\x80\x3f"  # 1.0 in bfloat16
    path.write_bytes(content)
    return folder


def in_shards(folder):
    """The example model in two files with an index."""
    shutil.copytree(MODEL, folder)
    path = folder / "model.safetensors"
    header, content = read_header(path), path.read_bytes()
    path.unlink()
    names = sorted(header.tensors)
    parts = {
        "model-00001-of-00002.safetensors": names[:20],
        "model-00002-of-00002.safetensors": names[20:],
    }
    for file, chosen in parts.items():
        infos = [header.tensors[name] for name in chosen]
        start = write_header([(i.name, i.dtype, i.shape) for i in infos], {"format": "pt"})
        (folder / file).write_bytes(start + b"".join(content[i.start : i.end] for i in infos))
    index = {
        "metadata": {},
        "weight_map": {n: file for file, chosen in parts.items() for n in chosen},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def test_s1_a_changed_source_is_built_again_and_s2_two_folders_of_one_name_are_two(models):
    first = changed_copy(models.root / "a" / "model")
    manifest(models, MODEL, t=("mlx-4bit", {}))
    models.sync()
    before = tensors(models.home / "mlx_models" / "m--t")
    manifest(models, first, t=("mlx-4bit", {}))
    assert "m:t/quantize" in models.steps()
    after = tensors(models.home / "mlx_models" / "m--t")
    assert {n for n in before if before[n] != after[n]} == {
        f"model.layers.0.mlp.down_proj.{part}" for part in ("weight", "scales", "biases")
    }
    shutil.copytree(MODEL, models.root / "b" / "model")
    models.write(
        "cortex.yaml",
        f"schema: 1\n{FEW}models:\n"
        + "".join(
            f"  {name}:\n    source: path:{name}/model\n    targets:\n"
            "      t: {recipe: mlx-4bit}\n"
            for name in "ab"
        ),
    )
    models.sync()
    views = [models.home / "mlx_models" / f"{name}--t" for name in "ab"]
    assert tensors(views[0]) == after and tensors(views[1]) == before


def test_s4_a_mixed_recipe_works_and_s5_a_quantized_source_is_not_quantized_again(models):
    manifest(models, MODEL, mixed=("mlx-mixed-3-6", {}))
    models.sync()
    view = models.home / "mlx_models" / "m--mixed"
    config = json.loads((view / "config.json").read_text())
    bits = {v["bits"] for v in config["quantization"].values() if isinstance(v, dict)}
    assert bits == {3, 6}
    manifest(models, view, t=("mlx-8bit", {}))
    assert "quantized already" in models.run("sync", code=2).stderr


def test_s7_gguf_works_as_it_comes(models):
    manifest(models, MODEL, t=("gguf-q4_k_m", {}))
    models.sync()
    view = models.home / "gguf_models" / "m--t.gguf"
    assert view.read_bytes()[:4] == b"GGUF"
    said = models.run("generate", "m:t", "import os", "--max-tokens", "8").stdout
    assert "import" in said
    info = json.loads(models.run("info", "m:t", "--json").stdout)
    assert info["quantization"] == "Q4_K_M" and info["parameters"] == 5770496
    cache, overhead = 1024 * 6 * 2 * 2 * 64 * 2, 512 << 20
    assert info["memory"] == {"bytes": view.stat().st_size + cache + overhead, "context": 1024}


def test_a_gguf_in_16_bits_is_a_source_for_other_ggufs(models):
    """Its vocabulary is written back as SentencePiece's, which llama.cpp's converter reads."""
    manifest(models, MODEL, t=("gguf-f16", {}), direct=("gguf-q8_0", {}))
    models.sync()
    first = models.home / "gguf_models" / "m--t.gguf"
    manifest(models, first, again=("gguf-q8_0", {}), mlx=("mlx-bf16", {}))
    report = json.loads(models.run("plan", "--json").stdout)
    assert [target["note"] for target in report["targets"]] == [None, None]
    assert all(target["ok"] for target in models.report()["targets"])
    made = (models.home / "gguf_models" / f"m--{name}.gguf" for name in ("direct", "again"))
    direct, again = (gguf_weights(path) for path in made)
    assert direct == again and len(direct) > 40


def gguf_weights(path):
    import gguf

    return {t.name: (t.tensor_type, t.data.tobytes()) for t in gguf.GGUFReader(path).tensors}


def test_the_same_model_from_the_hub_is_a_hit_and_its_weights_stay_there(models):
    """Keys name contents, so it does not matter where they would have come from."""
    content = {path.name: path.read_bytes() for path in MODEL.iterdir() if path.is_file()}
    with Hub() as hub:
        hub.commit("org/stdlib-llama", content)
        models.inside = False  # the client reads its settings when it is imported
        models.env |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(models.root / "hf")}
        models.write(
            "cortex.yaml",
            f"schema: 1\nevaluation: path:{MODEL.parents[1] / 'data' / 'heldout-stdlib.txt'}\n"
            "models:\n  hub: {source: hf:org/stdlib-llama, targets: [mlx-4bit, mlx-bf16]}\n",
        )
        assert models.steps() == []
        sent = sum(request.sent for request in hub.log)
    assert sent < len(content["model.safetensors"]) / 4
    view = models.home / "mlx_models" / "hub--mlx-4bit"
    assert tensors(view) == tensors(models.home / "mlx_models" / "stdlib-llama--mlx-4bit")


def test_s8_one_file_or_several_make_no_difference(models):
    manifest(models, MODEL, t=("mlx-4bit", {}))
    models.sync()
    before = models.report()["targets"][0]["digest"]
    plan = json.loads(models.run("plan", "--json").stdout)
    manifest(models, in_shards(models.root / "shards"), t=("mlx-4bit", {}))
    planned = json.loads(models.run("plan", "--json").stdout)
    assert [s["id"] for s in plan["steps"]] == [s["id"] for s in planned["steps"]]
    assert set(models.steps()) == {"m/fetch", "m/detect", "m/reference", "m:t/quantize"}
    assert models.report()["targets"][0]["digest"] == before


def test_s13_int4_is_smaller_than_int8_and_both_run(models):
    manifest(models, MODEL, int8=("int8", {}), int4=("int4", {}))
    models.sync()
    folder = models.home / "quantized_models"
    sizes = {name: packed_bytes(folder / f"m--{name}") for name in ("int8", "int4")}
    assert sizes["int4"] < 0.65 * sizes["int8"]
    calls = [["generate", f"m:{name}", "import os", "--max-tokens", "6"] for name in sizes]
    assert all(said.strip() for said in models.outputs(calls))


def packed_bytes(folder):
    """The bytes of the layers that were quantized: the embedding stays in 16 bits in both."""
    found = tensors(folder)
    return sum(len(content) for name, (_, _, content) in found.items() if "proj" in name)


def test_s18_a_rebuild_from_the_store_makes_no_network_call(shipped):
    guarded = {"PYTHONPATH": f"{GUARD}{os.pathsep}{ROOT / 'tests' / 'plugin'}"}
    space = type(shipped)(shipped.root, shipped.home, guarded)
    probe = "import socket; socket.create_connection(('127.0.0.1', 9))"
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-c", probe], env=space.environment(), capture_output=True, text=True
    )
    assert "a network call" in done.stderr, "the guard does not guard"
    space.run("sync")
    for blob in (shipped.store / "cas").rglob("*"):
        if blob.is_file() and blob.stat().st_size > 3_000_000:
            blob.unlink()
    assert "stdlib-llama:mlx-4bit/quantize" in space.steps()
    assert space.run("generate", "stdlib-llama:mlx-8bit", "import os", "--max-tokens", "4").stdout


SOURCES = """
import json, shutil, sys, torch
from pathlib import Path
sys.path[:0] = [sys.argv[1], str(Path(sys.argv[1]).parent)]
import packed
from safetensors.torch import load_file, save_file
work = Path(sys.argv[2])
for method in ("gptq", "awq"):
    packed.write_packed(work / method, packed.MODEL, method, group=64)
shutil.copytree(packed.MODEL, work / "pickled")
weights = load_file(work / "pickled" / "model.safetensors")
names = sorted(weights)
parts = {"pytorch_model-00001-of-00002.bin": names[:20],
         "pytorch_model-00002-of-00002.bin": names[20:]}
for file, chosen in parts.items():
    torch.save({name: weights[name] for name in chosen}, work / "pickled" / file)
(work / "pickled" / "model.safetensors").unlink()
table = {name: file for file, chosen in parts.items() for name in chosen}
index = work / "pickled" / "pytorch_model.bin.index.json"
index.write_text(json.dumps({"metadata": {}, "weight_map": table}))
print("null")
"""


def test_gptq_awq_and_pytorch_checkpoints_are_sources_of_a_sync(models, shipped):
    run_after(ENGINES, SOURCES, ROOT / "tests" / "engines", models.root)
    rows = [
        f"  {name}:\n    source: path:{name}\n    targets:\n"
        + "".join(f"      {t}: {{recipe: {t}}}\n" for t in targets)
        for name, targets in {
            "gptq": ["mlx-4bit", "safetensors"],
            "awq": ["mlx-4bit", "gguf-f16"],
            "pickled": ["mlx-4bit"],
        }.items()
    ]
    models.write("cortex.yaml", f"schema: 1\n{FEW}models:\n" + "".join(rows))
    report = json.loads(models.run("plan", "--json").stdout)
    notes = {target["target"]: target["note"] or "" for target in report["targets"]}
    assert notes["gptq:mlx-4bit"].startswith("lossless") and "repacked" in notes["awq:mlx-4bit"]
    assert "with the loss of the source's quantization" in notes["gptq:safetensors"]
    chosen = ["gptq:mlx-4bit", "awq:gguf-f16", "pickled:mlx-4bit"]
    assert [target["ok"] for target in models.report(*chosen)["targets"]] == [True] * 3
    # What was pickled is the very model, so its 4-bit target has the same weights.
    ours = tensors(models.home / "mlx_models" / "pickled--mlx-4bit")
    assert ours == tensors(models.home / "mlx_models" / "stdlib-llama--mlx-4bit")
    calls = [["generate", target, "import os", "--max-tokens", "4"] for target in chosen]
    assert all(said.strip() for said in models.outputs(calls))


GREEDY = """
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
said = []
for prompt in json.loads(sys.argv[2]):
    ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
    made = model.generate(ids, max_new_tokens=24, do_sample=False)[0]
    before, after = (tokenizer.decode(t, skip_special_tokens=True) for t in (ids[0], made))
    said.append(after[len(before):])
print(json.dumps(said))
"""


def test_greedy_text_of_the_16_bit_targets_agrees(models):
    # Prompts without a tie: sums in bfloat16 differ by engine, and now and then so does a word.
    prompts = ["def main(argv):\n    ", "class Reader:\n", "for line in "]
    manifest(models, MODEL, mlx=("mlx-bf16", {}), gguf=("gguf-bf16", {}), hf=("safetensors", {}))
    models.sync()
    expected = run_after(ENGINES, GREEDY, MODEL, json.dumps(prompts))
    said = models.outputs(
        [
            ["generate", f"m:{target}", prompt, "--max-tokens", "24"]
            for target in ("mlx", "gguf", "hf")
            for prompt in prompts
        ]
    )
    assert [text.rstrip("\n") for text in said] == 3 * [text.rstrip("\n") for text in expected]
