"""PyTorch for real: pickled weights made safe, and INT8 and INT4 that save what they promise."""

from __future__ import annotations

import json

import pytest
from engines.running import ENGINES, MODEL, run_after, run_script

from cortexbuild.core.digest import File, Tree, digest_bytes
from cortexbuild.core.step import Input, Kind, Step, StepId, ToolId, key_of
from cortexbuild.tools import find_tool

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("formats")]

CONVERT = """
import builtins, json, os, pickle, subprocess, sys, warnings
from pathlib import Path
import torch
from compare import tensors
from cortexbuild.testing import plain_run
from cortexbuild.errors import CortexError
from cortexbuild.formats.safetensors.header import read_header
from cortexbuild.tools import torch as ours
from safetensors.torch import load_file
warnings.simplefilter("ignore")
source, work = Path(sys.argv[1]), Path(sys.argv[2])
whole = load_file(source / "model.safetensors")
names = sorted(whole)
nothing = lambda *a: None

def save(case, files, index=None, legacy=False):
    folder = work / case
    folder.mkdir()
    for name, state in files.items():
        torch.save(state, folder / name, _use_new_zipfile_serialization=not legacy)
    for name in ("config.json", "tokenizer.json", "chat_template.jinja"):
        (folder / name).write_bytes((source / name).read_bytes())
    if index is not None:
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return folder

def convert(folder):
    out = work / (folder.name + "-out")
    out.mkdir()
    try:
        ours.convert(plain_run({"model": folder}, out), ours.ConvertParams())
    except CortexError as error:
        return {"error": str(error), "hint": error.hint}
    made = tensors(out)
    return {"files": sorted(p.name for p in out.iterdir()),
            "copied": all((out / p.name).read_bytes() == p.read_bytes()
                          for p in folder.iterdir() if p.suffix in (".json", ".jinja")
                          and "index" not in p.name),
            "made": made, "out": out}

def same(case, state, **how):
    said = convert(save(case, {"pytorch_model.bin": state}, **how))
    made = said.pop("made", {})
    kinds = {"BF16": torch.bfloat16, "F32": torch.float32, "I64": torch.int64, "BOOL": torch.bool,
             "F16": torch.float16, "U8": torch.uint8}
    said["wrong"] = sorted({*state, *made} - {*state} & {*made}) + [
        n for n, t in state.items() if n in made and (
            kinds[made[n][0]] != t.dtype or made[n][1] != tuple(t.shape)
            or made[n][2] != t.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())]
    if "out" in said:
        loaded = load_file(said.pop("out") / "model.safetensors")
        said["wrong"] += [n for n in state if not torch.equal(loaded[n], state[n])]
    return said

said = {"whole": same("whole", whole), "legacy": same("legacy", whole, legacy=True)}
tied = dict(whole) | {"lm_head.weight": whole["model.embed_tokens.weight"]}
said["tied"] = same("tied", tied)
base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
said["views"] = same("views", {"a": base, "b": base.T, "c": base[1:3, ::2], "d": base[0, 0],
    "e": torch.tensor([True, False, True]), "f": torch.zeros(0, 5), "g": torch.arange(3),
    "h": base.half(), "i": base.to(torch.uint8), "j": torch.nn.Parameter(base)})

places = {n: f"pytorch_model-0000{1 + (i > 20)}-of-00002.bin" for i, n in enumerate(names)}
parts = {f: {n: whole[n] for n in names if places[n] == f} for f in sorted(set(places.values()))}
index = {"metadata": {"made_by": "us", "total_size": 1}, "weight_map": places}
sharded = convert(save("sharded", parts, index))
listed = json.loads((sharded["out"] / "model.safetensors.index.json").read_text())
per_file = {f: set(read_header(sharded["out"] / f).tensors) for f in set(listed["weight_map"].values())}
wanted = {n: (t.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()) for n, t in whole.items()}
said["sharded"] = {"files": sharded["files"], "metadata": listed["metadata"],
    "wrong": [n for n in names if sharded["made"][n][2] != wanted[n]
              or n not in per_file[listed["weight_map"][n]]],
    "size": sum(len(b) for b in wanted.values()), "copied": sharded["copied"]}

first = sorted(parts)[0]
said["missing shard"] = convert(save("missing", {first: parts[first]}, index))
short = {f: {n: t for n, t in s.items() if n != "model.norm.weight"} for f, s in parts.items()}
said["missing tensor"] = convert(save("hole", short, index))
twice = {f: dict(s) | {"model.norm.weight": whole["model.norm.weight"]} for f, s in parts.items()}
said["twice"] = convert(save("twice", twice, index))
said["no tensor"] = convert(save("checkpoint", {"pytorch_model.bin": {"model": whole, "epoch": 3}}))
said["no table"] = convert(save("list", {"pytorch_model.bin": [base]}))
said["sparse"] = convert(save("sparse", {"pytorch_model.bin": {"s": base.to_sparse()}}))
for name, content in (("text", b"hello"), ("cut", (work / "whole" / "pytorch_model.bin").read_bytes()[:5000])):
    folder = save(name, {})
    (folder / "pytorch_model.bin").write_bytes(content)
    said[name] = convert(folder)

class Runs:
    def __init__(self, call, *arguments):
        self.how = call, arguments
    def __reduce__(self):
        return self.how

marker = work / "it ran"
touch = f"open({str(marker)!r}, 'w').close()"
payloads = {
    "system": Runs(os.system, f"touch '{marker}'"),
    "eval": Runs(eval, touch), "exec": Runs(exec, touch),
    "nested": {"a": base, "deep": {"er": [base, {"x": Runs(os.system, f"touch '{marker}'")}]}},
    "popen": {"w": Runs(subprocess.Popen, ["touch", str(marker)])},
    "import": Runs(__import__, "this"),
    "key": {Runs(eval, touch): base},
    "state": Runs(getattr, Runs(__import__, "os"), "system"),
}
said["refused"] = {}
for name, payload in payloads.items():
    for form in ("zip", "legacy", "raw"):
        folder = save(f"bad-{name}-{form}", {})
        path = folder / "pytorch_model.bin"
        if form == "raw":
            path.write_bytes(pickle.dumps(payload, protocol=2))
        else:
            torch.save(payload, path, _use_new_zipfile_serialization=form == "zip")
        made = convert(folder)
        out = work / (folder.name + "-out")
        said["refused"][f"{name}-{form}"] = [made.get("error", ""), len(list(out.iterdir())), marker.exists()]
torch.load(work / "bad-eval-zip" / "pytorch_model.bin", weights_only=False)
said["the payload works"] = marker.exists()
print(json.dumps(said, default=str))
"""


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    return run_after(ENGINES, CONVERT, MODEL, tmp_path_factory.mktemp("bin"))


