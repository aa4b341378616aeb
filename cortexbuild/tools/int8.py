"""PyTorch models with INT8 weights, for transformers. With torchao.

Every linear layer, an untied output layer among them, gets one scale per row; embeddings stay
in 16 bits. Nothing is calibrated, and activations stay as they are.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.digest import Plain
from ..core.needs import MIB, holding
from ..core.params import Params
from ..core.ports import Run, Tool
from ..core.step import Kind
from ..errors import ToolError, UsageError
from ..formats.files import Weights, weights
from ..formats.listing import local_files
from ..formats.settled import settle_header
from ..formats.shards import read_safetensors
from ..runtimes.architectures import in_transformers
from ..runtimes.pretrained import is_quantized, is_tied, load_model, quiet
from .torch import copy_others, versions

NAMES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}
TRIED = (1, 100, 1000)
"""The token ids on which Cortex tries a quantized model."""

LEAST_SPREAD = 1e-6
"""Cortex's limit: scores that are closer together than this tell nothing."""

MOST_LEFT = 0.01
"""Share of the weights besides embeddings that may stay as they are. Routers and convolutions
are less; the experts of a mixture, which are no linear layers to transformers, are most of it."""

PACKED_ELSEWHERE = "build it as MLX or GGUF, which pack these too"
SHARD_SIZE = "5GB"
THREADS = 4


class QuantizeParams(Params):
    """There is nothing to set: 8 bits, one scale per row."""


def quantize(run: Run, params: QuantizeParams) -> None:  # noqa: ARG001
    quantize_with(run, _int8)


def quantize_with(run: Run, choose: Callable[[str, bool], Any]) -> None:
    """Quantize the model as transformers does with the configuration that `choose` gives for its
    dtype and for whether its output layer is its embedding. What was written is loaded again and
    tried, and nothing in it depends on the order of anything in memory."""
    source = run.inputs["model"]
    found = _weights(source)
    config = json.loads((source / "config.json").read_text())
    dtype = _dtype(source, config, found)
    with quiet():
        how = choose(dtype, is_tied(source, allow_code=run.allow_code))
    with fixed_threads():
        model = load_model(source, allow_code=run.allow_code, dtype=dtype, quantization_config=how)
    _check_left(model)
    with quiet():
        model.save_pretrained(run.out, max_shard_size=SHARD_SIZE)
    del model
    _tidy(run.out, config, dtype)
    copy_others(run, {*found.files, "config.json", *([found.index] if found.index else [])})
    _try(run.out, run.allow_code)


def no_mixture(facts: Mapping[str, Plain]) -> None:
    """transformers keeps all experts of a layer in one tensor, and packs linear layers only."""
    if count := facts.get("experts"):
        raise UsageError(
            f"it is a mixture of {count} experts, and INT8 and INT4 would leave them in 16 bits",
            hint=PACKED_ELSEWHERE,
        )


def engine() -> Mapping[str, str]:
    return versions("torch", "torchao", "transformers", "safetensors")


@contextmanager
def fixed_threads() -> Iterator[None]:
    """As many threads on every machine: sums are split between them, and so differ in their last
    bits with their number. INT4's scales would be other ones with other cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _int8(dtype: str, tied: bool) -> Any:  # noqa: ARG001
    from torchao.quantization import Int8WeightOnlyConfig
    from transformers import TorchAoConfig

    # By default an output layer is left out even where it has weights of its own.
    return TorchAoConfig(Int8WeightOnlyConfig(), modules_to_not_convert=None if tied else [])


def _weights(source: Path) -> Weights:
    found = weights(local_files(source).sizes)
    if found is None or found.format != "safetensors":
        raise ToolError(
            "there are no safetensors weights among these files",
            hint="name a folder or a repository with *.safetensors as the source",
        )
    return found


def _dtype(source: Path, config: Mapping[str, Any], found: Weights) -> str:
    """The dtype of most of the weights; a config may say another."""
    if config.get("quantization_config") or config.get("quantization"):
        raise ToolError(
            "these weights are quantized already; to do it again would lose more than it says",
            hint="build from the full-precision model that they were made from",
        )
    tensors = read_safetensors(local_files(source), found).tensors.values()
    sizes: Counter[str] = Counter()
    for tensor in tensors:
        sizes[tensor.dtype] += tensor.end - tensor.start
    most = sizes.most_common(1)[0][0] if sizes else "none"
    if most not in NAMES:
        raise ToolError(
            f"its weights are {most}; only 16 and 32 bits can be quantized",
            hint="take the source in 16 bits",
        )
    return NAMES[most]


def _check_left(model: Any) -> None:
    """transformers leaves what it cannot quantize as it is and says nothing."""
    import torch

    left: dict[str, int] = {}
    everything = 0
    for owner, module in model.named_modules():
        for name, weight in module.named_parameters(recurse=False):
            if weight.ndim < 2 or isinstance(module, torch.nn.Embedding):
                continue
            if weight is getattr(model.get_input_embeddings(), "weight", None):
                continue  # an output layer that is the embedding
            state = getattr(weight, "quant_state", None)  # what is packed has another shape
            values = state.shape.numel() if state is not None else weight.numel()
            everything += values
            if not is_quantized(weight):
                left[f"{owner}.{name}"] = values
    if sum(left.values()) > MOST_LEFT * everything:
        share = sum(left.values()) / everything
        raise ToolError(
            f"{share:.0%} of its weights are not in linear layers and would stay as they are; "
            f"the first are `{next(iter(left))}`",
            hint=PACKED_ELSEWHERE,
        )


def _tidy(out: Path, config: dict[str, Any], dtype: str) -> None:
    """Leave of what transformers wrote only what differs from the source."""
    made = json.loads((out / "config.json").read_text())
    for path in out.iterdir():
        if path.suffix == ".safetensors":
            settle_header(path)
        elif not path.name.endswith(".safetensors.index.json"):
            path.unlink()
    config.pop("torch_dtype", None)  # the older name
    config |= {"dtype": dtype, "quantization_config": made["quantization_config"]}
    (out / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")


def _try(folder: Path, allow_code: bool) -> None:
    """What was written must load, and its scores must be numbers that differ."""
    import torch

    model = load_model(folder, allow_code=allow_code)
    most = model.get_input_embeddings().weight.shape[0]
    tokens = torch.tensor([[token % most for token in TRIED]], device=model.device)
    with torch.inference_mode():
        scores = model(input_ids=tokens).logits.float()
    if not bool(scores.isfinite().all()):
        raise ToolError(
            f"quantized, it gives NaN or infinite scores for the tokens {TRIED}",
            hint="choose another recipe: `cortexbuild recipes`",
        )
    if float(scores.std()) <= LEAST_SPREAD:
        raise ToolError(
            f"quantized, it gives the same score to every token after {TRIED}",
            hint="choose another recipe: `cortexbuild recipes`",
        )


def _size(params: QuantizeParams, size: int) -> int:  # noqa: ARG001
    """From 16 bits a weight to 8; a floor, since embeddings are not known here."""
    return size * 8 // 16


TOOLS = (
    Tool(
        "int8", Kind.QUANTIZE, QuantizeParams, quantize, revision=1,
        accepts=("safetensors",), makes="int8", wants=("facts",), engine=engine, predict=_size,
        check=no_mixture, needs=holding(450 * MIB, 2), knows=in_transformers, runs_code=True,
    ),
)  # fmt: skip
