"""MLX: Hugging Face weights to MLX's format, and MLX weights to fewer bits. With mlx-lm.

The tensors are those of `mlx_lm.convert` with the same settings, byte for byte. What it gets
wrong without a word is bridged or refused here: configurations written by transformers 5, layers
that do not divide by the group, sources that are quantized already, tokenizers re-serialised.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias, get_args

from pydantic import Field, model_validator

from ..core.needs import MIB, bounded
from ..core.params import Params
from ..core.ports import Run, Tool
from ..core.step import Kind
from ..errors import ToolError
from ..formats.bridge import bridge
from ..runtimes.architectures import in_mlx_lm

if TYPE_CHECKING:
    import mlx.nn as nn

    from ..streaming.models import Change

MEMORY = 256 * MIB
"""Bytes of weights on their way; `python bench/streaming` measures 330 MB for the whole process. A
tensor that mlx-lm transforms is held as a whole, which sizes of files do not tell."""

NEEDS = bounded(300 * MIB, MEMORY, gpu=1)
WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "config.json")


OF_MODE = {"mxfp4": (4, 32), "mxfp8": (8, 32), "nvfp4": (4, 16)}
"""Bits and group size of each mode that is not affine: mlx.core.quantize, of mlx 0.32."""

Dtype: TypeAlias = Literal["bfloat16", "float16", "float32"]


class ConvertParams(Params):
    """`dtype` casts all floating weights; left out, they stay as they are."""

    dtype: Dtype | None = None


class QuantizeParams(Params):
    """Affine quantization: each group of weights in a row gets a scale and a bias.

    Bits per weight are bits + 32 / group_size. In the other modes, of the OCP's microscaling and
    of NVIDIA, codes are small floats, groups have a scale of 8 bits, and the mode gives `bits` and
    `group_size`. `mixed` is one of mlx-lm's mixtures, in which the more sensitive layers get more
    bits. Layers that `keep` matches stay as they are.
    """

    mode: Literal["affine", "mxfp4", "mxfp8", "nvfp4"] = "affine"
    bits: Literal[2, 3, 4, 5, 6, 8] = 4
    group_size: Literal[16, 32, 64, 128] = 64
    mixed: Literal["mixed_2_6", "mixed_3_4", "mixed_3_6", "mixed_4_6"] | None = None
    keep: Annotated[tuple[str, ...], Field(strict=False)] = ()

    @model_validator(mode="before")
    @classmethod
    def _of_mode(cls, data: Any) -> Any:
        """Fill in what the mode gives."""
        if isinstance(data, Mapping) and (given := OF_MODE.get(str(data.get("mode")))):
            return {**dict(zip(("bits", "group_size"), given, strict=True)), **data}
        return data

    @model_validator(mode="after")
    def _fits_mode(self) -> Self:
        if self.mode == "affine":
            if self.group_size == 16:
                raise ValueError("`group_size` is 32, 64 or 128 in the affine mode")
        elif (self.bits, self.group_size) != OF_MODE[self.mode] or self.mixed:
            bits, group_size = OF_MODE[self.mode]
            raise ValueError(f"`{self.mode}` has {bits} bits in groups of {group_size}, no other")
        return self


class QuantizeSourceParams(QuantizeParams):
    """The same, of a model that is not in MLX's format yet: in one pass, as `convert` with `dtype`
    and then `quantize` would."""

    dtype: Dtype | None = None


def convert(run: Run, params: ConvertParams) -> None:
    config = _config(run)
    _write(run, config, _dtype(config, params.dtype), None)


def quantize(run: Run, params: QuantizeParams) -> None:
    """Of weights in MLX's format, whose dtypes stay."""
    _write(run, _config(run), None, partial(_quantized, params))


def quantize_source(run: Run, params: QuantizeSourceParams) -> None:
    config = _config(run)
    _write(run, config, _dtype(config, params.dtype), partial(_quantized, params))


def _config(run: Run) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((run.inputs["model"] / "config.json").read_text())
    refuse_quantized(config)
    return config


def _dtype(config: Mapping[str, Any], wanted: Dtype | None) -> str | None:
    """What mlx_lm.convert casts to: not `dtype`, where transformers 5 writes it."""
    said = wanted or config.get("torch_dtype") or config.get("text_config", {}).get("dtype")
    return said if said in get_args(Dtype) else None


