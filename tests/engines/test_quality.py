"""What `validate` measures is right, and what is broken does not pass."""

from __future__ import annotations

import pytest
from engines.running import ENGINES, MODEL, run_after
from workspace import ROOT

from cortexbuild.core.judge import judge
from cortexbuild.core.limits import Limits

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("formats")]

ADAPTER = ROOT / "examples" / "adapters" / "docstrings"
LIMITS = Limits(max_kl=0.1, min_top1=0.85)

SCRIPT = """
import json, os, shutil, sys
from pathlib import Path
import mlx.core as mx
import numpy as np
from packed import TEXT, made
from cortexbuild.testing import plain_run
from cortexbuild.tools import gguf, lora, measure, mlx, reference, torch as torch_tool
source, adapter, work = map(Path, sys.argv[1:])
text = work / "text"
text.mkdir(parents=True)
(text / "text.txt").write_text(TEXT[:6000])

def run(tool, out, params, **inputs):
    out.mkdir(parents=True)
    tool(plain_run(inputs, out), params)
    return out

def tool(module, format_):
    return next(t for t in module.TOOLS if format_ in t.accepts)

few = reference.ReferenceParams(tokens=300, window=128)
refer = tool(reference, "safetensors").run
kept = run(refer, work / "reference", few, model=source, text=text)
adapted = run(refer, work / "adapted", few.model_copy(update={"weights": (1.0,)}),
              model=source, text=text, adapter0=adapter)

def measured(name, folder, how=measure.measure_mlx, reference=kept, source=source):
    out = run(how, work / "measured" / name, measure.MeasureParams(),
              model=folder, source=source, text=text, reference=reference)
    return json.loads((out / "measures.json").read_text())

plain = run(mlx.convert, work / "plain", mlx.ConvertParams(), model=source)
four = run(mlx.quantize, work / "four", mlx.QuantizeParams(bits=4), model=plain)
merged = run(lora.merge, work / "merged", lora.MergeParams(), model=source, adapter0=adapter)

def broken(name, change, config=None, base=plain):
    folder = work / name
    shutil.copytree(base, folder)
    weights = dict(mx.load(str(folder / "model.safetensors")))
    change(weights)
    mx.eval(weights)
    mx.save_safetensors(str(work / "new.safetensors"), weights, {"format": "mlx"})
    shutil.move(work / "new.safetensors", folder / "model.safetensors")
    if config:
        said = json.loads((folder / "config.json").read_text())
        config(said)
        (folder / "config.json").write_text(json.dumps(said))
    return folder

def nan(weights):
    name = "model.layers.3.mlp.up_proj.weight"
    array = np.array(weights[name].astype(mx.float32))
    array[5, 7] = np.nan
    weights[name] = mx.array(array).astype(mx.bfloat16)

def swap(weights):
    for name in [n for n in weights if n.startswith("model.layers.1.")]:
        other = name.replace("layers.1.", "layers.4.")
        weights[name], weights[other] = weights[other], weights[name]

def rope(config):
    config["rope_theta"] = 1000000.0
    if "rope_parameters" in config:
        config["rope_parameters"]["rope_theta"] = 1000000.0

said = {
    "bf16": measured("bf16", plain),
    "mlx-4bit": measured("mlx-4bit", four),
    "safetensors": measured("safetensors", source, measure.measure_torch),
    "merged": measured("merged", merged, measure.measure_torch, adapted, merged),
    "nan": measured("nan", broken("nan", nan)),
    "swapped": measured("swapped", broken("swapped", swap)),
    "rope": measured("rope", broken("rope", lambda w: None, rope)),
    "not merged": measured("not-merged", source, measure.measure_torch, adapted),
}
short = work / "short"
shutil.copytree(plain, short)
tokens = json.loads((short / "tokenizer.json").read_text())
tokens["model"]["merges"] = tokens["model"]["merges"][:1500]
(short / "tokenizer.json").write_text(json.dumps(tokens))
said["tokenizer"] = measured("tokenizer", short)
chat = work / "chat"
shutil.copytree(plain, chat)
(chat / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
said["chat"] = measured("chat", chat)
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("quality")


@pytest.fixture(scope="module")
def measured(work):
    return run_after(ENGINES, SCRIPT, MODEL, ADAPTER, work)


def test_a_good_model_passes(measured):
    for name in ("bf16", "mlx-4bit", "safetensors", "merged"):
        assert judge(measured[name], LIMITS) == (), name
    assert measured["safetensors"]["kl"] == 0 and measured["safetensors"]["top1"] == 1
    assert measured["bf16"]["kl"] < 1e-9
    assert measured["merged"]["kl"] < 1e-4, "16-bit weights, merged, beside the adapter itself"
    assert measured["mlx-4bit"]["tokens_per_second"] > 0
    assert measured["mlx-4bit"]["memory_bytes"] > 1 << 20


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("nan", "1 of its weights are NaN or infinite, the first in `model.layers.3.mlp.up_proj"),
        ("swapped", "KL divergence is"),
        ("rope", "KL divergence is"),
        ("tokenizer", "its tokenizer differs from the source's, first at token"),
        ("chat", "its chat template writes another prompt"),
        ("not merged", "KL divergence is"),
    ],
)
def test_what_is_broken_does_not_pass(measured, fault, said):
    wrong = judge(measured[fault], LIMITS)
    assert any(said in problem for problem in wrong), wrong


INDEPENDENT = """
import json, sys
from pathlib import Path
import mlx.core as mx
import numpy as np
import torch
from mlx_lm.utils import dequantize_model, load
from packed import TEXT
from transformers import AutoModelForCausalLM, AutoTokenizer
source, four = sys.argv[1:]
tokens = AutoTokenizer.from_pretrained(source)(TEXT[:6000])["input_ids"][:301]
model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float64)
theirs = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float64)
weights = dict(mx.load(four + "/model.safetensors"))
state = theirs.state_dict()
for name in list(state):
    stem = name.removesuffix(".weight")
    if stem + ".scales" in weights:  # bits and groups: 4 and 64
        packed = np.array(weights[name])
        values = (packed[:, :, None] >> np.arange(0, 32, 4)) & 15
        values = values.reshape(len(packed), -1).astype(np.float64)
        scale, bias = (np.repeat(np.array(weights[f"{stem}.{n}"].astype(mx.float32)).astype(np.float64),
                       64, 1) for n in ("scales", "biases"))
        state[name].copy_(torch.tensor(values * scale + bias))
