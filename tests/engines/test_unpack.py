"""Unpacking for real: what comes out opens in transformers and computes what its source does."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from engines.packed import affine, made, mlx_settings, tiny, write_small
from engines.running import ENGINES, run_after

from cortexbuild.errors import CortexError
from cortexbuild.formats.safetensors.header import read_header
from cortexbuild.testing import plain_run
from cortexbuild.tools.unpack import UnpackParams, unpack_gguf, unpack_mlx, unpack_zero_pointed

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("formats")]

FAMILIES = ("llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3_moe", "phi3", "gemma3_text")

# One process for all: the engines take longer to import than to do this.
SCRIPT = """
import contextlib, io, json, sys
from pathlib import Path
import numpy as np
from packed import *
from compare import differences
from cortexbuild.tools import mlx
from cortexbuild.tools.unpack import *

work, said = Path(sys.argv[1]), {}
wide, usual = UnpackParams(dtype="float32"), UnpackParams()
tokens = np.array(transformers_tokens(MODEL)(TEXT[:900]))[None, :128]
from_model = by_transformers(MODEL, tokens)

def quantized_by_mlx(source, out, **params):
    with contextlib.redirect_stdout(io.StringIO()):
        return made(mlx.quantize, source, out, mlx.QuantizeParams(**params))

def settings(folder, *names):
    config = json.loads((folder / "config.json").read_text())
    return [config.get(name) for name in names]

# -- GGUF of the real model
sources = {"BF16": write_gguf(work / "BF16" / "m.gguf", MODEL, "BF16")}
for kind in ("Q8_0", "Q4_K_M"):
    sources[kind] = requantized(sources["BF16"], work / kind / "m.gguf", kind)
said["gguf"] = {}
for kind, path in sources.items():
    out = made(unpack_gguf, path.parent, work / f"{kind}-16", usual)
    exact = made(unpack_gguf, path.parent, work / f"{kind}-32", wide)
    expected, rounded = by_transformers(exact, tokens), by_transformers(out, tokens)
    said["gguf"][kind] = {
        "llama.cpp": divergence(by_llama_cpp(path, tokens), expected),
        "rounding": divergence(expected, rounded),
        "error": far(expected, rounded),
        "dtype": settings(out, "dtype")[0],
    }
out, path = work / "BF16-16", sources["BF16"]
text = lambda folder: (folder / "chat_template.jinja").read_text()
said["real gguf"] = {
    "files": sorted(p.name for p in out.iterdir()),
    "differences": differences(out, MODEL),
    "unlike llama.cpp": unlike(transformers_tokens(out), llama_cpp_tokens(path)),
    "unlike its source": unlike(transformers_tokens(out), transformers_tokens(MODEL), [TEXT]),
    "ends": json.loads((out / "generation_config.json").read_text())["eos_token_id"],
    "ends in llama.cpp": llama_cpp_ends(path),
    "template": text(out) == text(MODEL),
}

# -- MLX of the real model
plain = made(mlx.convert, MODEL, work / "plain", mlx.ConvertParams())
out = made(unpack_mlx, plain, work / "plain-out", usual)
beside = [p for p in MODEL.iterdir() if p.suffix != ".safetensors" and p.name != "config.json"]
said["real mlx"] = {
    "differences": differences(out, MODEL),
    "changed": [p.name for p in beside if p.read_bytes() != (out / p.name).read_bytes()],
    "format": read_metadata(out),
}
cases = [dict(bits=3, group_size=64), dict(bits=8, group_size=32),
         dict(mixed="mixed_4_6", bits=4, group_size=128)]
said["mlx"] = {}
for case in cases:
    name = "-".join(map(str, case.values()))
    packed = quantized_by_mlx(plain, work / name, **case)
    expected = by_mlx(packed, tokens)
    exact = made(unpack_mlx, packed, work / f"{name}-32", wide)
    half = made(unpack_mlx, packed, work / f"{name}-16", usual)
    said["mlx"][name] = {
        "error": far(by_transformers(exact, tokens), expected),
        "rounding": divergence(expected, by_transformers(half, tokens)),
        "config": settings(half, "dtype", "quantization", "quantization_config"),
    }

