"""Models in 8-bit floats: the numbers that torch and mlx-lm have, and what is refused."""

from __future__ import annotations

import pytest
from engines.running import ENGINES, MODEL, run_after

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("engine")]

MODELS = """
import contextlib, io, json, shutil, sys
from pathlib import Path
import mlx.core as mx
import numpy as np
import torch
from mlx_lm.convert import convert
from safetensors.torch import load_file, save_file
from compare import differences
from cortexbuild.errors import CortexError
from cortexbuild.formats.packing.floats import FLOAT8
from cortexbuild.testing import plain_run
from cortexbuild.tools.mlx import QuantizeSourceParams, quantize_source
from cortexbuild.tools.widen import WidenParams, widen
work = Path(sys.argv[1])
octets = torch.arange(256, dtype=torch.uint8)
types = {"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2}
said = {name: bool(np.array_equal(octets.view(kind).float().numpy(), FLOAT8[name], equal_nan=True))
        for name, kind in types.items()}

config = dict(model_type="deepseek_v3", vocab_size=256, hidden_size=192, intermediate_size=320,
    moe_intermediate_size=160, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4,
    n_shared_experts=1, n_routed_experts=4, routed_scaling_factor=1.0, kv_lora_rank=32,
    q_lora_rank=64, qk_rope_head_dim=16, v_head_dim=32, qk_nope_head_dim=32, topk_method="noaux_tc",
    scoring_func="sigmoid", norm_topk_prob=True, n_group=1, topk_group=1, num_experts_per_tok=2,
    moe_layer_freq=1, first_k_dense_replace=1, max_position_embeddings=512, rms_norm_eps=1e-6,
    rope_theta=10000.0, rope_scaling=None, attention_bias=False, torch_dtype="bfloat16",
    quantization_config=dict(quant_method="fp8", fmt="e4m3", weight_block_size=[128, 128]))
torch.manual_seed(0)
draw = lambda *shape: torch.randn(*shape) * 0.05
weights = {}
def norm(name, size):
    weights[name + ".weight"] = torch.ones(size, dtype=torch.bfloat16)
def layer(name, rows, columns):
    wide, (high, broad) = draw(rows, columns), (-(-rows // 128), -(-columns // 128))
    scales = torch.rand(high, broad) * 0.01 + 0.001
    full = scales.repeat_interleave(128, 0).repeat_interleave(128, 1)[:rows, :columns]
    weights[name + ".weight"] = (wide / full).clamp(-448, 448).to(torch.float8_e4m3fn)
    weights[name + ".weight_scale_inv"] = scales
for name in ("model.embed_tokens", "lm_head"):
    weights[name + ".weight"] = draw(256, 192).bfloat16()
norm("model.norm", 192)
for n in range(2):
    at = f"model.layers.{n}."
    norm(at + "input_layernorm", 192); norm(at + "post_attention_layernorm", 192)
    attention = at + "self_attn."
    norm(attention + "q_a_layernorm", 64); norm(attention + "kv_a_layernorm", 32)
    layer(attention + "q_a_proj", 64, 192); layer(attention + "q_b_proj", 192, 64)
    layer(attention + "kv_a_proj_with_mqa", 48, 192); layer(attention + "kv_b_proj", 256, 32)
    layer(attention + "o_proj", 192, 128)
    mlps = [(at + "mlp.", 320)]
    if n:
        mlps = [(f"{at}mlp.experts.{e}.", 160) for e in range(4)]
        mlps.append((at + "mlp.shared_experts.", 160))
        weights[at + "mlp.gate.weight"] = draw(4, 192).bfloat16()
        weights[at + "mlp.gate.e_score_correction_bias"] = draw(4)
    for mlp, inner in mlps:
        layer(mlp + "gate_proj", inner, 192); layer(mlp + "up_proj", inner, 192)
        layer(mlp + "down_proj", 192, inner)
source = work / "source"
source.mkdir()
(source / "config.json").write_text(json.dumps(config))
for path in Path(sys.argv[2]).glob("tokenizer*"):
    shutil.copy(path, source)
save_file(weights, source / "model.safetensors", {"format": "pt"})

def widened(name, source, **settings):
    out = work / name
    out.mkdir()
    try:
        widen(plain_run({"model": source}, out), WidenParams(**settings))
    except CortexError as error:
        return str(error)
    return out
plain = widened("plain", source)
said["as published"] = json.loads((plain / "config.json").read_text()).get("quantization_config")
ours, theirs = work / "ours", work / "theirs"
ours.mkdir()
with contextlib.redirect_stdout(io.StringIO()):
    params = QuantizeSourceParams(bits=4, group_size=32, dtype="bfloat16")
    quantize_source(plain_run({"model": plain}, ours), params)
    changed = {**config}
    del changed["quantization_config"]  # mlx-lm would ask for its own kinds
    (source / "config.json").write_text(json.dumps(changed))
    convert(str(source), str(theirs), quantize=True, q_bits=4, q_group_size=32, dtype="bfloat16")
(source / "config.json").write_text(json.dumps(config))
said["mlx-lm"] = differences(ours, theirs)

def other(name, change):
    folder = work / f"{name}-source"
    folder.mkdir()
    shutil.copy(source / "config.json", folder)
    save_file(change(dict(weights)), folder / "model.safetensors", {"format": "pt"})
    return widened(name, folder, dtype="float32")
q = "model.layers.0.self_attn.q_a_proj.weight"
def scaled(scale, name="weight_scale"):
    def change(found):
        for key in [key for key in found if key.endswith("_scale_inv")]:
            del found[key]
            size = found[key.removesuffix("_scale_inv")].shape[0]
            found[key.removesuffix("_inv")] = scale(size)
        return found
    return change
def values(out, by):
    if isinstance(out, str):
        return out
    made = load_file(out / "model.safetensors")[q]
    return torch.equal(made, weights[q].float() * by)
rows = torch.linspace(0.5, 2, 64).reshape(-1, 1)
said["rows"] = values(other("rows", scaled(lambda n: torch.linspace(0.5, 2, n).reshape(-1, 1))), rows)
said["whole"] = values(other("whole", scaled(lambda n: torch.tensor(0.25).bfloat16())), 0.25)
said["none"] = other("none", lambda f: {k: v for k, v in f.items() if not k.endswith("_inv")})
said["wrong"] = other("wrong", scaled(lambda n: torch.ones(3, 5)))
print(json.dumps(said))
"""


def test_8_bit_floats_become_what_other_engines_compute(tmp_path):
    said = run_after(ENGINES, MODELS, tmp_path, MODEL)
    assert said["F8_E4M3"] and said["F8_E5M2"], "as torch has all 256 of each"
    assert said["mlx-lm"] == [] and said["as published"] is None
    assert said["rows"] is True and said["whole"] is True
    assert "8-bit floats of a kind that is not known" in said["none"]
    assert "has scales of shape [3, 5]" in said["wrong"]
