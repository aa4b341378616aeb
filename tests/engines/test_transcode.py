"""Transcoding for real: the packed numbers stay what they were, and plain loaders open them."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from engines.packed import affine, made, mlx_settings, tiny, write_small
from engines.running import ENGINES, MODEL, run_after
from workspace import FEW, Workspace

from cortexbuild.errors import CortexError
from cortexbuild.formats.gguf.tensors import iterate
from cortexbuild.tools.transcode import (
    ToGgufParams,
    ToMlxParams,
    gguf_to_mlx,
    mlx_to_gguf,
    zero_pointed_to_mlx,
)

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("formats")]

FAMILIES = ("llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3_moe", "phi3", "gemma3_text")

# One process for all: the engines take longer to import than to do this.
SCRIPT = """
import contextlib, io, json, sys
from pathlib import Path
import gguf
import mlx.core as mx
import numpy as np
from mlx_lm import load
from packed import *
from cortexbuild.formats.gguf.tensors import iterate
from cortexbuild.tools import mlx
from cortexbuild.tools.transcode import *

work, said = Path(sys.argv[1]), {}
exact, half = ToMlxParams(), ToMlxParams(dtype="float16")
tokens = np.array(transformers_tokens(MODEL)(TEXT[:900]))[None, :128]

def quantized_by_mlx(source, out, **params):
    with contextlib.redirect_stdout(io.StringIO()):
        return made(mlx.quantize, source, out, mlx.QuantizeParams(**params))

def wide(array):
    return array.astype(mx.float32)

def numbers_by_mlx(folder):
    "Every weight of an MLX model in float32, as MLX itself dequantizes it."
    config = json.loads((folder / "config.json").read_text())
    quantization = config.get("quantization", {})
    tensors, found = mx.load(str(folder / "model.safetensors")), {}
    for name, weight in tensors.items():
        module = name.removesuffix(".weight")
        if name.endswith((".scales", ".biases")):
            continue
        if module + ".scales" in tensors:
            own = quantization.get(module) or quantization
            weight = mx.dequantize(weight, wide(tensors[module + ".scales"]),
                                   wide(tensors[module + ".biases"]), own["group_size"], own["bits"])
        found[name] = np.array(wide(weight))
    return found

def numbers_by_gguf(path):
    "Every tensor of a GGUF file in float32, as the gguf package dequantizes it."
    return {t.name: gguf.dequantize(t.data, t.tensor_type).reshape(tuple(reversed(t.shape.tolist())))
            for t in gguf.GGUFReader(path).tensors}

def unstacked(numbers):
    found = {}
    for name, weights in numbers.items():
        if ".switch_mlp." not in name:
            found[name] = weights
            continue
        for i, expert in enumerate(weights):
            own = tiny_name(name, i)
            found[own] = expert
    return found

def tiny_name(name, expert):
    if "block_sparse_moe" in name:
        for theirs, ours in (("gate_proj", "w1"), ("down_proj", "w2"), ("up_proj", "w3")):
            name = name.replace(f"switch_mlp.{theirs}", f"switch_mlp.{ours}")
    return name.replace("switch_mlp.", f"experts.{expert}.")

def unequal(one, other):
    return sorted(n for n in {*one, *other}
                  if n not in one or n not in other or not np.array_equal(one[n], other[n]))

def close(one, other):
    return sorted(n for n in {*one, *other}
                  if n not in one or n not in other
                  or not np.allclose(one[n], other[n], rtol=0, atol=2**-22))

def dtypes(folder):
    return sorted({str(a.dtype).split(".")[-1] for a in mx.load(str(folder / "model.safetensors")).values()})

def quantization(folder):
    config = json.loads((folder / "config.json").read_text())
    assert config["quantization"] == config["quantization_config"]
    return config["quantization"]

# -- GGUF of the real model, to MLX
source = write_gguf(work / "f16" / "m.gguf", MODEL, "F16")
said["gguf"] = {}
for kind in ("Q4_0", "Q4_1", "Q8_0"):
    path = requantized(source, work / kind / "m.gguf", kind)
    out = made(gguf_to_mlx, path.parent, work / f"{kind}-mlx", exact)
    small = made(gguf_to_mlx, path.parent, work / f"{kind}-half", half)
    kept = tiny.as_llama_cpp_keeps({"model_type": "llama"}, numbers_by_mlx(out))
    load(str(small))
    scores = by_mlx(out, tokens)
    said["gguf"][kind] = {
        "unequal": unequal(kept, numbers_by_gguf(path)),
        "quantization": quantization(out),
        "dtypes": [dtypes(out), dtypes(small)],
        "llama.cpp": divergence(by_llama_cpp(path, tokens), scores),
        "rounding": divergence(scores, by_mlx(small, tokens)) if kind == "Q4_0" else 0,
        "unlike": unlike(transformers_tokens(out), llama_cpp_tokens(path)),
    }