# -- GPTQ and AWQ
small = write_family(work / "small", "llama")
cases = {
    "gptq real": dict(source=MODEL, group=64, act_order=True),
    "gptq": dict(group=32),
    "gptq short group": dict(group=64),  # a width of 96 has one of 64 and one of 32
    "gptq symmetric": dict(group=32, symmetric=True),
    "gptq 8 bits, v2": dict(bits=8, group=32, layout="gptq_v2"),
    "gptq 2 bits": dict(bits=2, group=32),
    "awq real": dict(source=MODEL, group=64),
    "awq": dict(group=32),
}
said["zero pointed"] = {}
for name, case in cases.items():
    source = case.pop("source", small)
    packed, meant = write_packed(work / name, source, name.split()[0], **case)
    exact = made(unpack_zero_pointed, packed, work / f"{name}-32", wide)
    half = made(unpack_zero_pointed, packed, work / f"{name}-16", usual)
    found, rounded = float_tensors(exact), float_tensors(half)
    said["zero pointed"][name] = {
        "wrong": [n for n, w in meant.items() if not np.array_equal(found[n], w)],
        "wrong in 16 bits": [
            n for n, w in meant.items()
            if not np.array_equal(rounded[n], w.astype("f4").astype("f2").astype("f4"))],
        "config": settings(half, "dtype", "quantization_config"),
    }
    if source is MODEL:
        by_hand = save_by_hand(work / f"{name}-by-hand", MODEL, meant)
        said["zero pointed"][name] |= {
            "error": far(by_transformers(exact, tokens), by_transformers(by_hand, tokens)),
            "from the model": divergence(from_model, by_transformers(half, tokens)),
        }

# -- byte-level tokenizers, from tokenizer.json to GGUF and back
from cortexbuild.formats.gguf.metadata import write_fields, write_specials
from cortexbuild.formats.tokenizer.from_gguf import write_tokenizer
from cortexbuild.formats.tokenizer.tables import WORDS
from cortexbuild.formats.tokenizer.to_gguf import read_vocabulary
said["tokenizers"] = {}
for name, words in WORDS.items():
    if [other for other in WORDS if WORDS[other] == words][0] != name:
        continue  # another name of the same
    source = work / "tokenizers" / name
    model_type = "qwen2" if name == "qwen2" else "llama"
    byte_level_tokenizer(source, words.pre_tokenizer(), model_type, words.bos)
    vocabulary = read_vocabulary(source, VOCABULARY)
    writer = gguf.GGUFWriter(source / "v.gguf", model_type)
    write_fields(writer, {"general.architecture": model_type}, vocabulary)
    write_specials(writer, source, {}, vocabulary)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    (source / "back").mkdir()
    write_tokenizer(source / "v.gguf", source / "back")
    shutil.copy(source / "config.json", source / "back")
    from_llama_cpp = llama_cpp_tokens(source / "v.gguf")
    said["tokenizers"][name] = {
        "found": vocabulary.pre,
        "to gguf": unlike(from_llama_cpp, transformers_tokens(source)),
        "back": unlike(from_llama_cpp, transformers_tokens(source / "back")),
    }

# -- every family
tokens = (np.arange(100)[None] * 37) % VOCABULARY
said["families"] = {}
for family in sys.argv[2].split():
    folder = work / family
    source = write_family(folder / "hf", family)
    expected = by_transformers(source, tokens)
    half = mlx.ConvertParams(dtype="float16")
    plain = made(mlx.convert, source, folder / "mlx", half)
    packed = quantized_by_mlx(plain, folder / "q4", bits=4, group_size=32)
    path = write_gguf(folder / "gguf" / "m.gguf", source)
    again = made(unpack_mlx, plain, folder / "mlx-hf", usual)
    exact = made(unpack_mlx, packed, folder / "q4-hf", wide)
    out = made(unpack_gguf, path.parent, folder / "gguf-hf", wide)
    said["families"][family] = {
        "gguf": far(by_transformers(out, tokens), expected),
        "unlike": unlike(transformers_tokens(out), llama_cpp_tokens(path), [TEXT]),
        "mlx": far(by_transformers(again, tokens), expected),
        "mlx 4 bits": far(by_transformers(exact, tokens), by_mlx(packed, tokens)),
        "size": float(np.abs(expected).max()),
    }
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory) -> dict:
    return run_after(ENGINES, SCRIPT, tmp_path_factory.mktemp("unpack"), " ".join(FAMILIES))


