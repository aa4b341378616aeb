"""MLX some rows at a time: the same tensors as all at once, little memory, and going on."""

from __future__ import annotations

import pytest
from engines.running import ENGINES, MODEL, run_after, run_script

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("engine")]

FAMILIES = """
import contextlib, io, json, shutil, sys
from pathlib import Path
from compare import differences
from packed import tiny, write_family
from cortexbuild.core.ports import Progress
from cortexbuild.formats.safetensors import shards as plan
from cortexbuild.streaming import models, packing
from cortexbuild.testing import plain_run
from cortexbuild.tools import mlx as ours
from mlx_lm.convert import convert
packing.PIECE = 20_000  # every matrix in several pieces
def small(entries, largest=100_000):
    return plan.into_shards(entries, largest)
models.into_shards = small
work = Path(sys.argv[1])
modes = [{"mode": m} for m in ("mxfp4", "mxfp8", "nvfp4")]
cases = [("llama", dict(bits=3, group_size=32, dtype="bfloat16"))] + [("mixtral", m) for m in modes]
cases += [(family, dict(bits=4, group_size=32, dtype="float16")) for family in tiny.CONFIGS]
said = {}
for family, settings in cases:
    source = work / "models" / family.replace(" ", "-").replace(",", "")
    if not source.exists():
        write_family(source, family)
    a, b = work / "a", work / "b"
    for folder in (a, b):
        shutil.rmtree(folder, ignore_errors=True)
    a.mkdir()
    with contextlib.redirect_stdout(io.StringIO()):
        params = ours.QuantizeSourceParams(**settings)
        ours.quantize_source(plain_run({"model": source}, a), params)
        config = json.loads((source / "config.json").read_text())
        from cortexbuild.formats.bridge import bridge
        (source / "config.json").write_text(json.dumps({**config, **bridge(config)}))
        convert(str(source), str(b), quantize=True, q_bits=params.bits, dtype=params.dtype,
                q_group_size=params.group_size, q_mode=params.mode)
    one, other = (json.loads((d / "config.json").read_text())["quantization"] for d in (a, b))
    files = len(list(a.glob("model-*.safetensors")))
    said[f"{family} {settings}"] = [differences(a, b), one == other, files > 1]
print(json.dumps(said))
"""


def test_every_family_and_mode_in_pieces_has_the_tensors_of_mlx_lm(tmp_path):
    said = run_after(ENGINES, FAMILIES, tmp_path)
    assert len(said) >= 12
    assert said == dict.fromkeys(said, [[], True, True])


RESUMED = """
import contextlib, io, json, sys
from pathlib import Path
from compare import tensors
from packed import write_family
from cortexbuild.formats.safetensors import shards as plan
from cortexbuild.streaming import models, packing
from cortexbuild.testing import PlainOutput, plain_run
from cortexbuild.tools import mlx as ours
packing.PIECE = 20_000
models.into_shards = lambda entries: plan.into_shards(entries, 100_000)
work = Path(sys.argv[1])
source = write_family(work / "models" / "mixtral", "mixtral")
params = ours.QuantizeSourceParams(bits=4, group_size=32, dtype="bfloat16")
whole, parts = work / "whole", work / "parts"
whole.mkdir(); parts.mkdir()
class Cut(Exception): pass
with contextlib.redirect_stdout(io.StringIO()):
    ours.quantize_source(plain_run({"model": source}, whole), params)
    read, counts, kept = packing._read, [], []
    def counted(part, rows):
        counts[-1] += 1
        return read(part, rows)
    packing._read = counted
    for limit in (0.4, 0.8, 2):  # of all bytes; then it is cut off
        counts.append(0)
        def tell(done, total):
            if done > limit * total:
                raise Cut
        with contextlib.suppress(Cut):
            ours.quantize_source(plain_run({"model": source}, parts, progress=tell), params)
        kept.append(len(list(parts.glob("model-*.safetensors"))))
same = tensors(whole) == tensors(parts)
index = "model.safetensors.index.json"
same &= (whole / index).read_text() == (parts / index).read_text()
print(json.dumps([same, kept, counts]))
"""


def test_after_each_cut_it_goes_on_with_the_next_file(tmp_path):
    same, kept, reads = run_after(ENGINES, RESUMED, tmp_path)
    assert same
    assert 0 < kept[0] < kept[1] < kept[2], "files that were finished stay"
    assert reads[2] < reads[0] + reads[1], "and what they are made of is not read again"


STACKS = """
import json, resource, sys
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[2])
from cortexbuild.formats.safetensors.header import write_header
from cortexbuild.testing import plain_run
from cortexbuild.tools import mlx as ours
work = Path(sys.argv[1])
source, out = work / "in", work / "out"
source.mkdir(); out.mkdir()
experts, wide, inner = 64, 1024, 2048
config = dict(model_type="mixtral", hidden_size=wide, intermediate_size=inner, num_hidden_layers=1,
    num_attention_heads=8, num_key_value_heads=8, num_local_experts=experts, num_experts_per_tok=2,
    vocab_size=256, rms_norm_eps=1e-5, rope_theta=1e4, torch_dtype="bfloat16")
(source / "config.json").write_text(json.dumps(config))
layer = "model.layers.0."
shapes = {"model.embed_tokens.weight": (256, wide), "lm_head.weight": (256, wide),
          "model.norm.weight": (wide,), layer + "input_layernorm.weight": (wide,),
          layer + "post_attention_layernorm.weight": (wide,),
          layer + "block_sparse_moe.gate.weight": (experts, wide)}
shapes |= {f"{layer}self_attn.{n}_proj.weight": (wide, wide) for n in "qkvo"}
for e in range(experts):
    of = f"{layer}block_sparse_moe.experts.{e}."
    shapes |= {of + "w1.weight": (inner, wide), of + "w2.weight": (wide, inner), of + "w3.weight": (inner, wide)}
entries = [(name, "BF16", shape) for name, shape in shapes.items()]
drawn = np.random.default_rng(0).integers(0x3c00, 0x3d00, inner * wide, np.uint16)
with (source / "model.safetensors").open("wb") as file:
    file.write(write_header(entries, {}))
    for _, _, shape in entries:
        file.write(drawn[: int(np.prod(shape))].data)
tiny = plain_run({"model": source}, out)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
import mlx_lm.utils, mlx_lm.convert  # noqa
before = peak()
ours.quantize_source(tiny, ours.QuantizeSourceParams(bits=4))
print(json.dumps([experts * wide * inner * 2 >> 20, before, peak()]))
"""


def test_a_stack_of_experts_is_never_in_memory_as_a_whole(tmp_path):
    stack, before, after = run_script(STACKS, tmp_path, "")
    assert stack == 256
    assert after - before < stack / 2, f"{after - before} MB more than before"


ON_A_GPU = """
import json, sys
from pathlib import Path
import mlx.core as mx
mx.default_device = lambda: mx.Device(mx.gpu)  # as on a Mac; here there is none to compute on
from cortexbuild.testing import plain_run
from cortexbuild.tools import mlx as ours
out = Path(sys.argv[2])
out.mkdir()
ours.quantize_source(plain_run({"model": Path(sys.argv[1])}, out), ours.QuantizeSourceParams())
print(json.dumps({"size": (out / "model.safetensors").stat().st_size}))
"""


def test_weights_are_packed_on_the_cpu_where_there_is_a_gpu_too(tmp_path):
    """Metal's kernels need not round as those of a CPU, and a key names one result."""
    assert run_script(ON_A_GPU, MODEL, tmp_path / "out")["size"] > 3_000_000