# -- MLX of the real model, to GGUF
plain = made(mlx.convert, MODEL, work / "plain", mlx.ConvertParams())
said["mlx"] = {}
for group in (32, 64, 128):
    packed = quantized_by_mlx(plain, work / f"g{group}", bits=4, group_size=group)
    out = made(mlx_to_gguf, packed, work / f"g{group}-gguf", ToGgufParams()) / "model.gguf"
    kept = tiny.as_llama_cpp_keeps({"model_type": "llama"}, numbers_by_mlx(packed))
    said["mlx"][group] = {
        "unequal": unequal(kept, numbers_by_gguf(out)),
        "llama.cpp": divergence(by_mlx(packed, tokens), by_llama_cpp(out, tokens))
        if group == 64 else 0,  # numbers that are equal need no second proof
        "types": sorted({t.tensor_type.name for t in gguf.GGUFReader(out).tensors}),
        "unlike": unlike(llama_cpp_tokens(out), transformers_tokens(MODEL), [ODD[0], TEXT]),
        "ends": llama_cpp_ends(out),
    }

# -- GPTQ and AWQ, to MLX
small, experts = write_family(work / "small", "llama"), write_family(work / "moe", "mixtral")
cases = {
    "gptq real": dict(source=MODEL, group=128),
    "gptq symmetric": dict(group=32, symmetric=True),
    "gptq 8 bits, v2": dict(bits=8, group=32, layout="gptq_v2"),
    "gptq 2 bits": dict(bits=2, group=32),
    "gptq of experts": dict(source=experts, group=32, symmetric=True),
    "awq real": dict(source=MODEL, group=64),
    "awq of experts": dict(source=experts, group=32),
}
said["zero pointed"] = {}
for name, case in cases.items():
    source = case.pop("source", small)
    packed, meant = write_packed(work / name, source, name.split()[0], **case)
    out = made(zero_pointed_to_mlx, packed, work / f"{name}-mlx", exact)
    less = made(zero_pointed_to_mlx, packed, work / f"{name}-half", half)
    if name == "awq real":
        load(str(out))
    usual = {n: w.astype("f2").astype("f4") for n, w in float_tensors(source).items()}
    folder = save_by_hand(work / f"{name}-by-hand", source, meant)
    said["zero pointed"][name] = {
        "unequal": unequal(unstacked(numbers_by_mlx(out)), {**usual, **meant}),
        "quantization": {k: v for k, v in quantization(out).items() if v is not False},
        "dtypes": [dtypes(out), dtypes(less)],
    }
    if source is not small:
        scores = by_mlx(out, tokens)
        said["zero pointed"][name]["error"] = far(scores, by_transformers(folder, tokens))
    if source is MODEL:
        said["zero pointed"][name]["rounding"] = divergence(scores, by_mlx(less, tokens))

# -- every family
tokens = (np.arange(100)[None] * 37) % VOCABULARY
said["families"] = {}
for family in sys.argv[2].split():
    folder = work / family
    source = write_family(folder / "hf", family)
    path = write_gguf(folder / "gguf" / "m.gguf", source, "Q8_0")
    out = made(gguf_to_mlx, path.parent, folder / "gguf-mlx", exact)
    plain = made(mlx.convert, source, folder / "mlx", mlx.ConvertParams(dtype="float16"))
    packed = quantized_by_mlx(plain, folder / "q4", bits=4, group_size=32)
    back = made(mlx_to_gguf, packed, folder / "back", ToGgufParams()) / "model.gguf"
    scores = by_mlx(packed, tokens)
    said["families"][family] = {
        "to mlx": close(unstacked(numbers_by_mlx(out)), dict(iterate(path))),
        "to mlx, llama.cpp": divergence(by_llama_cpp(path, tokens), by_mlx(out, tokens)),
        "to gguf": close(unstacked(numbers_by_mlx(packed)), dict(iterate(back))),
        "to gguf, llama.cpp": divergence(scores, by_llama_cpp(back, tokens)),
        "unlike": unlike(llama_cpp_tokens(back), transformers_tokens(source), [TEXT]),
    }
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("transcode")


