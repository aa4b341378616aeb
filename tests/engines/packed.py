"""Small models in packed formats, and what four engines make of them. For scripts of the tests."""

from __future__ import annotations

import ctypes
import json
import shutil
import sys
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent / "formats")]

import gguf  # noqa: E402
import test_gguf_tensors as tiny  # noqa: E402
from running import MODEL  # noqa: E402

from cortexbuild.testing import plain_run  # noqa: E402

TEXT = (MODEL.parent.parent / "data" / "heldout-stdlib.txt").read_text()
VOCABULARY = 4096
ODD = [
    "def f(x):\n    return x\n", "  two spaces", " one", "", " ", "x  y   z\t\n\n\nq  ",
    "<|im_start|>user\nhi<|im_end|> there", "</s> a", "naïve ☃ 日本語 한국어 हिन्दी", "12345 ½",
    "I'LL DON'T we've", "HTTPServer ÀÉ\r\n\r\n", TEXT[:50_000],
]  # fmt: skip


def nothing(*_):
    pass


def made(tool, source, out, params):
    """The folder that a tool fills from a folder."""
    out.mkdir(parents=True)
    tool(plain_run({"model": source}, out), params)
    return out


# -- engines: the scores of some tokens, in float32


def by_transformers(folder, tokens):
    import torch
    from transformers import AutoModelForCausalLM, logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model, said = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )
    assert not any(said.values()), said
    with torch.no_grad():
        return model(torch.tensor(tokens)).logits.numpy()


def by_mlx(folder, tokens):
    import mlx.core as mx
    from mlx.utils import tree_map
    from mlx_lm.utils import dequantize_model, load_model

    model, _ = load_model(folder)
    wide = lambda x: x.astype(mx.float32) if mx.issubdtype(x.dtype, mx.floating) else x  # noqa: E731
    model.update(tree_map(wide, model.parameters()))
    return np.array(dequantize_model(model)(mx.array(tokens)))


def by_llama_cpp(path, tokens):
    import llama_cpp

    count = tokens.shape[1]
    model = llama_cpp.Llama(
        str(path), n_ctx=count, n_batch=count, n_threads=2, logits_all=True, verbose=False
    )
    model.eval(tokens[0].tolist())
    return np.array(model.scores[:count])[None]


def far(one, other):
    return float(np.abs(one - other).max())


def divergence(one, other):
    """The mean Kullback-Leibler divergence, in nats."""
    one, other = (x - x.max(-1, keepdims=True) for x in (one.astype("f8"), other.astype("f8")))
    one, other = (x - np.log(np.exp(x).sum(-1, keepdims=True)) for x in (one, other))
    return float((np.exp(one) * (one - other)).sum(-1).mean())


# -- tokenizers


def llama_cpp_tokens(path):
    import llama_cpp

    model = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    return lambda text: model.tokenize(text.encode(), add_bos=True, special=True)


def llama_cpp_ends(path):
    import llama_cpp

    model = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    vocabulary = llama_cpp.llama_model_get_vocab(model._model.model)
    return [i for i in range(model.n_vocab()) if llama_cpp.llama_vocab_is_eog(vocabulary, i)]


def transformers_tokens(folder):
    from transformers import AutoTokenizer, logging

    logging.set_verbosity_error()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return lambda text: tokenizer(text)["input_ids"]


def unlike(one, other, texts=ODD):
    """The texts that two tokenizers take apart in different ways."""
    return [text[:40] for text in texts if list(one(text)) != list(other(text))]


