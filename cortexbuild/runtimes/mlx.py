"""Run a model in MLX's format, with mlx-lm."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.ports import Runtime, Sampling, Server
from ..errors import ToolError
from .pieces import text_pieces
from .prompting import prompt_of, templated
from .stopping import until_stop

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class MlxModel:
    def __init__(self, folder: Path) -> None:
        try:
            from mlx_lm.utils import load
        except ImportError as error:
            raise ToolError(
                "mlx-lm is not installed", hint="pip install 'cortexbuild[mlx]'"
            ) from error
        self._folder = folder
        self._model, self._tokenizer = load(str(folder))
        _suit_cpu(self._model)
        self._exact: Any = None

    def encode(self, text: str, *, whole: bool = True) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=whole))

    def generate(self, prompt: str, sampling: Sampling) -> Iterator[str]:
        import mlx.core as mx
        from mlx_lm.generate import stream_generate
        from mlx_lm.sample_utils import make_logits_processors, make_sampler

        mx.random.seed(sampling.seed)
        penalty = sampling.repetition_penalty
        ids = prompt_of(self, prompt, sampling)
        answers = stream_generate(
            self._model,
            self._tokenizer,
            ids,
            max_tokens=sampling.max_tokens,
            sampler=make_sampler(
                temp=sampling.temperature,
                top_p=sampling.top_p if sampling.top_p < 1 else 0.0,
                top_k=sampling.top_k,
            ),
            logits_processors=make_logits_processors(
                repetition_penalty=penalty if penalty != 1 else None
            ),
        )
        # Its own text lacks the space before the first word.
        tokens = (answer.token for answer in answers if answer.finish_reason != "stop")
        decode = partial(self._tokenizer.decode, clean_up_tokenization_spaces=False)
        pieces = text_pieces(decode, ids, tokens)
        yield from until_stop(pieces, sampling.stop)

    def logits(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Computed with the weights dequantized to float32.

        On a CPU the quantized kernels add up in the activations' own 16 bits, which costs more
        than the quantization that is to be measured; so this tells of the weights alone.
        """
        import mlx.core as mx
        import numpy as np
        from mlx.utils import tree_map
        from mlx_lm.utils import dequantize_model, load_model

        if self._exact is None:
            model, _ = load_model(self._folder)
            # Scales first: what is dequantized has their type, and would be rounded to 16 bits.
            model.update(
                tree_map(
                    lambda v: v.astype(mx.float32) if mx.issubdtype(v.dtype, mx.floating) else v,
                    model.parameters(),
                )
            )
            self._exact = _multiplied_by_numpy(dequantize_model(model))
        return np.array(self._exact(mx.array([list(tokens)]))[0].astype(mx.float32))

    def chat(self, message: str) -> str | None:
        return templated(self._tokenizer, message)


def _multiplied_by_numpy(model: Any) -> Any:
    """A model in float32, whose matrices numpy multiplies on Linux's CPUs: mlx has a BLAS there
    that takes fifteen times as long (0.32: the one that comes with LAPACK)."""
    import mlx.core as mx
    import mlx.nn as nn
    import numpy as np

    if sys.platform != "linux" or mx.default_device().type != mx.DeviceType.cpu:
        return model

    def product(weight: Any, x: Any) -> Any:
        return mx.array(np.asarray(x) @ np.asarray(weight).T)

    class Linear(nn.Linear):  # type: ignore[misc]
        def __call__(self, x: Any) -> Any:
            found = product(self.weight, x)
            return found + self.bias if "bias" in self else found

    class Embedding(nn.Embedding):  # type: ignore[misc]
        def as_linear(self, x: Any) -> Any:
            return product(self.weight, x)

    for module in model.modules():
        for ours in (Linear, Embedding):
            if type(module) is ours.__base__:
                module.__class__ = ours
    return model


def _suit_cpu(model: Any) -> None:
    """Experts in float32, where they are multiplied on a CPU: mlx has no other kernel for that
    there (0.32: GatherMM::eval). Quantized ones have kernels of their own."""
    import mlx.core as mx
    from mlx_lm.models.switch_layers import SwitchLinear

    if mx.default_device().type != mx.DeviceType.cpu:
        return
    for module in model.modules():
        if isinstance(module, SwitchLinear):
            module.weight = module.weight.astype(mx.float32)


def server(path: Path, target: str, host: str, port: int) -> Server:
    del target  # it knows no names but this one
    arguments = ("--model", str(path), "--host", host, "--port", str(port))
    return Server("mlx_lm.server", arguments, "default_model", ("mlx_lm",), "mlx")


RUNTIME = Runtime(formats=("mlx", "mlx-*"), load=MlxModel, server=server)