def _quantized(
    params: QuantizeParams, model: nn.Module, config: dict[str, Any]
) -> tuple[nn.Module, dict[str, Any]]:
    from mlx_lm.convert import mixed_quant_predicate_builder
    from mlx_lm.utils import quantize_model

    choose = getattr(model, "quant_predicate", None)
    if params.mixed:
        choose = mixed_quant_predicate_builder(params.mixed, model, params.group_size)
    model, config = quantize_model(
        model, config, params.group_size, params.bits, mode=params.mode,
        quant_predicate=_checked(model, choose, params),
    )  # fmt: skip
    return model, config


def _write(run: Run, config: dict[str, Any], dtype: str | None, change: Change | None) -> None:
    from mlx_lm.utils import save_config

    from ..streaming.models import write_model

    source = run.inputs["model"]
    made = write_model(source, bridge(config), dtype, change, run.output, run.progress)
    save_config(made, config_path=run.out / "config.json")
    copy_others(run)


def engine() -> Mapping[str, str]:
    try:
        return {name: version(name) for name in ("mlx", "mlx-lm")}
    except PackageNotFoundError as error:
        raise ToolError(
            f"{error.name} is not installed", hint="pip install 'cortexbuild[mlx]'"
        ) from error


def refuse_quantized(config: Mapping[str, Any]) -> None:
    found = config.get("quantization") or config.get("quantization_config")
    if found:
        bits = found.get("bits", found.get("quant_method", "fewer bits"))
        raise ToolError(
            f"these weights are quantized already ({bits}); to do it again would lose more "
            "than it says",
            hint="build from the full-precision model that they were made from",
        )


def _checked(
    model: nn.Module, choose: Callable[..., Any] | None, params: QuantizeParams
) -> Callable[[str, Any], Any]:
    """mlx-lm leaves a layer that does not divide by the group as it is and says nothing."""
    from fnmatch import fnmatchcase

    kept = [
        name for name, _ in model.named_modules() if any(fnmatchcase(name, p) for p in params.keep)
    ]
    unfit = [
        f"`{name}` ({module.weight.shape[-1]} wide)"
        for name, module in model.named_modules()
        if hasattr(module, "to_quantized") and name not in kept and _misfits(module, params)
    ]
    if unfit:
        raise ToolError(
            f"{len(unfit)} layers do not divide into groups of {params.group_size}; "
            f"the first is {unfit[0]}",
            hint="choose a smaller `group_size`, or name the layers that stay under `keep:`",
        )

    def decide(name: str, module: Any) -> Any:
        if name in kept:
            return False
        return choose(name, module) if choose is not None else True

    return decide


def _misfits(module: Any, params: QuantizeParams) -> bool:
    return bool(module.weight.shape[-1] % params.group_size)


def copy_others(run: Run) -> None:
    """The files of the model that are neither its weights nor its configuration."""
    for path in sorted(run.inputs["model"].rglob("*")):
        name = path.relative_to(run.inputs["model"])
        if path.is_file() and not any(name.match(pattern) for pattern in WEIGHTS):
            (run.out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, run.out / name)


def _quantized_size(params: QuantizeParams, size: int) -> int:
    """From 16 bits a weight to `bits`, and a scale and a bias of 16 bits for each group, or a scale
    of 8."""
    of_group = 32 if params.mode == "affine" else 8
    return int(size * (params.bits + of_group / params.group_size) / 16)


TOOLS = (
    Tool(
        "mlx", Kind.CONVERT, ConvertParams, convert, revision=2,
        accepts=("safetensors",), makes="mlx", wants=("facts",), engine=engine, needs=NEEDS,
        knows=in_mlx_lm,
    ),
    Tool(
        "mlx", Kind.QUANTIZE, QuantizeSourceParams, quantize_source, revision=2,
        accepts=("safetensors",), makes="mlx", wants=("facts",), engine=engine,
        predict=_quantized_size, needs=NEEDS, knows=in_mlx_lm,
    ),
    Tool(
        "mlx", Kind.QUANTIZE, QuantizeParams, quantize, revision=2,
        accepts=("mlx",), makes="mlx", engine=engine, predict=_quantized_size, needs=NEEDS,
        knows=in_mlx_lm,
    ),
)  # fmt: skip
