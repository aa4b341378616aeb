"""What a LoRA adapter adds to which weight, by its configuration and header. Reads no data.

The layouts are those of PEFT (adapter_model.safetensors) and of mlx-lm (adapters.safetensors).
What is not plain LoRA on linear layers is refused by its name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import SAVE_ADAPTER_AGAIN, ToolError
from .adapters import adapter_in
from .foreign import shown
from .listing import local_files, read_object
from .safetensors.header import TensorInfo, read_header

FLOATS = ("BF16", "F16", "F32")

_NAME = re.compile(r"[\w.-]{1,1000}")

_PEFT_PREFIX = "base_model.model."
_PLAIN_STARTS = (True, False, None, "gaussian", "eva", "orthogonal")
"""PEFT's `init_lora_weights` that leave the weights of the base as they were. The others begin by
taking something out of them, so that the adapter does not fit the published base."""

_REFUSED: Mapping[str, str] = {
    "use_dora": "DoRA",
    "modules_to_save": "modules trained as a whole (`modules_to_save`)",
    "lora_bias": "LoRA of biases (`lora_bias`)",
    "trainable_token_indices": "trained tokens (`trainable_token_indices`)",
    "target_parameters": "LoRA of parameters (`target_parameters`)",
    "layer_replication": "repeated layers (`layer_replication`)",
    "alora_invocation_tokens": "LoRA that is invoked (`alora_invocation_tokens`)",
    "use_qalora": "QALoRA",
    "use_bdlora": "BD-LoRA",
    "arrow_config": "Arrow",
    "monteclora_config": "MonteCLoRA",
}
"""Settings of PEFT's LoraConfig whose result is no sum of weight and B @ A."""

_LARGEST = 1e6
"""Of a scale; trained ones are between a hundredth and some hundreds."""


@dataclass(frozen=True, slots=True)
class Delta:
    """`scale` times B @ A, to be added to the weight `target`, or the transpose of it.

    `down` is A and `up` is B. PEFT stores them as [rank, in] and [out, rank]; `stored_across`
    means as mlx-lm does, the other way round. `transposed` means that the weight is [in, out].
    """

    target: str
    file: Path
    down: TensorInfo
    up: TensorInfo
    scale: float
    stored_across: bool = False
    transposed: bool = False

    def check(self, weight: TensorInfo) -> None:
        """Raises ToolError when it does not fit the weight."""
        down, up = self.down.shape, self.up.shape
        if self.stored_across:
            down, up = down[::-1], up[::-1]
        made: tuple[int, ...] = ()
        if len(down) == len(up) == 2 and down[0] == up[1]:
            made = (down[1], up[0]) if self.transposed else (up[0], down[1])
        if weight.shape != made:
            raise ToolError(
                f"{shown(self.down.name)} {list(self.down.shape)} and {shown(self.up.name)} "
                f"{list(self.up.shape)} do not fit {shown(self.target)} {list(weight.shape)}",
                hint="is this the model that the adapter was trained on?",
            )
        if weight.dtype not in FLOATS:
            raise ToolError(
                f"{shown(self.target)} is {weight.dtype}, which takes no adapter",
                hint="build from 16-bit weights: adapters are merged on those",
            )


def read_adapter(folder: Path) -> Sequence[Delta]:
    """All that an adapter adds, by the names of the weights.

    Raises ToolError for what cannot be merged, IntegrityError for a damaged file.
    """
    files = local_files(folder)
    name = adapter_in(files)
    config = read_object(files, "adapter_config.json")
    if name is None or config is None or not name.endswith(".safetensors"):
        raise ToolError(
            "expected adapter_config.json and weights in safetensors, as PEFT and mlx-lm write "
            f"them; found {', '.join(sorted(files.sizes)) or 'nothing'}",
            hint="name the folder with these two in `adapters:`",
        )
    file = folder / name
    tensors = read_header(file).tensors
    for info in tensors.values():
        if info.dtype not in FLOATS:
            raise ToolError(
                f"{shown(info.name)} is {info.dtype}, which no adapter is",
                hint="save the adapter in float32, float16 or bfloat16",
            )
    found = _peft(config, file, tensors) if "peft_type" in config else _mlx(config, file, tensors)
    if not found:
        raise ToolError(f"{name} is empty", hint=SAVE_ADAPTER_AGAIN)
    return found


