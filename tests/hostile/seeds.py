"""Well-formed examples of every kind, small: what hostile ones are made from."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from formats.checkpoints import Field, gguf_bytes
from hostile.readers import PARTS, small_adapter, small_model
from remotes.results import KEY, TRUSTED, built

from cortexbuild.core.digest import Digest, File, Tree
from cortexbuild.core.lock import Lock, Output, Pinned, Settled
from cortexbuild.core.lockfile import lock_to_text
from cortexbuild.core.step import StepKey, ToolId
from cortexbuild.remotes.bundle import export
from cortexbuild.store.local import LocalStore
from cortexbuild.store.traces import trace_to_text

ROOT = Path(__file__).parent.parent.parent
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "attention_bias": False, "bos_token_id": 1,
    "dtype": "bfloat16", "eos_token_id": 2, "head_dim": 64, "hidden_act": "silu", "hidden_size": 256,
    "intermediate_size": 768, "max_position_embeddings": 1024, "mlp_bias": False,
    "model_type": "llama", "num_attention_heads": 4, "num_hidden_layers": 6,
    "num_key_value_heads": 2, "pad_token_id": None, "rms_norm_eps": 1e-05,
    "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
    "tie_word_embeddings": True, "vocab_size": 4096,
}  # fmt: skip
BOS = {"SpecialToken": {"id": "<s>", "type_id": 0}}
TEXT = {"Sequence": {"id": "A", "type_id": 0}}
F32, TEXTS, ARRAY, UINT, STRING, FLOAT = 0, 8, 9, 4, 8, 6


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _config(**more: object) -> bytes:
    return _json({**CONFIG, **more})


def safetensors() -> Iterator[bytes]:
    yield small_model()
    yield small_adapter()
    header = {"__metadata__": {"format": "mlx"},
              "w.weight": {"dtype": "U32", "shape": [2, 1], "data_offsets": [0, 8]},
              "w.scales": {"dtype": "F16", "shape": [2, 1], "data_offsets": [8, 12]},
              "w.biases": {"dtype": "F16", "shape": [2, 1], "data_offsets": [12, 16]}}  # fmt: skip
    text = _json(header)
    yield len(text).to_bytes(8, "little") + text + bytes(16)
    packed = {"l.qweight": ("I32", [1, 8]), "l.qzeros": ("I32", [1, 1]), "l.scales": ("F16", [1, 8]),
              "l.g_idx": ("I32", [8])}  # fmt: skip
    table, place = {}, 0
    for name, (dtype, shape) in packed.items():
        size = int(np.prod(shape)) * (4 if dtype == "I32" else 2)
        table[name] = {"dtype": dtype, "shape": shape, "data_offsets": [place, place + size]}
        place += size
    text = _json(table)
    yield len(text).to_bytes(8, "little") + text + bytes(place)


def _llama_fields() -> list[Field]:
    names = {"block_count": 1, "context_length": 8, "embedding_length": 4, "feed_forward_length": 4,
             "attention.head_count": 2, "attention.head_count_kv": 2, "vocab_size": 4,
             "rope.dimension_count": 2}  # fmt: skip
    fields: list[Field] = [("general.architecture", STRING, "llama")]
    fields += [(f"llama.{name}", UINT, value) for name, value in names.items()]
    fields.append(("llama.attention.layer_norm_rms_epsilon", FLOAT, 1e-5))
    return fields


def _llama_tensors() -> tuple[list[tuple], int]:
    shapes = {"token_embd.weight": (4, 4), "output_norm.weight": (4,), "blk.0.attn_norm.weight": (4,),
              "blk.0.ffn_norm.weight": (4,)}  # fmt: skip
    shapes |= {f"blk.0.{name}.weight": (4, 4) for name in
               ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")}  # fmt: skip
    tensors, place = [], 0
    for name, shape in shapes.items():
        tensors.append((name, F32, shape, place))
        place += -(-4 * int(np.prod(shape)) // 32) * 32
    return tensors, place


def _tokens(kind: str) -> list[Field]:
    tokens = ["<unk>", "<s>", "</s>", "a"] if kind == "llama" else ["a", "b", "ab", "Ġa"]
    fields: list[Field] = [
        ("tokenizer.ggml.model", STRING, kind),
        ("tokenizer.ggml.pre", STRING, "gpt-2"),
        ("tokenizer.ggml.tokens", ARRAY, (TEXTS, tokens)),
        ("tokenizer.ggml.token_type", ARRAY, (5, [2, 3, 3, 1] if kind == "llama" else [1] * 4)),
        ("tokenizer.ggml.scores", ARRAY, (FLOAT, [0.0, 0.0, 0.0, -1.0])),
        ("tokenizer.ggml.bos_token_id", UINT, 1),
        ("tokenizer.ggml.add_bos_token", 7, True),
    ]
    if kind == "gpt2":
        fields.append(("tokenizer.ggml.merges", ARRAY, (TEXTS, ["a b", "Ġ a"])))
    return fields


def gguf() -> Iterator[bytes]:
    tensors, size = _llama_tensors()
    for tokens in ([], _tokens("llama"), _tokens("gpt2")):
        yield gguf_bytes([*_llama_fields(), *tokens], tensors, data=size)
    many = [("general.tags", ARRAY, (TEXTS, ["x"] * 300)), ("split.count", 2, 1)]
    yield gguf_bytes([*_llama_fields(), *many], [("a", 8, (32, 2), 0)], data=96)


def config() -> Iterator[bytes]:
    yield _config()
    yield _config(
        quantization={"bits": 4, "group_size": 64, "lm_head": {"bits": 8, "group_size": 64}}
    )
    yield _config(
        quantization_config={"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True}
    )
    yield _config(rope_scaling={"rope_type": "yarn", "factor": 4.0,
                                "original_max_position_embeddings": 64})  # fmt: skip
    yield _config(rope_parameters={"rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0,
                                   "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                   "original_max_position_embeddings": 64})  # fmt: skip
    yield _config(model_type="qwen3_moe", num_experts=4, num_experts_per_tok=2,
                  moe_intermediate_size=8, decoder_sparse_step=1, mlp_only_layers=[0])  # fmt: skip
    yield _json({"model_type": "gemma3", "text_config": {"model_type": "gemma3_text"},
                 "vision_config": {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
                                   "patch_size": 2, "image_size": 4}})  # fmt: skip


def beside() -> Iterator[bytes]:
    card = b"---\nlicense: apache-2.0\nbase_model:\n- org/name\ntags: [x]   # why\n---\n# A model\n"
    index = _json({"metadata": {"total_size": 16},
                   "weight_map": {"model.embed_tokens.weight": "model.safetensors"}})  # fmt: skip
    adapter = _json({"base_model_name_or_path": "org/base", "r": 8, "peft_type": "LORA"})
    marker = b"LoRA fine-tuned version of org/base\n"
    tokenizer = _json({"bos_token": "<s>", "model_max_length": 1024, "unk_token": "<unk>"})
    quantized = _json({"bits": 4, "group_size": 128, "desc_act": False})
    yield PARTS.join([_config(), tokenizer, card, quantized, index, adapter, marker])
    yield PARTS.join([_json({"model_type": "gpt2", "n_embd": 8}), b"{}", card])


def adapter() -> Iterator[bytes]:
    plain = {"peft_type": "LORA", "r": 1, "lora_alpha": 2, "bias": "none"}
    yield _json(plain)
    yield _json({**plain, "rank_pattern": {"q_proj": 1}, "alpha_pattern": {"layers.0.q_proj": 4}})
    yield _json({"fine_tune_type": "lora", "lora_parameters": {"rank": 1, "scale": 2.0}})


def tokenizer() -> Iterator[bytes]:
    vocabulary = {"a": 0, "b": 1, "ab": 2}
    yield _json({
        "added_tokens": [{"id": 3, "content": "<unk>", "rstrip": False, "special": True}],
        "normalizer": None,
        "pre_tokenizer": {"type": "Metaspace", "prepend_scheme": "first", "split": False},
        "post_processor": {"type": "TemplateProcessing", "single": [BOS, TEXT]},
        "model": {"type": "BPE", "byte_fallback": True, "vocab": vocabulary, "merges": [["a", "b"]]},
    })  # fmt: skip
    level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    around = {"type": "TemplateProcessing", "single": [BOS, TEXT]}
    yield _json({"model": {"type": "BPE", "vocab": vocabulary, "merges": ["a b"]},
                 "pre_tokenizer": level, "normalizer": {"type": "NFC"}, "post_processor": around,
                 "added_tokens": [{"id": 3, "content": "<s>", "special": True}]})  # fmt: skip


def npz() -> Iterator[bytes]:
    for write in (np.savez, np.savez_compressed):
        stream = io.BytesIO()
        write(stream, **{"a.weight": np.zeros((2, 4), np.float16), "b": np.zeros(3, "V2")})
        yield stream.getvalue()


def manifest() -> Iterator[bytes]:
    yield (ROOT / "cortex.yaml").read_bytes()
    yield b"""schema: 1
