"""Fitting the example model into budgets: never over, all of it used, and better with more."""

from __future__ import annotations

import json

import pytest
from engines.running import ENGINES, MODEL, run_after
from workspace import FEW

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("engine")]

COMMON = """
import contextlib, io, json, shutil, sys
from pathlib import Path
import packed
from packed import nothing
from cortexbuild.testing import plain_run
from cortexbuild.errors import ToolError
from cortexbuild.quality.sensitivity import NAME, read_sensitivity
from cortexbuild.tools import curvature, mlx, mlx_fit, mlx_sensitivity
import numpy as np
from safetensors.torch import load_file, save_file
work = Path(sys.argv[2])

def folder(name):
    path = work / name
    path.mkdir(parents=True, exist_ok=True)
    return path

# The first layer of the example model: all kinds of its matrices, in a sixth of the time.
source = work / "source"
shutil.copytree(sys.argv[1], source)
weights = load_file(source / "model.safetensors")
weights = {k: v for k, v in weights.items() if not k.startswith(tuple(
    f"model.layers.{n}." for n in range(1, 6)))}
save_file(weights, source / "model.safetensors", {"format": "pt"})
config = json.loads((source / "config.json").read_text()) | {"num_hidden_layers": 1}
(source / "config.json").write_text(json.dumps(config))
WEIGHTS = sum(value.numel() for value in weights.values())

def prepare(tokens=512):
    text = packed.MODEL.parents[2] / "cortexbuild" / "quality" / "calibration.txt"
    shutil.copy(text, folder("calibration"))
    inputs = {"model": source, "calibration": work / "calibration"}
    params = curvature.CurvatureParams(tokens=tokens)
    curvature.measure(plain_run(inputs, folder("curvature")), params)

def sensitivity(tool, model):
    inputs = {"model": work / model, "curvature": work / "curvature"}
    tool.measure(plain_run(inputs, folder("sensitivity")), tool.SensitivityParams())
    return read_sensitivity((work / "sensitivity" / NAME).read_text())

def fit_mlx(name, **how):
    inputs = {"model": work / "mlx", "calibration": work / "calibration",
              "curvature": work / "curvature", "mlx-sensitivity": work / "sensitivity"}
    params = mlx_fit.MlxFitParams(tokens=256, window=256, **how)
    mlx_fit.fit(plain_run(inputs, folder(name)), params)
    return work / name

import torch
from transformers import AutoModelForCausalLM, logging
logging.set_verbosity_error()
torch.set_num_threads(2)
reference = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
tokens = torch.tensor(packed.transformers_tokens(source)(packed.TEXT)[:512]).reshape(-1, 512)

def scores(weights=None):
    with torch.inference_mode():
        for name, value in reference.named_parameters() if weights else ():
            value.copy_(torch.tensor(weights[name]))
        return reference(tokens).logits.numpy()

exact = scores()
"""

MLX = (
    COMMON
    + """
import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.utils import load_model, dequantize_model
prepare()
mlx.convert(plain_run({"model": source}, folder("mlx")), mlx.ConvertParams())

def weights_of(built):
    model, _ = load_model(built)
    model.apply(lambda x: x.astype(mx.float32) if mx.issubdtype(x.dtype, mx.floating) else x)
    return {k: np.array(v) for k, v in tree_flatten(dequantize_model(model).parameters())}

found = []
with contextlib.redirect_stdout(io.StringIO()):
    known = sensitivity(mlx_sensitivity, "mlx")
    for bits in (2.5, 3.2, 4.1, 5.2, 8.5):
        budget = int(WEIGHTS * bits / 8)
        _, size = known.choose(budget)
        built = fit_mlx(str(bits), bits=bits)
        kl = packed.divergence(exact, scores(weights_of(built)))
        found.append([budget, size, (built / "model.safetensors").stat().st_size, kl])
    points = [[point.size, point.cost] for point in known.frontier()]
    again = fit_mlx("again", bits=2.5)
same = [(again / n).read_bytes() == (work / "2.5" / n).read_bytes()
        for n in ("model.safetensors", "config.json")]
try:
    fit_mlx("small", bits=2.0)
    refused = ""
except ToolError as error:
    refused = str(error)
print(json.dumps({"found": found, "same": same, "refused": refused,
                  "points": points, "beside": sorted(p.name for p in again.iterdir())}))
"""
)

