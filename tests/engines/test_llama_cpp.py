"""GGUF for real: llama.cpp's converter, its quantizer and its runtime against transformers."""

from __future__ import annotations

import json
import shutil

import pytest
from engines.running import ENGINES, MODEL, run_after, run_script

from cortexbuild.core.step import Kind
from cortexbuild.errors import ToolError
from cortexbuild.runtimes.llama_cpp import _texts
from cortexbuild.sources import toolchain as source
from cortexbuild.testing import plain_run
from cortexbuild.tools import find_tool, gguf

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("formats")]

COMMON = """
import json, os, subprocess, sys
from pathlib import Path
from cortexbuild.core.ports import Sampling
from cortexbuild.testing import plain_run
from cortexbuild.errors import ToolError
from cortexbuild.tools import converting, gguf
HELD = Path(sys.argv[1])
nothing = lambda *a: None
def quantize(model, out, **settings):
    out.mkdir()
    gguf.quantize(plain_run({"model": model}, out), gguf.QuantizeParams(**settings))
def convert(model, out, call=lambda argv: converting.main(argv[5:]), **settings):
    # In this process but for `call`: an import of torch and transformers for each takes minutes.
    out.mkdir()
    run = plain_run({"model": model, "toolchain": HELD}, out, call)
    gguf.convert(run, gguf.ConvertParams(**settings))
def together(model, outs, call=lambda argv: converting.main(argv[5:]), **settings):
    # For each folder of `outs` the type that it is called after.
    runs = []
    for out in outs:
        out.mkdir(parents=True)
        run = plain_run({"model": model, "toolchain": HELD}, out, call)
        type_ = out.name.partition("-")[0]
        runs.append((run, gguf.QuantizeSourceParams(**{"type": type_, **settings})))
    gguf.quantize_together(runs)
def refused(work, *args, **settings):
    try:
        work(*args, **settings)
    except ToolError as error:
        return [str(error), error.hint]
    return None
"""