cache: {remotes: [{url: "s3://team/cortex", region: eu-central-1}], salt: "2"}
policy: {optimization: maximum}
resources: {memory: 12GiB, jobs: 2}
licenses: {deny: [unknown, "cc-by-nc-*"]}
validate: &limits {max_kl: 0.02, min_top1: 0.95, max_memory: 8GiB}
models:
  chat:
    source: hf:org/name@main
    adapters: [path:a, {source: path:b, weight: 0.5}]
    targets:
      small: {recipe: auto, fit: {memory: 8GiB, context: 4096}}
      best: {recipe: mlx-4bit, set: {group_size: 64, layers: [{match: "*", bits: 4}]}, validate: *limits}
      tried: {escalate: [mlx-4bit, mlx-8bit], validate: {<<: *limits, max_kl: 1.0e-1}}
"""


def recipe() -> Iterator[bytes]:
    for name in ("gguf-q4_k_m", "mlx-mixed-4-6", "int4"):
        if (path := ROOT / "recipes" / f"{name}.yaml").exists():
            yield path.read_bytes()


def lock() -> Iterator[bytes]:
    files = (
        File("config.json", Digest("1" * 64), 2),
        File("model.safetensors", Digest("2" * 64), 9),
    )
    facts = {"format": "safetensors", "method": None, "parameters": 5, "licence": "apache-2.0"}
    sources = {"hf:a/b@main": Pinned("hf:a/b@main", Tree.of(files), facts, "c" * 40),
               "path:text": Pinned("path:text", Tree.of(files[:1]), {"format": "unknown"})}  # fmt: skip
    tools = {"mlx": ToolId("mlx", 2, {"mlx": "0.32.4"})}
    yield lock_to_text(Lock(sources, tools)).encode()
    outputs = {"m:t": Output(StepKey("3" * 64), Digest("4" * 64))}
    settled = {"m:t": Settled(Digest("5" * 64), "q4", {"q2": "max_kl"})}
    yield lock_to_text(Lock(sources, tools, outputs, settled)).encode()


def record() -> Iterator[bytes]:
    with tempfile.TemporaryDirectory() as folder, closing(LocalStore(Path(folder))) as store:
        for trace in built(store, 2, 10):
            yield trace_to_text(trace).encode()


def listing() -> Iterator[bytes]:
    when = "Wed, 21 Oct 2015 07:28:00 GMT"
    yield _json([{"name": "0" * 64, "type": "file", "mtime": when, "size": 3},
                 {"name": "x", "type": "directory", "mtime": when}])  # fmt: skip


def bundle() -> Iterator[bytes]:
    with tempfile.TemporaryDirectory() as name, closing(LocalStore(Path(name, "s"))) as store:
        traces = built(store, 2, 100)
        for file in ("a.tar", "a.tar.zst"):
            export(
                Path(name, file), [(t, True) for t in traces], store, KEY, TRUSTED, lambda _: None
            )
            yield Path(name, file).read_bytes()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("bundle.json")
        member.pax_headers = {"GNU.sparse.major": "1", "size": "9" * 30}
        tar.addfile(member, io.BytesIO())
    yield stream.getvalue()


SEEDS: Mapping[str, Callable[[], Iterator[bytes]]] = {
    "safetensors": safetensors,
    "gguf": gguf,
    "gguf_config": gguf,
    "gguf_tokenizer": gguf,
    "config": config,
    "beside": beside,
    "adapter": adapter,
    "tokenizer": tokenizer,
    "npz": npz,
    "manifest": manifest,
    "recipe": recipe,
    "lock": lock,
    "record": record,
    "listing": listing,
    "bundle": bundle,
}


def seeds(target: str) -> Sequence[bytes]:
    return tuple(SEEDS[target]())
