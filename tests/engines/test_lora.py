"""Adapters merged for real: what PEFT gives bit for bit, and what is refused by its name."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from engines.running import ENGINES, MODEL, TORCH, run_after
from safetensors.numpy import load_file, save_file
from workspace import ROOT

from cortexbuild.tools import lora

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("formats")]

SHIPPED = ROOT / "examples" / "adapters" / "docstrings"

PEFT = """
import json, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
from transformers.utils import logging
logging.disable_progress_bar(); logging.set_verbosity_error()
source, work = sys.argv[1], Path(sys.argv[2])
base = lambda: AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)

def adapter(name, **settings):
    torch.manual_seed(len(name))
    wanted = dict(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj", "down_proj"])
    config = LoraConfig(**{**wanted, "init_lora_weights": False, **settings})
    get_peft_model(base(), config).save_pretrained(work / name)

adapter("plain")
adapter("ranks", target_modules=["q_proj", "k_proj", "o_proj", "gate_proj"],
        rank_pattern={"q_proj": 4, "layers.1.self_attn.k_proj": 2}, alpha_pattern={"o_proj": 3})
adapter("stable", use_rslora=True, r=6)
adapter("half"), [save_file({k: v.bfloat16() for k, v in load_file(work / "half" / n).items()},
                  work / "half" / n) for n in ("adapter_model.safetensors",)]
adapter("dora", use_dora=True)
adapter("saved", modules_to_save=["lm_head"])
adapter("embedding", target_modules=["embed_tokens"])

def merged(out, *adapters):
    model = base()
    for name, weight in adapters:
        model = PeftModel.from_pretrained(model, work / name)
        for module in model.modules():
            if isinstance(module, LoraLayer):
                module.set_scale("default", weight)
        model = model.merge_and_unload(safe_merge=True)
    model.to(torch.bfloat16).save_pretrained(work / out)

for name in ("plain", "ranks", "stable", "half"):
    merged("peft-" + name, (name, 1))
merged("peft-both", ("plain", 0.5), ("ranks", -0.25))

# The same numbers as mlx-lm writes them.
(work / "mlx").mkdir()
known = load_file(work / "plain" / "adapter_model.safetensors")
rename = lambda k: k.removeprefix("base_model.model.").replace(
    ".lora_A.weight", ".lora_a").replace(".lora_B.weight", ".lora_b")
save_file({rename(k): v.T.contiguous() for k, v in known.items()},
          work / "mlx" / "adapters.safetensors")
(work / "mlx" / "adapter_config.json").write_text(json.dumps({"fine_tune_type": "lora",
    "num_layers": 6, "lora_parameters": {"rank": 8, "scale": 2.0, "dropout": 0.0}}))

# The same model in two files.
whole = load_file(source + "/model.safetensors")
names = sorted(whole)
(work / "shards").mkdir()
places = {n: f"model-0000{1 + (i > 20)}-of-00002.safetensors" for i, n in enumerate(names)}
for file in set(places.values()):
    save_file({n: whole[n] for n in names if places[n] == file}, work / "shards" / file, {"format": "pt"})
index = {"metadata": {}, "weight_map": places}
(work / "shards" / "model.safetensors.index.json").write_text(json.dumps(index))
for other in Path(source).iterdir():
    if other.suffix != ".safetensors":
        (work / "shards" / other.name).write_bytes(other.read_bytes())
print(json.dumps(sorted(p.name for p in work.iterdir())))
"""

MERGE = """
import json, sys
from pathlib import Path
from compare import differences, tensors
from cortexbuild.testing import plain_run
from cortexbuild.errors import CortexError
from cortexbuild.tools import lora
work, results = Path(sys.argv[1]), []
lora.PIECE = int(sys.argv[3])
for number, (model, adapters, settings, expected) in enumerate(json.loads(sys.argv[2])):
    out = work / f"out{number}"
    out.mkdir(exist_ok=True)
    inputs = {"model": Path(model), **{k: Path(v) for k, v in adapters.items()}}
    try:
        nothing = lambda *a: None
        lora.merge(plain_run(inputs, out), lora.MergeParams(**settings))
        said = {"files": sorted(p.name for p in out.iterdir()), "out": str(out)}
        if expected:
            said["differences"] = differences(out, Path(expected))
        said["changed"] = differences(out, Path(model))
    except CortexError as error:
        said = {"error": str(error), "hint": error.hint}
    results.append(said)
assert not {"transformers", "peft", "mlx"} & set(sys.modules)
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Adapters and merged models as PEFT makes them."""
    folder = tmp_path_factory.mktemp("peft")
    run_after(ENGINES, PEFT, MODEL, folder)
    return folder


@pytest.fixture
def merge(tmp_path):
    def merge(*cases, piece=lora.PIECE):
        """Each case: the adapters in order, and what else differs from a plain merge."""
        rows = []
        for adapters, other in cases:
            if not isinstance(adapters, dict):
                adapters = {f"adapter{n}": path for n, path in enumerate(adapters)}
            inputs = {role: str(path) for role, path in adapters.items()}
            model, expected = other.get("model", MODEL), other.get("expected", "")
            rows.append([str(model), inputs, other.get("settings", {}), str(expected)])
        return run_after(TORCH, MERGE, tmp_path, json.dumps(rows), str(piece))

    return merge


def test_merging_gives_the_tensors_of_peft_bit_for_bit(work, merge):
    both = [work / "plain", work / "ranks"]
    said = merge(
        *(([work / name], {"expected": work / f"peft-{name}"}) for name in
          ("plain", "ranks", "stable", "half")),
        (both, {"expected": work / "peft-both", "settings": {"weights": [0.5, -0.25]}}),
        ([work / "mlx"], {"expected": work / "peft-plain"}),
        ([work / "plain"], {"expected": work / "peft-plain", "model": work / "shards"}),
    )  # fmt: skip
    assert [one.get("differences", one) for one in said] == [[]] * 7
    assert [len(one["changed"]) for one in said] == [18, 24, 18, 18, 36, 18, 18]
    assert all("q_proj" in name or "v_proj" in name or "down_proj" in name
               for name in said[0]["changed"])  # fmt: skip


def test_merging_a_few_rows_at_a_time_gives_the_same_tensors(work, merge):
    names = ("plain", "ranks", "stable", "half")
    cases = [([work / name], {"expected": work / f"peft-{name}"}) for name in names]
    for rows in (9, 50):
        said = merge(*cases, piece=rows * 256 * 4)
        assert [one.get("differences", one) for one in said] == [[]] * 4


def test_a_file_that_an_earlier_run_finished_is_not_made_again(work, merge, tmp_path):
    first, second = sorted((work / "shards").glob("*.safetensors"))
    (tmp_path / "out0").mkdir()
    (tmp_path / "out0" / first.name).write_bytes(first.read_bytes())
    [said] = merge(([work / "plain"], {"model": work / "shards"}))
    assert 0 < len(said["changed"]) < 18
    assert (tmp_path / "out0" / second.name).read_bytes() != second.read_bytes()


def test_all_but_the_weights_stays_as_it_is_byte_for_byte(work, merge, tmp_path):
    merge(([work / "plain"], {"model": work / "shards"}))
    for path in (work / "shards").iterdir():
        made = tmp_path / "out0" / path.name
        assert made.stat().st_size == path.stat().st_size
        assert (made.read_bytes() == path.read_bytes()) == (path.suffix != ".safetensors")


def test_the_order_of_adapters_is_that_of_their_numbers(work, merge, tmp_path):
    """Ten comes after two, however the inputs are listed."""
    names = ["plain", "stable", "mlx", *["half"] * 7, "ranks"]
    weights = {"settings": {"weights": [n / 10 for n in range(11)]}}
    numbered = {f"adapter{n}": work / name for n, name in enumerate(names)}
    backwards = dict(reversed(numbered.items()))
    merge((numbered, weights), (backwards, weights))
    forth, back = (tmp_path / f"out{n}" / "model.safetensors" for n in (0, 1))
    assert forth.read_bytes() == back.read_bytes()


def changed(work, tmp_path, name, **settings):
    folder = tmp_path / name
    shutil.copytree(work / "plain", folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | settings))
    return folder


def test_what_is_not_plain_lora_is_refused_by_its_name(work, merge, tmp_path):
    cases = {
        "it has DoRA": work / "dora",
        "modules trained as a whole": work / "saved",
        "it has LoRA of embeddings": work / "embedding",
        "trained biases (`bias: all`)": changed(work, tmp_path, "bias", bias="all"),
        "`init_lora_weights: pissa`": changed(work, tmp_path, "pissa", init_lora_weights="pissa"),
        "it has `LOHA`": changed(work, tmp_path, "loha", peft_type="LOHA"),
        "LoRA of parameters": changed(work, tmp_path, "p", target_parameters=["a.b"]),
        "of rank 8, and not of `16`": changed(work, tmp_path, "rank", r=16),
        "no number for `lora_alpha`": changed(work, tmp_path, "alpha", lora_alpha="x"),
    }
    for said, words in zip(merge(*(([path], {}) for path in cases.values())), cases, strict=True):
        assert said["error"].startswith("adapter0: ") and words in said["error"], said


def test_an_adapter_of_another_model_is_an_error_that_names_the_tensor(work, merge, tmp_path):
    found = load_file(work / "plain" / "adapter_model.safetensors")
    (first,) = (name for name in found if name.endswith("layers.0.self_attn.q_proj.lora_A.weight"))
    cases = {
        "name": {
            k.replace("layers.0.self_attn.q", "layers.9.self_attn.q"): v for k, v in found.items()
        },
        "shape": {**found, first: np.ascontiguousarray(found[first][:, :-1])},
        "half": {name: values for name, values in found.items() if name != first},
    }
    for name, tensors in cases.items():
        save_file(tensors, changed(work, tmp_path, name) / "adapter_model.safetensors")
    wrong, shape, half = merge(*(([tmp_path / name], {}) for name in cases))
    assert "`model.layers.9.self_attn.q_proj.weight`, and the model has no such" in wrong["error"]
    assert "do not fit `model.layers.0.self_attn.q_proj.weight` [256, 256]" in shape["error"]
    assert "[8, 255]" in shape["error"] and "trained on" in shape["hint"]
    assert "q_proj.lora_A.weight` is not" in half["error"]


def test_weights_that_do_not_fit_the_adapters_and_broken_ones_are_errors(work, merge, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "README.md").write_text("nothing")
    dora = tmp_path / "mlx-dora"
    shutil.copytree(work / "mlx", dora)
    (dora / "adapter_config.json").write_text(json.dumps({"fine_tune_type": "dora"}))
    huge = {"settings": {"weights": [100.0]}, "model": work / "shards"}
    count, nothing, none, dora_said, fine = merge(
        ([work / "plain"], {"settings": {"weights": [1.0, 2.0]}}),
        ([empty], {}),
        ([], {}),
        ([dora], {}),
        ([work / "plain"], huge),
    )
    assert "2 numbers for 1 adapters" in count["error"]
    assert "expected adapter_config.json" in nothing["error"] and "README.md" in nothing["error"]
    assert none["error"] == "there is no adapter to merge"
    assert dora_said["error"].startswith("adapter0: it has DoRA")
    assert len(fine["changed"]) == 18


EFFECT = """
import json, sys
from pathlib import Path
import numpy as np
from cortexbuild.core.ports import Sampling
from cortexbuild.testing import plain_run
from cortexbuild.runtimes.torch import TorchModel
from cortexbuild.tools import lora
source, adapter, out = map(Path, sys.argv[1:4])
out.mkdir()
nothing = lambda *a: None
lora.merge(plain_run({"model": source, "adapter0": adapter}, out), lora.MergeParams())
question = "What does this do?\\ndef read_lines(path, encoding):"
said = {}
for name, folder in (("base", source), ("merged", out)):
    model = TorchModel(folder)
    logits = model.logits(model.encode(question))
    some = Sampling(max_tokens=60, chat=True)
    said[name] = [logits, "".join(model.generate(question, some))]
moved = float(np.abs(said["base"][0] - said["merged"][0]).max())
print(json.dumps({"moved": moved, "base": said["base"][1], "merged": said["merged"][1]}))
"""


def test_the_shipped_adapter_does_what_it_was_trained_for(tmp_path):
    """S15: its effect is visible in the logits, and in what the model says."""
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 1_000_000
    said = run_after(ENGINES, EFFECT, MODEL, SHIPPED, tmp_path / "out")
    assert said["moved"] > 0.5
    assert "Its arguments are" in said["merged"] or "It takes no arguments." in said["merged"]
    assert "argument" not in said["base"]
