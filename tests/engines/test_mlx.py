"""MLX for real: the tensors of mlx_lm.convert, and what it gets wrong without a word."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from engines.packed import write_small
from engines.running import ENGINES, MODEL, run_after, run_script
from workspace import FEW, ROOT

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("engine")]

EVERY_QUANTIZATION = """
import json, shutil, sys, contextlib, io
from pathlib import Path
from compare import differences
from cortexbuild.testing import plain_run
from cortexbuild.tools import mlx as ours
from mlx_lm.convert import convert
source, work = Path(sys.argv[1]), Path(sys.argv[2])
(work / "bf16").mkdir(parents=True)
nothing = lambda *a: None
with contextlib.redirect_stdout(io.StringIO()):
    ours.convert(plain_run({"model": source}, work / "bf16"), ours.ConvertParams())
    wrong, sizes = {}, {}
    cases = [dict(bits=b, group_size=g) for b in (2, 3, 4, 5, 6, 8) for g in (32, 64, 128)]
    cases += [dict(mixed=m, bits=4, group_size=64) for m in
              ("mixed_2_6", "mixed_3_4", "mixed_3_6", "mixed_4_6")]
    for case in cases:
        a, b = work / "a", work / "b"
        for folder in (a, b):
            shutil.rmtree(folder, ignore_errors=True)
        a.mkdir()
        ours.quantize(plain_run({"model": work / "bf16"}, a), ours.QuantizeParams(**case))
        convert(str(source), str(b), quantize=True, q_bits=case["bits"],
                q_group_size=case["group_size"], quant_predicate=case.get("mixed"))
        name = "-".join(str(v) for v in case.values())
        wrong[name] = differences(a, b)
        sizes[name] = (a / "model.safetensors").stat().st_size
        ca, cb = (json.loads((d / "config.json").read_text())["quantization"] for d in (a, b))
        if ca != cb:
            wrong[name].append("config.json")
print(json.dumps([wrong, sizes]))
"""


def test_every_width_and_group_and_mixture_gives_the_tensors_of_mlx_lm(tmp_path):
    wrong, sizes = run_after(ENGINES, EVERY_QUANTIZATION, MODEL, tmp_path / "work")
    assert len(wrong) == 22
    assert wrong == {name: [] for name in wrong}
    assert len(set(sizes.values())) > 15, "the settings made no difference"


CONVERT_PLAINLY = """
import contextlib, io, json, sys
from pathlib import Path
from compare import differences, tensors
from mlx_lm.convert import convert
source, work = Path(sys.argv[1]), Path(sys.argv[2])
views = {name: Path(path) for name, path in json.loads(sys.argv[3]).items()}
settings = {
    "mlx-4bit": dict(quantize=True, q_bits=4, q_group_size=64),
    "mlx-8bit": dict(quantize=True, q_bits=8, q_group_size=64),
    "mlx-bf16": dict(dtype="bfloat16"),
}
said = {}
with contextlib.redirect_stdout(io.StringIO()):
    for name, wanted in settings.items():
        convert(str(source), str(work / name), **wanted)
        said[name] = [len(tensors(views[name])), differences(views[name], work / name)]