@pytest.fixture(scope="session")
def held(request):
    """llama.cpp's converter, kept from one run of pytest to the next."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CORTEX_HOME", str(request.config.cache.mkdir("llama.cpp")))
        yield source.find_toolchain(MODEL)


MAKE = """
import hashlib, torch
from collections import Counter
from typing import get_args
from cortexbuild.formats.gguf.header import read_header
torch.set_num_threads(1)
model, elsewhere, work = map(Path, sys.argv[2:])
def in_a_process(argv):
    # Another `torch.py` where one stands is not to be the one that is imported.
    (work / "torch.py").write_text("raise SystemExit('not this one')")
    (work / "gguf.py").write_text("raise SystemExit('not this one')")
    subprocess.run(argv, check=True, cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
convert(model, work / "f16", in_a_process)
convert(elsewhere, work / "f16-elsewhere")
for dtype in ("bf16", "f32", "q8_0"):
    convert(model, work / dtype, dtype=dtype)
TYPES = [type_ for type_ in get_args(gguf.QuantizeType) if type_ not in ("F16", "BF16")]
for type_ in TYPES:
    quantize(work / "f16", work / type_, type=type_)
quantize(work / "f16", work / "Q4_K_M-again", type="Q4_K_M")
together(model, [work / f"{type_}-together" for type_ in [*TYPES, "BF16"]])
together(model, [work / "Q4_K_M-alone"], in_a_process)
for dtype in ("bf16", "f32"):
    quantize(work / dtype, work / f"Q5_K_S-of-{dtype}", type="Q5_K_S")
    together(model, [work / f"Q5_K_S-from-{dtype}"], dtype=dtype)
def told(folder):
    (path,) = folder.iterdir()
    header = read_header(path)
    types = Counter(tensor.type for tensor in header.tensors if len(tensor.shape) > 1)
    name = header.fields["general.name"]
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    return [path.name, types, name, sha, path.stat().st_size]
print()
print(json.dumps({p.name: told(p) for p in sorted(work.iterdir()) if p.is_dir()}))
"""


@pytest.fixture(scope="session")
def made(held, tmp_path_factory):
    """The example model in many types: a folder, and what is in each of its folders."""
    folder = tmp_path_factory.mktemp("gguf")
    elsewhere = tmp_path_factory.mktemp("other") / "Some-Name-7B-v3"
    shutil.copytree(MODEL, elsewhere)
    return folder, run_script(COMMON + MAKE, held, MODEL, elsewhere, folder)


def test_each_file_is_of_the_type_it_is_asked_to_be(made):
    _, told = made
    main = {name: max(types, key=types.get) for name, (_, types, *_) in told.items()}
    assert {name: type_ for name, type_ in main.items() if "-" not in name} == {
        "f16": "F16", "bf16": "BF16", "f32": "F32", "q8_0": "Q8_0", "Q2_K": "Q2_K",
        "Q3_K_S": "Q3_K", "Q3_K_M": "Q3_K", "Q3_K_L": "Q3_K", "Q4_0": "Q4_0", "Q4_1": "Q4_1",
        "Q4_K_S": "Q4_K", "Q4_K_M": "Q4_K", "Q5_0": "Q5_0", "Q5_1": "Q5_1", "Q5_K_S": "Q5_K",
        "Q5_K_M": "Q5_K", "Q6_K": "Q6_K", "Q8_0": "Q8_0", "IQ3_S": "IQ3_S", "IQ4_XS": "IQ4_XS",
        "IQ4_NL": "IQ4_NL",
    }  # fmt: skip
    assert {name for name, *_ in told.values()} == {"model.gguf"}


def test_one_pass_over_the_source_makes_what_the_quantizer_does(made):
    _, told = made
    together = {name.partition("-")[0]: it for name, it in told.items() if "-together" in name}
    assert together.pop("BF16")[1] == told["bf16"][1]
    assert len(together) == 17, "all that can be asked for"
    assert together == {type_: told[type_] for type_ in together}
    assert told["Q4_K_M-alone"] == told["Q4_K_M"]
    for dtype in ("bf16", "f32"):
        assert told[f"Q5_K_S-from-{dtype}"] == told[f"Q5_K_S-of-{dtype}"]


def test_where_the_source_lies_and_how_it_is_run_make_no_difference(made):
    _, told = made
    assert told["f16"] == told["f16-elsewhere"]
    assert told["f16"][2] == "Llama"
    assert told["Q4_K_M"] == told["Q4_K_M-again"]


def test_sizes_are_foreseen_within_a_quarter(made):
    _, told = made
    convert, quantize, _ = gguf.TOOLS
    weights = (MODEL / "model.safetensors").stat().st_size
    for dtype in ("f16", "bf16", "f32", "q8_0"):
        foreseen = convert.predict(gguf.ConvertParams(dtype=dtype), weights)
        assert abs(foreseen / told[dtype][4] - 1) < 0.02
    for type_ in ("Q4_K_M", "Q8_0", "IQ4_XS", "Q2_K", "Q3_K_M", "Q5_K_M", "Q6_K", "Q4_0"):
        foreseen = quantize.predict(gguf.QuantizeParams(type=type_), told["f16"][4])
        assert abs(foreseen / told[type_][4] - 1) < 0.25


COMPARE = """
import numpy as np, torch
from llama_cpp import Llama
from transformers import AutoModelForCausalLM, AutoTokenizer
from cortexbuild.runtimes import find_runtime
torch.set_num_threads(1)  # more would wait for each other where the machine is busy
model, text, work = map(Path, sys.argv[2:])
load = find_runtime("gguf").load
tokenizer = AutoTokenizer.from_pretrained(model)
source = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
tokens = tokenizer(text.read_text())["input_ids"][:300]
def logprobs(scores):
    scores = scores.astype(np.float64) - scores.max(-1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(-1, keepdims=True))
with torch.no_grad():
    expected = source(torch.tensor([tokens])).logits[0].numpy()
right, told = logprobs(expected), {"spread": float(expected.std())}
for name in ("f32", "f16", "bf16", "q8_0", "Q8_0", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q2_K"):
    loaded = load(work / name)
    got = loaded.logits(tokens)
    ours = logprobs(got)
    told[name] = {"error": float(np.abs(got - expected).max()),
                  "divergence": float((np.exp(right) * (right - ours)).sum(-1).mean()),
                  "same": float((right.argmax(-1) == ours.argmax(-1)).mean()),
                  "tokens": loaded.encode(text.read_text())[:300] == tokens}
    loaded.close()
loaded, written = load(work / "f16" / "model.gguf"), []
for prompt in ("def read_lines(path):\\n", "import os\\n"):
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    out = source.generate(ids, max_new_tokens=60, do_sample=False, pad_token_id=0)
    whole = tokenizer.decode(out[0], skip_special_tokens=True)
    written.append([whole[len(prompt):], "".join(loaded.generate(prompt, Sampling(max_tokens=60)))])
told["written"] = written
plain = Llama(str(work / "Q4_K_M" / "model.gguf"), n_ctx=128, n_threads_batch=1, verbose=False)
said = plain("def read_lines(path):\\n", max_tokens=24, temperature=0.0)["choices"][0]["text"]
ours = "".join(load(work / "Q4_K_M").generate("def read_lines(path):\\n", Sampling(max_tokens=24)))
told["plain"] = [said, ours]
print()
print(json.dumps(told))
"""


@pytest.fixture(scope="session")
def compared(held, made):
    text = MODEL.parent.parent / "data" / "heldout-stdlib.txt"
    return run_after(ENGINES, COMMON + COMPARE, held, MODEL, text, made[0])


def test_scores_are_those_of_transformers_in_float32(compared):
    """Errors are absolute, of scores whose standard deviation is about 3 (measured: see bounds)."""
    assert 2 < compared["spread"] < 5
    assert compared["f32"]["error"] < 0.03 and compared["f32"]["divergence"] < 1e-6
    assert compared["f16"]["error"] < 0.03 and compared["f16"]["divergence"] < 2e-6
    assert compared["bf16"]["error"] < 0.2 and compared["bf16"]["divergence"] < 1e-4
    for name in ("q8_0", "Q8_0"):
        assert compared[name]["divergence"] < 1e-3 and compared[name]["same"] > 0.97


def test_fewer_bits_lose_more(compared):
    order = ["f16", "Q8_0", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q2_K"]
    divergences = [compared[name]["divergence"] for name in order]
    assert divergences == sorted(divergences) and divergences[-1] < 0.5


def test_tokens_are_the_source_tokenizers(compared):
    assert all(of["tokens"] for of in compared.values() if isinstance(of, dict))


def test_greedy_text_is_the_sources(compared):
    for theirs, ours in compared["written"]:
        assert theirs == ours and len(ours) > 60


def test_a_built_file_opens_in_plain_llama_cpp(compared):
    plain, ours = compared["plain"]
    assert plain == ours and plain.strip()


SAMPLE = """
from cortexbuild.runtimes.llama_cpp import GgufModel
model = GgufModel(Path(sys.argv[2]))
prompt = "def read_lines(path):\\n"
def said(prompt=prompt, **settings):
    return "".join(model.generate(prompt, Sampling(**{"max_tokens": 40, **settings})))
greedy, hot = said(), {"temperature": 1.5}
word = greedy.split()[3]
stream = model.generate(prompt, Sampling(max_tokens=400))
next(stream)  # left open: the process must end all the same
told = {
    "greedy again": said() == greedy,
    "shorter is its beginning": greedy.startswith(said(max_tokens=8)),
    "stop": said(stop=(word,)) == greedy.partition(word)[0],
    "seed again": said(**hot, seed=1) == said(**hot, seed=1),
    "seed 0 is a seed": said(**hot, seed=0) == said(**hot, seed=0),
    "another seed": said(**hot, seed=1) != said(**hot, seed=2),
    "top_k 1": said(**hot, top_k=1) == greedy,
    "top_p 0": said(**hot, top_p=1e-6) == greedy,
    "penalty": said(repetition_penalty=1.8) != greedy,
    "chat is not plain": said(chat=True) != said(),
    "chat ends": "<|im_end|>" not in said("What is this?", chat=True, max_tokens=200),
    "no more than the context": len(model.encode(prompt + said(max_tokens=5000))) <= 1026,
    "too long": refused(said, "def f():\\n" * 400),
    "empty window": refused(model.logits, []),
    "no file": refused(GgufModel, Path(sys.argv[0] or ".").parent),
}
print(json.dumps(told))
"""


def test_sampling_means_what_it_says_and_nothing_is_printed(held, made):
    import subprocess
    import sys

    path = made[0] / "Q8_0" / "model.gguf"
    done = subprocess.run(
        [sys.executable, "-c", COMMON + SAMPLE, str(held), str(path)],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1, "the library printed something"
    told = json.loads(done.stdout)
    assert "the prompt has" in told.pop("too long")[0]
    assert "a window of 0 tokens" in told.pop("empty window")[0]
    assert "has no .gguf file" in told.pop("no file")[0]
    assert told == dict.fromkeys(told, True)


def test_a_character_spread_over_tokens_comes_whole():
    pieces = ["é".encode()[:1], "é".encode()[1:] + b"a", b"", b"\xff", "日".encode()[:2]]
    assert list(_texts(iter(pieces))) == ["éa", "\ufffd", "\ufffd"]


OWN = """
import shutil
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, trainers
from tokenizers import pre_tokenizers as pre
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers import MixtralConfig, MixtralForCausalLM
from cortexbuild.formats.gguf.header import read_header
from cortexbuild.formats.tokenizer.tables import WORDS
model, text, work = map(Path, sys.argv[2:])
torch.manual_seed(0)
torch.set_num_threads(1)

def a_model(name, before, normalizer=None, hidden=64, inner=96, scale=1.0):
    own = Tokenizer(models.BPE())
    own.pre_tokenizer, own.decoder = before, decoders.ByteLevel()
    if normalizer:
        own.normalizer = normalizer
    alphabet = pre.ByteLevel.alphabet()
    own.train_from_iterator([text.read_text()], trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<|end|>"], initial_alphabet=alphabet))
    folder = work / name
    PreTrainedTokenizerFast(tokenizer_object=own, eos_token="<|end|>").save_pretrained(folder)
    small = LlamaForCausalLM(LlamaConfig(hidden_size=hidden, intermediate_size=inner, vocab_size=600,
        num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
        bos_token_id=None, eos_token_id=0))
    with torch.no_grad():
        small.model.layers[0].mlp.down_proj.weight.mul_(scale)
    small.save_pretrained(folder)
    return folder

bytes_ = pre.ByteLevel(add_prefix_space=False)
qwen = pre.Sequence([pre.Split(Regex(WORDS["qwen2"].pattern), "isolated"),
                     pre.ByteLevel(add_prefix_space=False, use_regex=False)])
vowels = pre.Sequence([pre.Split(Regex("[aeiou]+|[^aeiou]+"), "isolated"),
                       pre.ByteLevel(add_prefix_space=False, use_regex=False)])
told = {}
for name, folder in {
    "gpt-2": a_model("gpt", bytes_, hidden=192, inner=336),
    "qwen2": a_model("qwen", qwen),
}.items():
    convert(folder, work / f"{name}-out", dtype="f32")
    told[name] = read_header(work / f"{name}-out" / "model.gguf").fields["tokenizer.ggml.pre"]
told["unknown"] = refused(convert, a_model("unknown", vowels), work / "u")
told["lower"] = refused(convert, a_model("lower", bytes_, normalizers.Lowercase()), work / "l")
huge = a_model("huge", bytes_, scale=1e8)
told["huge"] = refused(convert, huge, work / "h")
convert(huge, work / "h-bf16", dtype="bf16")
foreign = shutil.copytree(model, work / "foreign")
config = json.loads((foreign / "config.json").read_text())
(foreign / "config.json").write_text(json.dumps({**config, "architectures": ["NoSuchModel"]}))
told["foreign"] = refused(convert, foreign, work / "f")

narrow = work / "gpt-2-out"
convert(work / "gpt", work / "gpt-2-f16")
told["narrow K"] = refused(quantize, narrow, work / "n1", type="Q4_K_M")
told["narrow 32"] = refused(quantize, narrow, work / "n2", type="Q8_0")
quantize(narrow, work / "n3", type="Q4_K_M", fallback="allow")
told["narrow together"] = [
    refused(together, model, [work / f"{type_}-{n}"], **more) for n, (model, type_, more) in enumerate([
        (work / "gpt", "Q4_K_M", {}), (work / "gpt", "Q8_0", {}), (huge, "Q8_0", {}),
        (foreign, "Q8_0", {}), (work / "lower", "Q8_0", {}),
    ])
]
together(work / "gpt", [work / "Q4_K_M-allowed"], fallback="allow")
quantize(work / "gpt-2-f16", work / "n4", type="Q4_K_M", fallback="allow")
together(huge, [work / "Q8_0-huge"], dtype="bf16")
quantize(work / "h-bf16", work / "n5", type="Q8_0")

experts = work / "experts"
shutil.copytree(work / "gpt", experts)
# 601 rows of Q6_K end between two of the places where a tensor may begin.
MixtralForCausalLM(MixtralConfig(hidden_size=256, intermediate_size=256, vocab_size=601,
    num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, num_local_experts=3,
    bos_token_id=None, eos_token_id=0)).save_pretrained(experts)
convert(experts, work / "experts-f16")
quantize(work / "experts-f16", work / "n6", type="Q4_K_M")
quantize(work / "experts-f16", work / "n7", type="Q3_K_M")
told["stacked"] = [list(it.shape) for it in read_header(work / "n6" / "model.gguf").tensors
                   if "_exps" in it.name]
together(experts, [work / "Q4_K_M-experts", work / "Q3_K_M-experts"])
told["together"] = [
    (work / ours / "model.gguf").read_bytes() == (work / theirs / "model.gguf").read_bytes()
    for ours, theirs in [("Q4_K_M-allowed", "n4"), ("Q8_0-huge", "n5"), ("Q4_K_M-experts", "n6"),
                         ("Q3_K_M-experts", "n7")]
]
broken = a_model("broken", bytes_, scale=float("nan"))
told["broken"] = refused(together, broken, [work / "Q8_0-broken"])
told["left"] = sorted(p.name for n in ("n1", "n2", "n3") for p in (work / n).glob("model.gguf"))
print()
print(json.dumps(told))
"""


@pytest.fixture(scope="session")
def own(held, tmp_path_factory):
    """What becomes of models with vocabularies, weights and widths of their own."""
    text = MODEL.parent.parent / "data" / "heldout-stdlib.txt"
    return run_after(ENGINES, COMMON + OWN, held, MODEL, text, tmp_path_factory.mktemp("own"))


def test_a_vocabulary_of_ones_own_is_known_by_its_tokenizer_json(own):
    assert (own["gpt-2"], own["qwen2"]) == ("gpt-2", "qwen2")


def test_a_vocabulary_that_would_be_read_otherwise_is_refused(own):
    message, hint = own["unknown"]
    assert "no pre-tokenizer that splits text as this model's" in message and "mlx-4bit" in hint
    message, hint = own["lower"]
    assert "in other tokens than the source's tokenizer does" in message
    assert "not be the same" in hint


def test_weights_beyond_the_range_of_f16_are_an_error(own):
    assert own["huge"] == ["a weight is too large for f16", "`set: {dtype: bf16}` has the range"]


def test_the_converters_own_reason_is_told(own):
    message, _hint = own["foreign"]
    assert message == "llama.cpp's converter: Model NoSuchModel is not supported"


def test_rows_that_do_not_fit_are_an_error_unless_a_fallback_is_allowed(own):
    message, hint = own["narrow K"]
    assert "rows that do not divide by 256, as Q4_K_M needs" in message
    assert "`blk.0.ffn_down.weight` (336 wide)" in message and "fallback: allow" in hint
    assert "1 tensors have rows that do not divide by 32" in own["narrow 32"][0]
    assert "`blk.0.ffn_down.weight` (336 wide)" in own["narrow 32"][0]
    assert own["left"] == ["model.gguf"]


def test_in_one_pass_the_same_is_refused(own):
    *narrow, huge, foreign, lower = own["narrow together"]
    assert narrow == [own["narrow K"], own["narrow 32"]]
    assert (huge, foreign, lower) == (own["huge"], own["foreign"], own["lower"])
    message, hint = own["broken"]
    assert message == "`blk.0.ffn_down.weight`: it has numbers that are infinite or not numbers"
    assert "damaged" in hint


def test_in_one_pass_the_same_comes_of_experts_of_fallbacks_and_of_large_numbers(own):
    assert own["stacked"] == [[256, 256, 3]] * 6
    assert own["together"] == [True] * 4


def test_what_is_quantized_already_is_not_quantized_again(held, made, tmp_path):
    code = (
        "source, work = map(Path, sys.argv[2:])\n"
        "print(json.dumps([refused(quantize, source / name, work / name, type='Q8_0')\n"
        "                  for name in ('Q4_K_M', 'q8_0')]))"
    )
    fewer, eight = run_script(COMMON + code, held, made[0], tmp_path)
    assert fewer[0].startswith("these weights are quantized already (Q4_K, Q6_K)")
    assert eight[0].startswith("these weights are quantized already (Q8_0)")
    assert fewer[1] == "build from the full-precision model that they were made from"


def test_a_library_that_gives_up_leaves_its_reason_and_no_file(held, made, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    content = bytearray((made[0] / "f16" / "model.gguf").read_bytes())
    content = content.replace(b"llama.block_count", b"llama.block_kount")
    (broken / "model.gguf").write_bytes(content)
    code = (
        "source, out = map(Path, sys.argv[2:])\n"
        "said = refused(quantize, source, out, type='Q8_0')\n"
        "print(json.dumps([*said, *(p.name for p in out.iterdir())]))"
    )
    message, *left = run_script(COMMON + code, held, broken, tmp_path / "out")
    assert message.startswith("llama.cpp cannot quantize this to Q8_0: ")
    assert "llama.block_count" in message
    assert left == ["choose another recipe: `cortexbuild recipes`"], "and no file"


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("modeling_x.py", "print()", "the source has Python code, modeling_x.py"),
        ("config.json", '{"auto_map": {}}', "config.json names code to run (`auto_map`)"),
        ("tokenizer_config.json", '[{"a": [{"auto_map": 1}]}]', "tokenizer_config.json names code"),
    ],
)
def test_code_in_a_source_is_refused(tmp_path, path, content, message):
    (tmp_path / path).write_text(content)
    with pytest.raises(ToolError) as caught:
        gguf.refuse_code(tmp_path)
    assert str(caught.value).startswith(message)
    assert "without code of the model's own" in caught.value.hint
    for kind in (Kind.CONVERT, Kind.QUANTIZE):
        tool = find_tool("gguf", kind, "safetensors")
        with pytest.raises(ToolError, match="code"):
            tool.run(plain_run({"model": tmp_path, "toolchain": tmp_path}, tmp_path), tool.params())


def test_without_the_library_one_is_told_how_to_get_it(monkeypatch):
    from importlib.metadata import PackageNotFoundError

    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(gguf, "version", version)
    for kind in (Kind.CONVERT, Kind.QUANTIZE):
        tool = find_tool("gguf", kind, "gguf")
        with pytest.raises(ToolError) as caught:
            tool.engine()
        assert str(caught.value) == "llama-cpp-python is not installed"
        assert caught.value.hint == "pip install 'cortexbuild[gguf]'"


def test_one_pass_makes_only_what_changes_its_order_as_a_whole(held, made, tmp_path):
    code = """
import hashlib
from cortexbuild.streaming import converter, gguf as one_pass
converter.PIECE = one_pass.PIECE = 5 * 256
sizes, whole = set(), converter._whole
def noted(tensor, scratch, size):
    sizes.add(size)
    return whole(tensor, scratch, size)
converter._whole = noted
model, out = map(Path, sys.argv[2:])
together(model, [out])
sha = hashlib.sha256((out / "model.gguf").read_bytes()).hexdigest()
print()
print(json.dumps([sorted(sizes), sha]))
"""
    sizes, sha = run_script(COMMON + code, held, MODEL, tmp_path / "Q8_0-by-rows")
    norm, key, query = 4 * 256, 2 * 128 * 256, 2 * 256 * 256
    assert sizes == [norm, key, query], "llama.cpp has the rows of keys and queries elsewhere"
    assert sha == made[1]["Q8_0"][3]