def test_pickled_weights_become_safetensors_bit_for_bit(converted):
    for case in ("whole", "legacy", "tied", "views"):
        assert converted[case]["wrong"] == [], case
        assert converted[case]["copied"]
        assert converted[case]["files"] == [
            "chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json",
        ]  # fmt: skip


def test_shards_stay_shards_and_get_an_index_of_their_own(converted):
    said = converted["sharded"]
    assert said["wrong"] == [] and said["copied"]
    assert [name for name in said["files"] if "model" in name] == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ]
    assert said["metadata"] == {"made_by": "us", "total_size": said["size"]}


@pytest.mark.parametrize(
    "case, words",
    [
        ("missing shard", "pytorch_model-00002-of-00002.bin"),
        ("missing tensor", "1 tensors of the index are in none of its files"),
        ("twice", "pytorch_model-00002-of-00002.bin: `model.norm.weight` is in another file too"),
        ("no tensor", "pytorch_model.bin: `model` is not a tensor but dict"),
        ("no table", "pytorch_model.bin: it holds no table of weights"),
        ("sparse", "`s` cannot be kept in safetensors (torch.float32, torch.sparse_coo)"),
        ("text", "pytorch_model.bin: not a file of PyTorch weights, or a damaged one"),
        ("cut", "pytorch_model.bin: not a file of PyTorch weights, or a damaged one"),
    ],
)
def test_what_cannot_be_converted_is_an_error_that_names_it(converted, case, words):
    assert words in converted[case]["error"]


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(converted):
    assert len(converted["refused"]) == 24
    for case, (error, files, ran) in converted["refused"].items():
        assert error.startswith("pytorch_model.bin: "), case
        assert not ran and files == 0, case
    named = converted["refused"]["system-zip"][0]
    assert "could run code (it names `posix.system`), so it was refused" in named
    assert converted["the payload works"], "else nothing was shown"