theirs.load_state_dict(state)
before, after = [], []
with torch.no_grad():
    for start in range(0, 300, 128):
        part = torch.tensor([tokens[start:min(start + 128, 300)]])
        before.append(model(part).logits[0]), after.append(theirs(part).logits[0])
p, q = torch.log_softmax(torch.cat(before), -1), torch.log_softmax(torch.cat(after), -1)
kl = (p.exp() * (p - q)).sum(-1)
following = torch.tensor(tokens[1:])
loss = lambda x: -x[torch.arange(300), following].mean()
print(json.dumps({
    "kl": kl.mean().item(), "kl_p99": kl.quantile(0.99).item(),
    "top1": (p.argmax(-1) == q.argmax(-1)).double().mean().item(),
    "perplexity": loss(q).exp().item(), "source_perplexity": loss(p).exp().item(),
    "ppl_ratio": (loss(q) - loss(p)).exp().item(),
    "logit_error": (torch.cat(before) - torch.cat(after)).abs().max().item(),
}))
"""


def test_the_numbers_are_those_of_another_program_in_64_bits(measured, work):
    expected = run_after(ENGINES, INDEPENDENT, MODEL, work / "four")
    for name, value in expected.items():
        assert measured["mlx-4bit"][name] == pytest.approx(value, rel=1e-3), name