GGUF = (
    COMMON
    + """
from cortexbuild.formats.gguf.tensors import iterate
from cortexbuild.formats.gguf import writing
from cortexbuild.formats.layers.mlx import mlx_layers
from cortexbuild.formats.listing import local_files
from cortexbuild.formats.safetensors.tensors import open_tensors
from cortexbuild.tools import gguf, gguf_fit, gguf_sensitivity
prepare()
mlx.convert(plain_run({"model": source}, folder("mlx")), mlx.ConvertParams())
config = json.loads((work / "mlx" / "config.json").read_text())
tensors = open_tensors(work / "mlx")
layers = mlx_layers(tensors, config, local_files(work / "mlx"))
writing.any = lambda _: True  # it wants something packed, and here nothing is
writing.write_gguf(work / "mlx", folder("gguf") / "model.gguf", config, layers, tensors, nothing)
inputs = {"model": work / "gguf", "curvature": work / "curvature"}
inputs["gguf-sensitivity"] = work / "sensitivity"
known = sensitivity(gguf_sensitivity, "gguf")

def kl(built):
    wide = lambda x: (x.astype("u4") << 16).view("f4") if x.dtype == np.uint16 else x.astype("f4")
    return packed.divergence(
        exact, scores({k: wide(np.asarray(v)) for k, v in iterate(built / "model.gguf")}))

def build(name, tool, params):
    tool(plain_run(inputs, folder(name)), params)
    return work / name

found = []
for bits in (2.6, 3.3, 4.2, 5.3, 8.3):
    budget = int(WEIGHTS * bits / 8)
    _, size = known.choose(budget)
    built = build(str(bits), gguf_fit.fit, gguf_fit.GgufFitParams(bits=bits))
    found.append([budget, size, (built / "model.gguf").stat().st_size, kl(built)])
again = build("again", gguf_fit.fit, gguf_fit.GgufFitParams(bits=2.6))
same = (again / "model.gguf").read_bytes() == (work / "2.6" / "model.gguf").read_bytes()
weighted = {}
for kind in ("Q2_K", "Q3_K_S"):
    plain = build(kind, gguf.quantize, gguf.QuantizeParams(type=kind))
    ours = build(kind + "i", gguf_fit.quantize_weighted, kind)
    weighted[kind] = [kl(plain), kl(ours)]
try:
    build("small", gguf_fit.fit, gguf_fit.GgufFitParams(bits=2.0))
    refused = ""
except ToolError as error:
    refused = str(error)
print(json.dumps({"found": found, "same": same, "refused": refused, "weighted": weighted}))
"""
)


def test_a_budget_of_a_manifest_is_planned_built_and_kept(models):
    models.write(
        "cortex.yaml",
        f"schema: 1\n{FEW}calibration: {{text: builtin:calibration, tokens: 128, window: 128}}\n"
        f"models:\n  m:\n    source: path:{MODEL}\n    targets:\n"
        "      t: {fit: {bits: 3}, validate: {max_kl: 1}}\n"
        "      none: {fit: {memory: 512MiB}}\n",
    )
    assert "m:t: what its budget buys is known after" in models.run("plan").stdout
    models.sync("--until", "measure")
    planned = json.loads(models.run("plan", "m:t", "--json").stdout)["targets"][0]["fit"]
    divergences = [point["kl"] for point in planned["frontier"]]
    assert divergences == sorted(divergences, reverse=True) and len(divergences) > 5
    assert 0.99 * planned["budget"] < planned["chosen"]["bytes"] <= planned["budget"]
    said = models.run("plan", "m:none").stdout
    assert "536870912 bytes are too few: the KV cache of 4096 tokens takes" in said
    assert models.steps("m:t") == ["m:t/quantize", "m:t/validate"]
    weights = models.home / "mlx_models" / "m--t" / "model.safetensors"
    assert weights.stat().st_size <= planned["chosen"]["bytes"]
    assert models.steps("m:t") == []
    report = models.run("sync", "m:none", code=1).stderr
    assert "536870912 bytes are too few" in report


def check_budgets(found):
    for budget, predicted, built, _ in found:
        assert built <= budget, "over the budget"
        assert abs(built - predicted) <= 0.01 * predicted
        assert built >= 0.99 * budget, "bytes that would have helped are not used"
    divergences = [kl for *_, kl in found]
    assert divergences == sorted(divergences, reverse=True)
    assert divergences[0] > 100 * divergences[-1] > 0


def test_mlx_at_five_budgets(tmp_path):
    said = run_after(ENGINES, MLX, MODEL, tmp_path / "work")
    check_budgets(said["found"])
    sizes, predicted = zip(*said["points"], strict=True)
    assert sizes == tuple(sorted(sizes)) and predicted == tuple(sorted(predicted, reverse=True))
    assert said["same"] == [True, True]
    assert "at least, and the budget leaves" in said["refused"]
    assert "tokenizer.json" in said["beside"]


def test_gguf_at_five_budgets(tmp_path):
    said = run_after(ENGINES, GGUF, MODEL, tmp_path / "work")
    check_budgets(said["found"])
    assert said["same"] is True
    assert "at least, and the budget leaves" in said["refused"]
    for plain, weighted in said["weighted"].values():
        assert weighted < plain