def test_a_real_gguf_becomes_the_model_it_was_made_of(said):
    found = said["real gguf"]
    assert found["differences"] == []
    assert found["unlike llama.cpp"] == [] == found["unlike its source"]
    assert found["ends"] == [2, 4] == found["ends in llama.cpp"]
    assert found["template"]
    assert found["files"] == [
        "chat_template.jinja", "config.json", "generation_config.json", "model.safetensors",
        "tokenizer.json", "tokenizer.model", "tokenizer_config.json",
    ]  # fmt: skip


def test_a_packed_gguf_computes_what_it_computes_in_llama_cpp(said):
    dtypes = {kind: found["dtype"] for kind, found in said["gguf"].items()}
    assert dtypes == {"BF16": "bfloat16", "Q8_0": "float16", "Q4_K_M": "float16"}
    assert said["gguf"]["BF16"]["error"] == 0
    for kind, found in said["gguf"].items():
        assert found["llama.cpp"] < 1e-3, kind  # which rounds what it multiplies with
        assert found["rounding"] < 1e-6, kind


def test_an_mlx_model_computes_the_same_in_transformers(said):
    assert said["real mlx"] == {"differences": [], "changed": [], "format": "pt"}
    assert len(said["mlx"]) == 3
    for name, found in said["mlx"].items():
        assert found["error"] < 1e-4, name
        assert found["rounding"] < 1e-4, name  # 8 bits times a scale do not fit into a bfloat16
        assert found["config"] == ["bfloat16", None, None]


def test_gptq_and_awq_become_the_numbers_of_their_definition(said):
    assert len(said["zero pointed"]) == 8
    for name, found in said["zero pointed"].items():
        assert found["wrong"] == [], name
        assert found["wrong in 16 bits"] == [], name
        assert found["config"] == ["float16", None], name
        if "real" in name:
            assert found["error"] == 0, name
            assert found["from the model"] < 0.1, name


def test_byte_level_tokenizers_give_the_ids_of_llama_cpp_in_both_directions(said):
    assert list(said["tokenizers"]) == [
        "gpt-2", "llama-bpe", "smaug-bpe", "qwen2", "smollm", "tekken", "gpt-4o",
    ]  # fmt: skip
    for name, found in said["tokenizers"].items():
        assert found == {"found": name, "to gguf": [], "back": []}, name


def test_every_family_computes_what_its_source_computes(said):
    assert tuple(said["families"]) == FAMILIES
    for family, found in said["families"].items():
        assert found["gguf"] == 0, family
        assert found["unlike"] == [], family
        assert found["mlx"] == 0, family
        assert found["mlx 4 bits"] < 1e-4, family
        assert found["size"] > 1, family


# -- what is refused, and what it takes; in this process, since it needs no engine