QUANTIZE = """
import hashlib, json, sys, torch
from pathlib import Path
from cortexbuild.testing import plain_run
from cortexbuild.core.step import Kind
from cortexbuild.errors import ToolError
from cortexbuild.tools import find_tool
nothing = lambda *a: None
said = {}
for name, (source, out) in json.loads(sys.argv[1]).items():
    tool = find_tool(name.split("-")[0], Kind.QUANTIZE, "safetensors")
    out = Path(out)
    out.mkdir(parents=True)
    try:
        tool.run(plain_run({"model": Path(source)}, out), tool.params())
        said[name] = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in out.iterdir()}
    except ToolError as error:
        said[name] = {"error": str(error), "hint": error.hint}
print(json.dumps(said))
"""

SPECIAL = """
import json, sys, torch
from pathlib import Path
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM
from safetensors.torch import load_file, save_file
work = Path(sys.argv[1])
torch.manual_seed(0)
usual = LlamaConfig(hidden_size=256, intermediate_size=512, num_hidden_layers=3, vocab_size=500,
    num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=False)
LlamaForCausalLM(usual).half().save_pretrained(work / "untied")
LlamaForCausalLM(usual).half().save_pretrained(work / "sharded", max_shard_size="1MB")
Qwen3MoeForCausalLM(Qwen3MoeConfig(hidden_size=64, intermediate_size=64, moe_intermediate_size=64,
    num_hidden_layers=1, num_experts=4, num_experts_per_tok=2, num_attention_heads=2,
    num_key_value_heads=2, head_dim=32, vocab_size=128)).bfloat16().save_pretrained(work / "experts")
whole = load_file(work / "untied" / "model.safetensors")
def variant(name, change):
    (work / name).mkdir()
    tensors = dict(whole)
    change(tensors)
    save_file(tensors, work / name / "model.safetensors", {"format": "pt"})
    (work / name / "config.json").write_bytes((work / "untied" / "config.json").read_bytes())
variant("nan", lambda t: t["model.norm.weight"].fill_(float("nan")))
variant("flat", lambda t: t["model.norm.weight"].zero_())
variant("hole", lambda t: t.pop("model.layers.1.mlp.up_proj.weight"))
variant("more", lambda t: t.update({"vision.weight": torch.zeros(2, 2)}))
variant("wrong", lambda t: t.update({"lm_head.weight": torch.zeros(7, 256)}))
variant("done", lambda t: None)
config = json.loads((work / "done" / "config.json").read_text())
(work / "done" / "config.json").write_text(json.dumps(config | {"quantization_config": {"bits": 4}}))
print(1)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Models in INT8 and INT4, made by one process, and their digests by that and another."""
    work = tmp_path_factory.mktemp("torch")
    run_after(ENGINES, SPECIAL, work)
    digests = []
    with pytest.MonkeyPatch.context() as patch:
        for seed in ("1", "2"):
            patch.setenv("PYTHONHASHSEED", seed)
            patch.setenv("OMP_NUM_THREADS", seed)
            sources = {"int8": MODEL, "int4": MODEL}
            if seed == "1":
                other = [(n, s) for n in ("int8", "int4") for s in ("untied", "sharded")]
                sources |= {f"{n}-{s}": work / s for n, s in other}
            cases = {name: (str(path), str(work / seed / name)) for name, path in sources.items()}
            digests.append(run_script(QUANTIZE, json.dumps(cases)))
    return work / "1", digests