def _peft(
    config: Mapping[str, Any], file: Path, tensors: Mapping[str, TensorInfo]
) -> Sequence[Delta]:
    _refuse_peft(config)
    pairs = _pairs(tensors, ".lora_A.weight", ".lora_B.weight")
    found = []
    for module, (down, up) in pairs.items():
        module = module.removeprefix(_PEFT_PREFIX)
        rank = _of_pattern(config.get("rank_pattern"), module, config.get("r"))
        alpha = _of_pattern(config.get("alpha_pattern"), module, config.get("lora_alpha"))
        if not down.shape or not down.shape[0] or rank != down.shape[0]:
            of = down.shape[0] if down.shape else "none"
            raise ToolError(
                f"{shown(down.name)} is of rank {of}, and not of {shown(str(rank))}",
                hint=SAVE_ADAPTER_AGAIN,
            )
        divisor = math.sqrt(down.shape[0]) if config.get("use_rslora") else down.shape[0]
        scale = _number(alpha, "lora_alpha") / divisor
        transposed = bool(config.get("fan_in_fan_out"))
        found.append(Delta(f"{module}.weight", file, down, up, scale, transposed=transposed))
    return found


def _mlx(
    config: Mapping[str, Any], file: Path, tensors: Mapping[str, TensorInfo]
) -> Sequence[Delta]:
    kind = str(config.get("fine_tune_type", "lora"))
    if kind != "lora":
        raise _refused({"dora": "DoRA", "full": "a whole fine-tuned model"}.get(kind, shown(kind)))
    settings = config.get("lora_parameters")
    scale = _number(settings.get("scale") if isinstance(settings, dict) else None, "scale")
    pairs = _pairs(tensors, ".lora_a", ".lora_b")
    return [
        Delta(f"{module}.weight", file, down, up, scale, stored_across=True)
        for module, (down, up) in pairs.items()
    ]


def _refuse_peft(config: Mapping[str, Any]) -> None:
    if config["peft_type"] != "LORA":
        raise _refused(shown(str(config["peft_type"])))
    for setting, what in _REFUSED.items():
        if config.get(setting):
            raise _refused(what)
    if (bias := config.get("bias", "none")) != "none":
        raise _refused(f"trained biases ({shown(f'bias: {bias}')})")
    if (start := config.get("init_lora_weights", True)) not in _PLAIN_STARTS:
        said = shown(f"init_lora_weights: {start}")
        raise _refused(f"LoRA that changed its base first ({said})")


def _pairs(
    tensors: Mapping[str, TensorInfo], down: str, up: str
) -> Mapping[str, tuple[TensorInfo, TensorInfo]]:
    """A and B of each module; every tensor has to be one of them."""
    for name in tensors:
        if ".lora_embedding_" in name or ".lora_magnitude_vector" in name:
            raise _refused("DoRA" if "magnitude" in name else "LoRA of embeddings")
    for name in tensors:
        if not name.endswith((down, up)):
            raise _refused(f"{shown(name)} in it, which is not LoRA of a linear layer")
    found = {}
    for name, info in tensors.items():
        module = name.removesuffix(down).removesuffix(up)
        other = module + (up if name.endswith(down) else down)
        if other not in tensors:
            raise ToolError(
                f"{shown(name)} is there, and {shown(other)} is not", hint=SAVE_ADAPTER_AGAIN
            )
        if name.endswith(down):
            found[module] = (info, tensors[other])
    return found


def _of_pattern(patterns: object, module: str, otherwise: object) -> Any:
    """The value for a module, as PEFT finds it (`peft.utils.other.get_pattern_key`).

    PEFT takes the keys for regular expressions, and one of a stranger's may run for ever: here
    they are names, or the ends of names.
    """
    table = patterns if isinstance(patterns, dict) else {}
    for key in table:
        if not _NAME.fullmatch(key):
            raise ToolError(
                f"the pattern {shown(key)} in adapter_config.json is more than a name",
                hint="name each module by itself, or merge it with the library that trained it",
            )
    keys = (key for key in table if module == key or module.endswith(f".{key}"))
    return table.get(next(keys, None), otherwise)


def _number(value: object, name: str) -> float:
    found = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not abs(found) <= _LARGEST:
        raise ToolError(f"adapter_config.json says no number for `{name}`", hint=SAVE_ADAPTER_AGAIN)
    return float(found)


def _refused(what: str) -> ToolError:
    return ToolError(
        f"it has {what}, and only plain LoRA of linear layers can be merged",
        hint="merge it with the library that trained it, and build from the result",
    )