print(json.dumps(said))
"""


def test_the_shipped_targets_have_the_tensors_of_plain_mlx_lm(shipped, tmp_path):
    names = ("mlx-4bit", "mlx-8bit", "mlx-bf16")
    views = {name: shipped.run("path", f"stdlib-llama:{name}").stdout.strip() for name in names}
    said = run_after(ENGINES, CONVERT_PLAINLY, MODEL, tmp_path, json.dumps(views))
    assert said == {"mlx-4bit": [142, []], "mlx-8bit": [142, []], "mlx-bf16": [56, []]}


def test_the_shipped_manifest_syncs_once(shipped):
    assert shipped.first["summary"]["failed"] == 0
    assert all(target["ok"] for target in shipped.first["targets"])
    again = json.loads(shipped.run("sync", "--json").stdout)
    assert again["summary"]["built"] == 0


def test_a_built_target_opens_in_plain_mlx_lm_and_writes(shipped):
    path = shipped.run("path", "stdlib-llama:mlx-8bit").stdout.strip()
    code = (
        "import json, sys\nfrom mlx_lm import generate, load\n"
        "model, tokenizer = load(sys.argv[1])\n"
        "text = generate(model, tokenizer, 'def read_lines(path):\\n', max_tokens=24)\n"
        "print(json.dumps(text))"
    )
    text = run_script(code, path)
    ours = shipped.run(
        "generate", "stdlib-llama:mlx-8bit", "def read_lines(path):\n", "--max-tokens", "24"
    )
    # mlx-lm takes the first space of an answer away.
    assert text and ours.stdout.lstrip(" ") == text.lstrip(" ") + "\n"


def test_tokenizer_and_template_are_those_of_the_source_byte_for_byte(shipped):
    view = shipped.home / "mlx_models" / "stdlib-llama--mlx-4bit"
    for name in ("tokenizer.json", "tokenizer.model", "chat_template.jinja", "tokenizer_config.json",
                 "generation_config.json"):  # fmt: skip
        assert (view / name).read_bytes() == (MODEL / name).read_bytes()


def test_what_was_measured_is_what_was_known_of_the_model(shipped):
    """Its loss on this text is 2.533 nats a token over the whole of it (models' own record)."""
    found = []
    for trace in (shipped.store / "ac").rglob("*.json"):
        record = json.loads(trace.read_text())
        if record["label"] == "stdlib-llama:mlx-bf16/validate":
            digest = record["tree"][0][1]
            found.append(
                json.loads((shipped.store / "cas/sha256" / digest[:2] / digest).read_text())
            )
    (measured,) = found
    assert measured["nonfinite_logits"] == 0
    assert measured["tokenizer"]["first_difference"] is None
    assert 2.0 < float(measured["loss"]) < 3.1


def test_changing_group_size_runs_quantize_and_validate_of_that_target_alone(shipped, models):
    models.write("text.txt", (MODEL.parent.parent / "data" / "heldout-stdlib.txt").read_bytes())
    text = (
        "schema: 1\nevaluation: {text: path:text.txt, tokens: 64}\n"
        f"models:\n  m:\n    source: path:{MODEL}\n"
        "    targets:\n      a: {recipe: mlx-4bit}\n"
        "      b: {recipe: mlx-4bit, set: {group_size: %d}}\n"
    )
    models.write("cortex.yaml", text % 64)
    models.sync()
    models.write("cortex.yaml", text % 32)
    assert models.steps() == ["m:b/quantize", "m:b/validate"]
    config = json.loads((models.home / "mlx_models" / "m--b" / "config.json").read_text())
    assert config["quantization"]["group_size"] == 32
    models.write("cortex.yaml", text % 64)
    assert models.steps() == []


ROPE = """
import json, sys
from pathlib import Path
import numpy as np, torch
import mlx.core as mx
from mlx.utils import tree_map
from mlx_lm.utils import load_model
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from cortexbuild.testing import plain_run
from cortexbuild.tools import mlx as ours
work = Path(sys.argv[1])
torch.manual_seed(0)
config = LlamaConfig(hidden_size=64, intermediate_size=128, num_hidden_layers=2, vocab_size=256,
    num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
    rope_parameters={"rope_type": "default", "rope_theta": 500000.0}, tie_word_embeddings=False)
model = LlamaForCausalLM(config)
with torch.no_grad():  # sharp attention, so that positions matter
    for name, weight in model.named_parameters():
        if "q_proj" in name or "k_proj" in name:
            weight.mul_(12)
model.save_pretrained(work / "hf")
written = json.loads((work / "hf" / "config.json").read_text())
tokens = np.arange(4, 132)[None]
with torch.no_grad():
    expected = model(torch.tensor(tokens)).logits.numpy()
def logits(folder):
    loaded, _ = load_model(folder)
    return np.array(loaded(mx.array(tokens)).astype(mx.float32))
(work / "mlx").mkdir()
nothing = lambda *a: None
ours.convert(plain_run({"model": work / "hf"}, work / "mlx"), ours.ConvertParams())
print(json.dumps({
    "written_where_mlx_lm_reads": "rope_theta" in written,
    "scale": float(np.abs(expected).max()),
    "ours": float(np.abs(logits(work / "mlx") - expected).max()),
    "plain": float(np.abs(logits(work / "hf") - expected).max()),
}))
"""


def test_rope_written_by_transformers_5_is_bridged(tmp_path):
    said = run_after(ENGINES, ROPE, tmp_path)
    assert said["written_where_mlx_lm_reads"] is False, "the trap is gone: drop the bridge"
    assert said["plain"] > 100 * said["ours"], "this model would not notice a wrong theta"
    assert said["ours"] < 1e-4 * said["scale"]


QUANTIZE = """
import json, sys
from pathlib import Path
from cortexbuild.testing import plain_run
from cortexbuild.errors import ToolError
from cortexbuild.tools import mlx as ours
source, work, said = Path(sys.argv[1]), Path(sys.argv[2]), []
for number, params in enumerate(json.loads(sys.argv[3])):
    out = work / f"out{number}"
    out.mkdir()
    try:
        ours.quantize(plain_run({"model": source}, out), ours.QuantizeParams(**params))
        said.append(json.loads((out / "config.json").read_text()))
    except ToolError as error:
        said.append({"error": str(error), "hint": error.hint})
print()
print(json.dumps(said))
"""


def quantize_alone(tmp_path, source, *settings) -> list[dict]:
    """What comes of it with each of these settings: a configuration, or an error and its hint."""
    return run_after(ENGINES, QUANTIZE, source, tmp_path, json.dumps(settings))


def test_a_layer_that_does_not_divide_is_an_error_that_names_it_unless_it_is_kept(tmp_path):
    narrow = np.ones((64, 96), np.float16)
    source = write_small(
        tmp_path / "narrow", {"intermediate_size": 96},
        model__layers__0__mlp__down_proj__weight=narrow,
        model__layers__0__mlp__gate_proj__weight=narrow.T,
        model__layers__0__mlp__up_proj__weight=narrow.T,
    )  # fmt: skip
    said, kept, smaller = quantize_alone(
        tmp_path, source,
        {"group_size": 64}, {"group_size": 64, "keep": ["*.down_proj"]}, {"group_size": 32},
    )  # fmt: skip
    assert "1 layers do not divide into groups of 64" in said["error"]
    assert "`model.layers.0.mlp.down_proj` (96 wide)" in said["error"]
    assert "keep:" in said["hint"]
    assert kept["quantization"]["bits"] == 4
    assert smaller["quantization"]


def test_a_quantized_model_is_not_quantized_again(shipped, models):
    view = shipped.home / "mlx_models" / "stdlib-llama--mlx-4bit"
    (said,) = quantize_alone(models.root.parent, view, {"bits": 8})
    assert "quantized already (4)" in said["error"] and "full-precision" in said["hint"]
    models.write(
        "cortex.yaml",
        f"schema: 1\nmodels:\n  m:\n    source: path:{view}\n    targets: [mlx-8bit]\n",
    )
    said = models.run("sync", code=2).stderr
    assert "quantized already (mlx-4bit)" in said
    assert "full-precision weights" in said


def test_an_mlx_source_is_taken_as_it_is(shipped, models):
    view = shipped.home / "mlx_models" / "stdlib-llama--mlx-4bit"
    models.write(
        "cortex.yaml",
        f"schema: 1\n{FEW}models:\n  m:\n    source: path:{view}\n    targets:\n"
        "      t: {recipe: mlx-4bit}\n",
    )
    assert "lossless: the weights of the source as they are" in models.run("plan").stdout
    ran = [step for step in models.steps() if step.startswith("m")]
    assert ran == ["m/reference", "m:t/validate"]  # its bytes are in the store
    (weights,) = (models.home / "mlx_models" / "m--t").glob("*.safetensors")
    assert weights.samefile(view / "model.safetensors")


def test_a_nan_in_the_source_stops_the_target_and_leaves_no_view(shipped, models):
    """Named for the rule it comes from: validation runs a forward pass and fails on a NaN (S17)."""
    source = models.root / "broken"
    shutil.copytree(MODEL, source)
    from cortexbuild.formats.safetensors.header import read_header

    path = source / "model.safetensors"
    info = read_header(path).tensors["model.layers.3.mlp.down_proj.weight"]
    content = bytearray(path.read_bytes())
    content[info.start : info.start + 2] = b"\xc0\x7f"  # a NaN in bfloat16
    path.write_bytes(content)
    models.write(
        "cortex.yaml",
        f"schema: 1\n{FEW}models:\n  m:\n    source: path:broken\n    targets:\n"
        "      mlx-bf16: {recipe: mlx-bf16}\n",
    )
    report = models.report(code=1)
    first, second = report["targets"][0]["wrong"]
    assert "the first in `model.layers.3.mlp.down_proj.weight`" in first
    assert "of its scores are NaN or infinite" in second
    assert not (models.home / "mlx_models" / "m--mlx-bf16").exists()
    assert models.report(code=1)["summary"]["built"] == 0  # judged again, not measured again


def test_scores_are_those_of_the_weights_dequantized_in_float32(shipped):
    """Dequantized in 16 bits and cast afterwards, the rounding would be measured too."""
    code = """
import json, sys
import numpy as np
from pathlib import Path
sys.path[:0] = [sys.argv[2]]
import packed
from cortexbuild.core.ports import Sampling
from cortexbuild.runtimes.mlx import MlxModel
model = MlxModel(Path(sys.argv[1]))
tokens = model.encode(packed.TEXT[:600])
ours, exact = model.logits(tokens), packed.by_mlx(Path(sys.argv[1]), [tokens])[0]
first = "".join(model.generate("import os", Sampling(max_tokens=5)))
print(json.dumps([float(np.abs(ours - exact).max()), float(np.abs(exact).max()), first]))
"""
    path = shipped.run("path", "stdlib-llama:mlx-8bit").stdout.strip()
    far, highest, said = run_after(ENGINES, code, path, ROOT / "tests" / "engines")
    assert far <= 1e-5 * highest and said


def test_generate_means_what_its_flags_say(shipped):
    prompt, question = "def read_lines(path):\n", "What does this do?\ndef read_lines(path):"
    length = ["--max-tokens", "24"]
    hot = [*length, "--temperature", "1.5"]
    first = ["generate", "stdlib-llama:mlx-8bit", prompt]
    greedy, again, short, one, same, two, highest, narrow, penalised, chat, plain = shipped.outputs(
        [
            [*first, *length],
            [*first, *length],
            [*first, "--max-tokens", "8"],
            [*first, *hot, "--seed", "1"],
            [*first, *hot, "--seed", "1"],
            [*first, *hot, "--seed", "2"],
            [*first, *hot, "--seed", "1", "--top-k", "1"],
            [*first, *hot, "--seed", "1", "--top-p", "0.000001"],
            [*first, *length, "--repetition-penalty", "1.8"],
            [*first[:2], question, *length, "--chat"],
            [*first[:2], question, *length],
        ]
    )
    assert again == greedy and greedy.startswith(short.rstrip("\n"))
    assert one == same != two
    assert highest == narrow == greedy != penalised
    assert chat != plain and "<|im_end|>" not in chat
    word = greedy.split()[3]
    stopped = shipped.run(*first, *length, "--stop", word).stdout
    assert stopped == greedy.partition(word)[0] + "\n"


def test_generate_does_without_pytorch(shipped):
    code = (
        "import sys\nfrom cortexbuild.cli.main import main\n"
        "sys.argv = ['cortexbuild', 'generate', 'stdlib-llama:mlx-8bit', 'for line', "
        "'--max-tokens', '1']\n"
        "code = main()\nsys.exit(code or sys.modules['torch'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=shipped.root, env=shipped.environment(),
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, " in\n", "")


def test_generate_in_json_and_from_stdin(shipped):
    code = shipped.run("generate", "stdlib-llama:mlx-8bit", "def f(", "--json", "--max-tokens", "5")
    said = json.loads(code.stdout)
    assert said["schema"] == "cortexbuild/generate/1" and said["text"]


def test_the_python_api_generates_and_streams(shipped):
    code = (
        "import json, cortexbuild\nfrom cortexbuild.core.ports import Sampling\n"
        f"model = cortexbuild.load('stdlib-llama:mlx-8bit', manifest={str(MODEL.parents[2] / 'cortex.yaml')!r})\n"
        "some = Sampling(max_tokens=12)\n"
        "pieces = list(model.stream('def f(', some))\n"
        "print()\nprint(json.dumps([pieces, model.generate('def f(', some)]))"
    )
    import os

    before = os.environ.get("CORTEX_HOME")
    os.environ["CORTEX_HOME"] = str(shipped.home)
    try:
        pieces, whole = run_script(code)
    finally:
        if before is None:
            del os.environ["CORTEX_HOME"]
        else:
            os.environ["CORTEX_HOME"] = before
    assert len(pieces) > 3 and "".join(pieces) == whole


FAMILIES = """
import json, sys
from pathlib import Path
import numpy as np
from packed import by_mlx, write_family
from cortexbuild.core.ports import Sampling
from cortexbuild.testing import plain_run
from cortexbuild.runtimes.mlx import MlxModel
from cortexbuild.tools import mlx as ours
work = Path(sys.argv[1])
said = {}
for family in ("mixtral", "qwen2"):
    source, folder = write_family(work / "families" / family, family), work / family
    folder.mkdir()
    ours.convert(plain_run({"model": source}, folder), ours.ConvertParams(dtype="bfloat16"))
    model = MlxModel(folder)
    text = "".join(model.generate("import os", Sampling(max_tokens=4)))
    tokens = list(range(4, 36))
    exact = by_mlx(folder, [tokens])[0]
    said[family] = [len(text), float(np.abs(model.logits(tokens) - exact).max() / exact.max())]
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def families(tmp_path_factory):
    return run_after(ENGINES, FAMILIES, tmp_path_factory.mktemp("families"))


def test_a_mixture_in_16_bits_writes_on_a_cpu_too(families):
    written, _ = families["mixtral"]
    assert written > 0


def test_scores_of_experts_and_of_layers_with_a_bias_are_exact(families):
    assert all(error < 1e-5 for _, error in families.values()), families