def size(folder) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def test_two_runs_give_the_same_bytes(built):
    _, (first, second) = built
    assert {name: first[name] for name in second} == second
    assert all("error" not in said for said in first.values()), first


THREADS = """
import json, torch
from cortexbuild.tools.int8 import fixed_threads
numbers = [torch.randn(100_000, generator=torch.Generator().manual_seed(n)).abs() for n in range(20)]
said = []
for threads in (1, 2):
    torch.set_num_threads(threads)
    with fixed_threads():
        fixed = [float(some.mean()) for some in numbers]
    said.append([fixed, [float(some.mean()) for some in numbers], torch.get_num_threads()])
print(json.dumps(said))
"""


def test_sums_do_not_depend_on_the_number_of_cores():
    (first, alone, one), (second, together, two) = run_after(ENGINES, THREADS)
    assert first == second and (one, two) == (1, 2)
    assert alone != together, "then there is nothing to fix"


def test_only_weights_and_config_differ_from_the_source(built):
    work, _ = built
    kept = sorted(path.name for path in MODEL.iterdir())
    for name in ("int8", "int4"):
        assert sorted(path.name for path in (work / name).iterdir()) == kept
        for file in kept:
            same = (work / name / file).read_bytes() == (MODEL / file).read_bytes()
            assert same == (file not in ("config.json", "model.safetensors")), file
        config = json.loads((work / name / "config.json").read_text())
        method = config.pop("quantization_config")["quant_method"]
        assert method == {"int8": "torchao", "int4": "bitsandbytes"}[name]
        assert config == json.loads((MODEL / "config.json").read_text())


def test_int4_is_packed(built):
    """S13. The shipped model is a third embedding, which stays in 16 bits in both."""
    work, _ = built
    assert size(work / "int4-untied") < 0.65 * size(work / "int8-untied")
    assert size(work / "int4") < 0.67 * size(work / "int8") < 0.45 * size(MODEL)
    embedding = 4096 * 256 * 2
    assert size(work / "int4") - embedding < 0.55 * (size(work / "int8") - embedding)


def test_one_file_or_several_of_the_same_weights_give_the_same_weights(built):
    _, (digests, _) = built
    for name in ("int8", "int4"):
        whole, sharded = digests[f"{name}-untied"], digests[f"{name}-sharded"]
        assert set(whole) == set(sharded)


WRONG = {
    "nan": "gives NaN or infinite scores",
    "flat": "gives the same score to every token",
    "hole": "1 missing weights; the first is `model.layers.1.mlp.up_proj.weight`",
    "more": "1 unexpected weights; the first is `vision.weight`",
    "wrong": "`lm_head` is [7, 256], and not [500, 256]",
    "done": "quantized already",
    "experts": "are not in linear layers and would stay as they are",
}


def test_what_cannot_be_quantized_is_an_error_and_no_model(built, tmp_path):
    work, _ = built
    cases = {
        f"{name}-{source}": (str(work.parent / source), str(tmp_path / name / source))
        for name, source in [("int4", source) for source in WRONG] + [("int8", "experts")]
    }
    for name, said in run_after(ENGINES, QUANTIZE, json.dumps(cases)).items():
        assert WRONG[name.partition("-")[2]] in said.get("error", "no error"), (name, said)