def refused(tool, source, tmp_path, **params) -> CortexError:
    with pytest.raises(CortexError) as caught:
        made(tool, source, tmp_path / "out", UnpackParams(**params))
    return caught.value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model__norm__weight": None}, "the model lacks 1 tensors, the first is `model.norm.wei"),
        (
            {"model__layers__0__mlp__gate__weight": np.ones(4, np.float16)},
            "1 tensors are not those of a llama, the first is `model.layers.0.mlp.gate.weight`",
        ),
        ({"model__norm__weight": np.ones(64, np.int8)}, "has the type I8, which is not a weight's"),
        (
            {"model__layers__0__mlp__up_proj__biases": None},
            "`model.layers.0.mlp.up_proj.weight` is packed as mlx, not as affine",
        ),
    ],
)
def test_an_mlx_model_that_is_not_whole_is_refused(tmp_path, changes, message):
    source = write_small(tmp_path / "in", mlx_settings(), pack=affine(), **changes)
    assert message in str(refused(unpack_mlx, source, tmp_path))
    assert not (tmp_path / "out" / "config.json").exists()


def test_what_loaders_leave_out_is_left_out(tmp_path):
    source = write_small(
        tmp_path / "in", lm_head__weight=np.ones((4096, 64), np.float16),
        model__layers__0__self_attn__rotary_emb__inv_freq=np.ones(16, np.float32),
    )  # fmt: skip
    out = made(unpack_mlx, source, tmp_path / "out", UnpackParams())
    content = (out / "model.safetensors").read_bytes()
    assert b"lm_head" not in content and b"inv_freq" not in content


def test_a_family_that_is_not_known_is_refused(tmp_path):
    source = write_small(tmp_path / "in")
    (source / "config.json").write_text('{"model_type": "mamba"}')
    assert "models of type `mamba` are not supported" in str(refused(unpack_mlx, source, tmp_path))


def test_numbers_too_large_for_float16_are_refused(tmp_path):
    source = write_small(tmp_path / "in", model__norm__weight=np.full(64, 7e4, np.float32))
    error = refused(unpack_mlx, source, tmp_path, dtype="float16")
    assert str(error) == "`model.norm.weight` has numbers that are too large for float16"
    assert "bfloat16" in error.hint


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"quant_method": "gptq", "checkpoint_format": "marlin"}, "format `marlin`"),
        ({"quant_method": "awq", "version": "gemv"}, "version `gemv`"),
        ({"quant_method": "bitsandbytes"}, "quantized with bitsandbytes are not supported"),
        ({"quant_method": "gptq", "bits": 4}, "no layer of this model is packed"),
    ],
)
def test_other_ways_to_quantize_are_refused(tmp_path, settings, message):
    source = write_small(tmp_path / "in", {"quantization_config": settings})
    error = refused(unpack_zero_pointed, source, tmp_path)
    assert message in str(error) and error.hint == "start from the unquantized model"


def test_a_gguf_without_a_tokenizer_is_refused_before_its_weights_are_written(tmp_path):
    config = tiny.CONFIGS["llama"]
    (tmp_path / "in").mkdir()
    kept = tiny.as_llama_cpp_keeps(config, tiny.random_tensors(config))
    tiny.write(tmp_path / "in" / "m.gguf", config, kept)
    error = refused(unpack_gguf, tmp_path / "in", tmp_path)
    assert str(error) == "tokenizers of the kind None are not supported"
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_must_have_one_gguf_file(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / "in" / name).write_bytes(b"GGUF")
    assert "2 GGUF files are here" in str(refused(unpack_gguf, tmp_path / "in", tmp_path))


def test_one_tensor_at_a_time_is_kept_and_progress_is_told(tmp_path):
    config = {"num_hidden_layers": 12, "hidden_size": 512, "intermediate_size": 512,
              "vocab_size": 512, **mlx_settings()}  # fmt: skip
    source = write_small(tmp_path / "in", config, pack=affine())
    made(unpack_mlx, write_small(tmp_path / "small"), tmp_path / "imported", UnpackParams())
    told = []

    def tell(done, total):
        if not told:
            tracemalloc.reset_peak()  # of reading headers
        told.append((done, total))

    tracemalloc.start()
    unpack_mlx(plain_run({"model": source}, tmp_path, progress=tell), UnpackParams())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = (tmp_path / "model.safetensors").stat().st_size
    assert peak < 12 * 512 * 512 * 4 < size / 3
    header = read_header(tmp_path / "model.safetensors")
    tensors = sum(info.end - info.start for info in header.tensors.values())
    assert told[-1] == (tensors, tensors) and told == sorted(told)
