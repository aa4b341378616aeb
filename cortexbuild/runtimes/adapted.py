"""A model with LoRA adapters beside its weights, as it was while they were trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.ports import LoadedModel
from ..errors import ToolError
from ..formats.lora import Delta, read_adapter
from .torch import TorchModel

if TYPE_CHECKING:
    import torch


def adapt(model: LoadedModel, adapters: Sequence[Path], weights: Sequence[float]) -> None:
    """Let `logits` give what the model with these adapters would, each as much as its weight.

    Their layers are computed by themselves in float32, and no weight is changed. Raises ToolError
    for a model that is not in Hugging Face's layout, or has no layer that an adapter is for.
    """
    if not isinstance(model, TorchModel):
        raise ToolError(
            "adapters are for models in Hugging Face's layout",
            hint="take the source in that layout, or merge the adapter into it yourself",
        )
    layers = dict(model.exact().named_modules())
    for folder, weight in zip(adapters, weights, strict=True):
        for delta in read_adapter(folder):
            layer = layers.get(delta.target.removesuffix(".weight"))
            if layer is None:
                raise ToolError(
                    f"the model has no layer for the adapter's `{delta.target}`",
                    hint="the adapter is of another model: name the one that it was trained on",
                )
            layer.register_forward_hook(_added(delta, weight))


def _added(delta: Delta, weight: float) -> Callable[..., Any]:
    """LoRA's own sum (https://arxiv.org/abs/2106.09685, section 4.1): Wx + scale * B(Ax)."""
    from safetensors import safe_open

    with safe_open(delta.file, "pt") as file:
        down, up = (file.get_tensor(info.name).float() for info in (delta.down, delta.up))
    if delta.stored_across:
        down, up = down.T, up.T

    def hook(_layer: Any, given: tuple[torch.Tensor], made: torch.Tensor) -> torch.Tensor:
        return made + weight * delta.scale * (given[0] @ down.T @ up.T)

    return hook