def byte_level_tokenizer(folder, cutting, model_type, begins=False):
    """Train one on our text. `cutting` is how words are cut: a `pre_tokenizer` of tokenizer.json."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
    from tokenizers.trainers import BpeTrainer

    empty = json.loads(Tokenizer(models.BPE()).to_str())
    empty["model"]["ignore_merges"] = begins  # those that begin with a token do this too
    tokenizer = Tokenizer.from_str(json.dumps({**empty, "pre_tokenizer": cutting}))
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(
        vocab_size=1000, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet,
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator([TEXT[:30_000], *ODD[:-1]], trainer)
    special = [AddedToken(text, special=True) for text in ("<|im_start|>", "<|im_end|>", "</s>")]
    tokenizer.add_special_tokens(special)
    tokenizer.add_tokens([AddedToken("<think>", normalized=False)])
    names = {"eos_token": "<|im_end|>"}
    if begins:
        names["bos_token"] = "<|im_start|>"
        number = tokenizer.token_to_id("<|im_start|>")
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|im_start|> $A", special_tokens=[("<|im_start|>", number)]
        )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(
        folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **names}
    )
    if not (folder / "config.json").exists():
        write_json(folder / "config.json", {"model_type": model_type})


def write_json(path, value):
    path.write_text(json.dumps(value))


# -- GGUF


class WithTokenizer(gguf.GGUFWriter):
    """Adds a tokenizer to the files of `tiny.write`, as llama.cpp's converter writes it."""

    folder: Path

    def write_header_to_file(self, path=None):
        self.kv_data[0].pop("tokenizer.ggml.tokens")
        special = gguf.SpecialVocab(self.folder, load_merges=False)
        if (self.folder / "tokenizer.model").exists():
            from sentencepiece import SentencePieceProcessor

            pieces = SentencePieceProcessor(str(self.folder / "tokenizer.model"))
            numbers = range(pieces.vocab_size())
            control = {3, 4}  # of the real model: <|im_start|>, <|im_end|>
            self.add_tokenizer_model("llama")
            self.add_token_list([pieces.id_to_piece(i) for i in numbers])
            self.add_token_scores([pieces.get_score(i) for i in numbers])
            self.add_token_types([_type(pieces, i, control) for i in numbers])
        else:
            found = json.loads((self.folder / "tokenizer.json").read_text())
            special = gguf.SpecialVocab(self.folder, load_merges=True)
            names = {number: text for text, number in found["model"]["vocab"].items()}
            added = {it["id"]: it for it in found["added_tokens"]}
            names |= {number: it["content"] for number, it in added.items()}
            numbers = range(VOCABULARY)
            self.add_tokenizer_model("gpt2")
            self.add_tokenizer_pre("qwen2")
            self.add_token_list([names.get(i, f"[PAD{i}]") for i in numbers])
            kinds = {i: 3 if it["special"] else 4 for i, it in added.items()}
            self.add_token_types([kinds.get(i, 1 if i in names else 5) for i in numbers])
        special.add_to_gguf(self, quiet=True)
        super().write_header_to_file(path)


def _type(pieces, number, control):
    if pieces.is_unknown(number):
        return 2
    if pieces.is_control(number) or number in control:
        return 3
    return 6 if pieces.is_byte(number) else 1


def write_gguf(path, folder, kind="F32", tensors=None):
    """The model in a folder as a GGUF file, matrices of this type; not by the code under test."""
    path.parent.mkdir(parents=True)
    config = json.loads((folder / "config.json").read_text())
    rope = config["rope_parameters"]
    rope = rope.get("full_attention", rope)
    config = {key: value for key, value in config.items() if value is not None}
    config["rope_theta"] = rope["rope_theta"]
    WithTokenizer.folder = folder
    tiny.gguf.GGUFWriter, plain = WithTokenizer, gguf.GGUFWriter
    try:
        kept = tiny.as_llama_cpp_keeps(config, tensors or float_tensors(folder))
        more = {}
        if config["model_type"] == "qwen3_moe":
            more["qwen3moe__expert_feed_forward_length"] = config["moe_intermediate_size"]
        return tiny.write(path, config, kept, types={"": tiny.TYPES[kind]}, **more)
    finally:
        tiny.gguf.GGUFWriter = plain


def requantized(path, out, name):
    """By llama.cpp itself."""
    import llama_cpp

    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{name}"), 1
    out.parent.mkdir(parents=True)
    done = llama_cpp.llama_model_quantize(
        str(path).encode(), str(out).encode(), ctypes.byref(params)
    )
    assert done == 0
    return out