@pytest.fixture(scope="module")
def said(work) -> dict:
    return run_after(ENGINES, SCRIPT, work, " ".join(FAMILIES))


def test_blocks_of_gguf_are_the_same_numbers_in_mlx(said):
    assert tuple(said["gguf"]) == ("Q4_0", "Q4_1", "Q8_0")
    for kind, found in said["gguf"].items():
        assert found["unequal"] == [], kind
        assert found["llama.cpp"] < 1e-3, kind  # which rounds what it multiplies with
        assert found["rounding"] < 1e-6, kind
        assert found["unlike"] == [], kind
    four, eight = said["gguf"]["Q4_0"], said["gguf"]["Q8_0"]
    assert four["quantization"] == {
        "group_size": 32, "bits": 4, "mode": "affine", "model.embed_tokens": False,
    }  # fmt: skip
    assert eight["quantization"] == {"group_size": 32, "bits": 8, "mode": "affine"}
    # llama.cpp keeps the embedding of such a file in 6 bits, which only float32 holds exactly.
    assert four["dtypes"] == [["float16", "float32", "uint32"], ["float16", "uint32"]]
    assert eight["dtypes"] == [["float16", "uint32"], ["float16", "uint32"]]


def test_four_bits_of_mlx_are_the_same_numbers_in_gguf(said):
    assert tuple(said["mlx"]) == ("32", "64", "128")
    for group, found in said["mlx"].items():
        assert found["unequal"] == [], group
        assert found["types"] == ["F32", "Q4_1"]
        assert found["llama.cpp"] < 1e-3, group
        assert found["unlike"] == [], group
        assert found["ends"] == [2, 4]


def test_gptq_and_awq_are_the_same_numbers_in_mlx(said):
    assert len(said["zero pointed"]) == 7
    for name, found in said["zero pointed"].items():
        assert found["unequal"] == [], name
        assert found.get("error", 0) < 1e-4, name
        assert found.get("rounding", 0) < 1e-5, name
        assert found["dtypes"][1] == ["float16", "uint32"], name
        if "symmetric" in name:
            assert found["dtypes"][0] == ["float16", "uint32"], name
    two = said["zero pointed"]["gptq 2 bits"]["quantization"]
    assert two == {"group_size": 32, "bits": 2, "mode": "affine"}


def test_every_family_is_the_same_model_in_the_other_format(said):
    assert tuple(said["families"]) == FAMILIES
    for family, found in said["families"].items():
        assert found["to mlx"] == [] == found["to gguf"], family
        assert found["unlike"] == [], family
        assert found["to mlx, llama.cpp"] < 5e-3, family
        # Where two experts are almost as good, rounding may choose the other one.
        assert found["to gguf, llama.cpp"] < (0.05 if family == "mixtral" else 5e-3), family


def test_a_gguf_source_is_built_for_mlx_without_a_loss_and_writes(said, work):
    space = Workspace(work / "project", work / "home")
    space.root.mkdir()
    os.link(work / "Q8_0" / "m.gguf", space.root / "model.gguf")
    space.write(
        "cortex.yaml",
        f"schema: 1\n{FEW}models:\n  m:\n    source: path:model.gguf\n"
        "    targets: {t: {recipe: mlx-8bit}}\n",
    )
    assert "lossless" in space.run("plan").stdout
    assert set(space.sync()) == {"fetch", "detect", "reference", "transcode", "validate"}
    text = space.run("generate", "m:t", "def read_lines(path):\n", "--max-tokens", "8").stdout
    assert text.strip()
    config = json.loads((space.home / "mlx_models" / "m--t" / "config.json").read_text())
    assert config["quantization"]["group_size"] == 32


# -- what is refused; in this process, since it needs no engine


def refused(tool, source, tmp_path, params) -> CortexError:
    with pytest.raises(CortexError) as caught:
        made(tool, source, tmp_path / "out", params)
    return caught.value