RUN = """
import json, sys
from pathlib import Path
import numpy as np
from cortexbuild.core.ports import Sampling
from cortexbuild.runtimes import find_runtime
work, source, text = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]).read_text()
folders = {"safetensors": source, "int8": work / "int8", "int4": work / "int4"}
models = {name: find_runtime(name).load(folder) for name, folder in folders.items()}
prompt, question = "def read_lines(path):\\n", "What does this do?\\ndef read_lines(path):"

def logprobs(model, tokens):
    scores = model.logits(tokens)
    assert scores.dtype == np.float32 and scores.shape == (len(tokens), 4096)
    scores = scores.astype(np.float64)
    return scores - np.log(np.exp(scores - scores.max(-1, keepdims=True)).sum(-1, keepdims=True)) - scores.max(-1, keepdims=True)

tokens = models["safetensors"].encode(text)[:257]
found = {name: logprobs(model, tokens) for name, model in models.items()}
true = found["safetensors"]
said = {"start": tokens[0]}
said["kl"] = {n: float((np.exp(true) * (true - l)).sum(-1).mean()) for n, l in found.items()}
said["loss"] = {n: float(-l[np.arange(256), tokens[1:]].mean()) for n, l in found.items()}
write = lambda name, words=prompt, **how: "".join(models[name].generate(words, Sampling(**how)))
for name in models:
    greedy = write(name, max_tokens=24)
    said[name] = {"again": write(name, max_tokens=24) == greedy}
    said[name]["shorter"] = greedy.startswith(write(name, max_tokens=8))
greedy = write("int4", max_tokens=24)
word, hot = greedy.split()[3], dict(max_tokens=24, temperature=1.5)
said["int4"] |= {
    "stop": write("int4", max_tokens=24, stop=(word,)) == greedy.partition(word)[0],
    "seed": write("int4", seed=1, **hot) == write("int4", seed=1, **hot),
    "other seed": write("int4", seed=1, **hot) != write("int4", seed=2, **hot),
    "top_k": write("int4", top_k=1, **hot) == greedy,
    "top_p": write("int4", top_p=1e-6, **hot) == greedy,
    "penalty": write("int4", max_tokens=24, repetition_penalty=1.8) != greedy,
    "nothing": write("int4", max_tokens=0) == "",
}
some = Sampling(max_tokens=60, chat=True)
pieces = list(models["safetensors"].generate(question, some))
said["pieces"] = pieces
said["unicode"] = write("safetensors", "x = '\\N{SNOWMAN}", max_tokens=12)
said["greedy"] = write("safetensors", max_tokens=24)
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
for name, folder in folders.items():
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder, dtype="auto"), AutoTokenizer.from_pretrained(folder)
    ids = torch.tensor([models[name].encode(prompt)])
    out = model.generate(ids, max_new_tokens=24, do_sample=False)
    text = tokenizer.decode(out[0])[len(tokenizer.decode(ids[0])):]
    said[name]["plain"] = text == write(name, max_tokens=24)
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def ran(built):
    work, _ = built
    return run_after(ENGINES, RUN, work, MODEL, MODEL.parents[1] / "data" / "heldout-stdlib.txt")


def test_fewer_bits_cost_a_little_and_int4_costs_more(ran):
    assert ran["kl"]["safetensors"] == 0
    assert 0 < ran["kl"]["int8"] < 1e-3 < ran["kl"]["int4"] < 0.1
    assert ran["start"] == 1, "the special token in front"
    assert ran["loss"]["safetensors"] < 3 and ran["loss"]["int4"] < ran["loss"]["safetensors"] + 0.2


def test_generate_means_what_its_flags_say_and_plain_transformers_says_the_same(ran):
    for name in ("safetensors", "int8", "int4"):
        assert ran[name] == dict.fromkeys(ran[name], True), name
        assert "plain" in ran[name]


def test_an_answer_comes_in_pieces_and_ends_where_the_model_ends_it(ran):
    answer = "".join(ran["pieces"])
    assert 3 < len(ran["pieces"]) < 60
    assert "<|im_end|>" not in answer and "assistant" not in answer
    assert "\N{REPLACEMENT CHARACTER}" not in ran["unicode"]
    assert ran["greedy"].startswith("        "), "spaces at the start belong to the text"


def test_int8_and_int4_of_one_model_have_keys_of_their_own():
    """S14."""
    tree = Tree.of([File("model.safetensors", digest_bytes(b"weights"), 7)])
    keys = set()
    for name in ("int8", "int4"):
        tool = find_tool(name, Kind.QUANTIZE, "safetensors")
        id_ = ToolId(tool.name, tool.revision, {"torch": "2"})
        source = {"model": Input(StepId("0" * 64))}
        step = Step(
            Kind.QUANTIZE, id_, tool.params().plain(), source, "m:t/quantize", "safetensors"
        )
        keys.add(key_of(step.ingredients({"model": tree})))
    assert len(keys) == 2