def float_tensors(folder):
    from safetensors.torch import load_file

    return {k: v.float().numpy() for k, v in load_file(folder / "model.safetensors").items()}


# -- tiny models of all families


def write_family(folder, family):
    """Random weights, sharp enough that positions matter, with a real tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = {**tiny.CONFIGS[family], "vocab_size": VOCABULARY}
    if config["model_type"] == "mistral":
        config["sliding_window"] = None  # GGUF and mlx-lm have none
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(**config, initializer_range=0.2, pad_token_id=0)
    )
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "norm" in name or name.endswith("bias"):
                weights += torch.randn_like(weights) * 0.2
    # Half precision, but kept as float32: what comes out can then be the same.
    model.half().float().save_pretrained(folder)
    like = MODEL
    if config["model_type"].startswith("qwen"):
        like = folder.parent.parent / "qwen-tokenizer"
        if not like.exists():
            from cortexbuild.formats.tokenizer.tables import WORDS

            byte_level_tokenizer(like, WORDS["qwen2"].pre_tokenizer(), "qwen2")
    for path in like.glob("tokenizer*"):
        shutil.copy(path, folder)
    return folder


# -- GPTQ and AWQ, packed by hand


def quantized(weights, bits, groups, symmetric):
    """Codes, scales and zeros of a matrix (out, in), whose columns belong to `groups`."""
    count, top = int(groups.max()) + 1, 2**bits - 1
    scales = np.empty((len(weights), count), np.float16)
    zeros = np.empty((len(weights), count), np.int64)
    codes = np.empty(weights.shape, np.int64)
    for group in range(count):
        inside = groups == group
        low = np.minimum(weights[:, inside].min(1), 0)
        high = np.maximum(weights[:, inside].max(1), 1e-3)
        if symmetric:
            high = np.maximum(-low, high)
            low = -high
        scales[:, group] = (high - low) / top
        exact = scales[:, group].astype(np.float64)
        zeros[:, group] = (top + 1) // 2 if symmetric else np.clip(np.round(-low / exact), 1, top)
        moved = weights[:, inside] / exact[:, None] + zeros[:, group, None]
        codes[:, inside] = np.clip(np.round(moved), 0, top)
    return codes, scales, zeros


def dequantized(codes, scales, zeros, groups):
    """In float64, from the definition."""
    return (codes - zeros[:, groups]) * scales.astype(np.float64)[:, groups]


def words(numbers, bits, order=None):
    """Rows of numbers in rows of int32, the first of each word lowest."""
    per = 32 // bits
    found = np.zeros((len(numbers), numbers.shape[1] // per), np.uint32)
    for place in range(per):
        number = order[place] if order else place
        found |= numbers[:, number::per].astype(np.uint32) << np.uint32(bits * place)
    return found.view(np.int32)


def gptq_layer(module, packing, bits, minus_one, order=None):
    codes, scales, zeros = packing
    kept = (zeros - 1) % 2**bits if minus_one else zeros
    layer = {
        "qweight": words(codes, bits).T,
        "qzeros": words(kept.T, bits),
        "scales": scales.T,
        "bias": np.zeros(len(codes), np.float16),  # as AutoGPTQ does
    }
    if order is not None:
        layer["g_idx"] = order.astype(np.int32)
    return {f"{module}.{name}": np.ascontiguousarray(it) for name, it in layer.items()}


def awq_layer(module, packing):
    codes, scales, zeros = packing
    order = (0, 2, 4, 6, 1, 3, 5, 7)
    layer = {"qweight": words(codes.T, 4, order), "qzeros": words(zeros.T, 4, order)}
    layer["scales"] = scales.T
    return {f"{module}.{name}": np.ascontiguousarray(it) for name, it in layer.items()}


def write_packed(folder, source, method, *, bits=4, group=32, **more):
    """A model of `source` as GPTQ or AWQ, and what its packed weights mean in float64.

    `more` may have `symmetric`, `act_order` and `layout`.
    """
    from safetensors.numpy import save_file

    symmetric, act_order = more.get("symmetric", False), more.get("act_order", False)
    layout = more.get("layout", "gptq")

    random = np.random.default_rng(0)
    tensors, meant = {}, {}
    for name, weights in float_tensors(source).items():
        inner = name.split(".")[-2]
        if not (inner.endswith("_proj") or inner in ("w1", "w2", "w3")):
            tensors[name] = weights.astype(np.float16)
            continue
        groups = np.arange(weights.shape[1]) // group
        if act_order:
            groups = random.permutation(groups)
        packing = quantized(weights, bits, groups, symmetric)
        meant[name] = dequantized(*packing, groups)
        module = name.removesuffix(".weight")
        tensors |= (
            awq_layer(module, packing)
            if method == "awq"
            else gptq_layer(module, packing, bits, layout == "gptq", groups if act_order else None)
        )
    folder.mkdir(parents=True)
    config = json.loads((source / "config.json").read_text())
    settings = {"quant_method": method, "bits": bits, "group_size": group}
    if method == "awq":
        settings |= {"zero_point": True, "version": "gemm"}
    else:
        settings |= {"desc_act": act_order, "sym": symmetric, "checkpoint_format": layout}
    config |= {"quantization_config": settings, "dtype": "float16"}
    write_json(folder / "config.json", config)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    for path in source.glob("*token*"):
        shutil.copy(path, folder)
    return folder, meant


def save_by_hand(folder, source, meant):
    """The model with these weights instead of its own, in float32."""
    from safetensors.numpy import save_file

    folder.mkdir()
    shutil.copy(source / "config.json", folder)
    kept = {k: w.astype("f2").astype("f4") for k, w in float_tensors(source).items()}
    changed = {name: weights.astype("f4") for name, weights in meant.items()}
    save_file({**kept, **changed}, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def read_metadata(folder):
    from cortexbuild.formats.safetensors.header import read_header

    return read_header(folder / "model.safetensors").metadata["format"]


# -- small models for what is refused: no engine is needed

CONFIG = {
    "model_type": "llama", "num_hidden_layers": 1, "hidden_size": 64, "intermediate_size": 64,
    "num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": VOCABULARY,
    "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "tie_word_embeddings": True,
    "hidden_act": "silu", "rope_theta": 10000.0,
}  # fmt: skip


def write_small(folder, config=None, *, pack=None, **changes):
    """A llama of one layer; `pack` makes the tensors of a matrix, `changes` are other tensors.

    In the names of `changes` `__` is a dot, and None takes a tensor away.
    """
    from safetensors.numpy import save_file

    from cortexbuild.formats.names.tensors import tensors_expected

    config = {**CONFIG, **(config or {})}
    random, width = np.random.default_rng(0), config["hidden_size"]
    tensors = {}
    for name in sorted(tensors_expected(config)):
        rows = config["vocab_size"] if "embed" in name else width
        shape = (width,) if name.endswith("norm.weight") else (rows, width)
        weights = random.standard_normal(shape).astype(np.float16)
        if pack and len(shape) == 2:
            module = name.removesuffix(".weight")
            tensors |= {f"{module}.{part}": it for part, it in pack(weights).items()}
        else:
            tensors[name] = weights
    tensors |= {name.replace("__", "."): weights for name, weights in changes.items()}
    tensors = {name: weights for name, weights in tensors.items() if weights is not None}
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors")
    write_json(folder / "config.json", config)
    return folder


def affine(bits=4, group=64, scale=0.5, dtype=np.float16):
    """A way for `write_small` to pack: all codes are 1."""

    def pack(weights):
        rows, columns = weights.shape
        one = sum(1 << (bits * i) for i in range(32 // bits))
        groups = np.full((rows, columns // group), scale, dtype)
        return {
            "weight": np.full((rows, columns * bits // 32), one, np.uint32),
            "scales": groups, "biases": -groups,
        }  # fmt: skip

    return pack


def mlx_settings(bits=4, group=64):
    return {"quantization": {"bits": bits, "group_size": group}}