@pytest.mark.parametrize("kind", ["F16", "Q5_0"])
def test_a_gguf_that_mlx_cannot_express_is_refused_with_the_way_out(tmp_path, kind):
    config = tiny.CONFIGS["llama"]
    (tmp_path / "in").mkdir()
    kept = tiny.as_llama_cpp_keeps(config, tiny.random_tensors(config))
    tiny.write(tmp_path / "in" / "m.gguf", config, kept, types={"": tiny.TYPES[kind]})
    error = refused(gguf_to_mlx, tmp_path / "in", tmp_path, ToMlxParams())
    assert str(error) == f"MLX cannot express {kind.replace('F16', 'FP16')} exactly"
    assert "`unpack`" in error.hint


def gptq(bits=4, order=None, groups=2):
    """A way for `write_small` to pack: what the words are does not matter."""

    def pack(weights):
        rows, columns = weights.shape
        layer = {
            "qweight": np.ones((columns * bits // 32, rows), np.int32),
            "qzeros": np.ones((groups, rows * bits // 32), np.int32),
            "scales": np.ones((groups, rows), np.float16),
        }
        return layer | ({} if order is None else {"g_idx": order.astype(np.int32)})

    return pack


@pytest.mark.parametrize(
    ("pack", "message"),
    [
        (gptq(order=np.arange(64) % 2), "groups in the order of activations (act-order)"),
        (gptq(groups=4), "has groups of 16 in rows of 64, which MLX has not"),
    ],
)
def test_gptq_that_mlx_cannot_express_is_refused(tmp_path, pack, message):
    settings = {"quantization_config": {"quant_method": "gptq", "bits": 4}}
    source = write_small(tmp_path / "in", settings, pack=pack)
    error = refused(zero_pointed_to_mlx, source, tmp_path, ToMlxParams())
    assert message in str(error) and error.hint


def with_tokenizer(source):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        os.link(MODEL / name, source / name)
    return source


@pytest.mark.parametrize(
    ("config", "pack", "message"),
    [
        ({}, None, "no layer of this model is packed in 4 bits"),
        (mlx_settings(8), affine(8), "`model.embed_tokens.weight` is packed in 8 bits"),
        (mlx_settings(), affine(scale=1e-9, dtype=np.float32), "scales are not float16 numbers"),
        ({**mlx_settings(), "hidden_act": "gelu"}, affine(), "config.json has `hidden_act: gelu`"),
        (
            {**mlx_settings(), "rope_scaling": {"type": "longrope"}},
            affine(),
            "rope scaling of type `longrope` is not supported here",
        ),
    ],
)
def test_an_mlx_model_that_gguf_cannot_say_is_refused(tmp_path, config, pack, message):
    source = with_tokenizer(write_small(tmp_path / "in", config, pack=pack))
    error = refused(mlx_to_gguf, source, tmp_path, ToGgufParams())
    assert message in str(error)
    assert "`unpack`" in error.hint


def test_a_scale_that_nothing_is_multiplied_with_does_not_matter(tmp_path):
    def idle(weights):
        parts = affine(scale=1e-9, dtype=np.float32)(weights)
        biases = np.full_like(parts["biases"], 0.25)
        return {**parts, "weight": np.zeros_like(parts["weight"]), "biases": biases}

    source = with_tokenizer(write_small(tmp_path / "in", mlx_settings(), pack=idle))
    out = made(mlx_to_gguf, source, tmp_path / "out", ToGgufParams()) / "model.gguf"
    found = dict(iterate(out))["model.layers.0.mlp.up_proj.weight"]
    assert np.array_equal(found, np.full((64, 64), 0.25, np.float32))


def test_a_model_without_tokenizer_json_is_refused(tmp_path):
    source = write_small(tmp_path / "in", mlx_settings(), pack=affine())
    error = refused(mlx_to_gguf, source, tmp_path, ToGgufParams())
    assert str(error) == "there is no tokenizer.json in this model"


def test_llama_3_positions_come_back(tmp_path):
    from cortexbuild.formats.gguf.tensors import read_config

    scaling = {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }  # fmt: skip
    config = {**mlx_settings(), "rope_theta": 500000.0, "rope_scaling": scaling}
    source = with_tokenizer(write_small(tmp_path / "in", config, pack=affine()))
    out = made(mlx_to_gguf, source, tmp_path / "out", ToGgufParams()) / "model.gguf"
    found = read_config(out)["rope_parameters"]
    assert found == {"rope_theta": 500000.0, **scaling}
