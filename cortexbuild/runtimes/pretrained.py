"""Load a Hugging Face folder with transformers: offline, quietly, every weight accounted for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import FETCH_AGAIN, OTHER_PUBLICATION, ToolError, shown
from ..formats.code import ELSEWHERE, asked_for
from ..formats.listing import local_files

HINT = "pip install 'cortexbuild[torch]'"
NOISY = ("torch.utils._pytree", "torchao", "bitsandbytes", "transformers")


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings and no progress bars of the libraries', whose settings are put back after."""
    try:
        with suppress(ModuleNotFoundError):  # a tokenizer does without
            import torch  # noqa: F401  (it sets up its own logging when it is imported)
        from transformers.utils import logging as bars
    except ImportError as error:
        raise ToolError(f"{error.name} is not installed", hint=HINT) from error
    levels = {name: logging.getLogger(name).level for name in NOISY}
    had_bars = bars.is_progress_bar_enabled()
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
    bars.disable_progress_bar()
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        if had_bars:
            bars.enable_progress_bar()


def load_model(folder: Path, *, allow_code: bool = False, **how: Any) -> Any:
    """A causal language model in the dtype of its weights; `how` goes to `from_pretrained`.

    transformers fills in at random what a folder does not have, and leaves out what the model
    does not know. Both are a ToolError here, and so is all else that keeps it from loading. Code
    that the folder brings is run with `allow_code` alone.
    """
    with _loading():
        import torch  # noqa: F401  (said of itself when it is missing, not of transformers)
        from transformers import AutoModelForCausalLM

        model, found = AutoModelForCausalLM.from_pretrained(
            str(folder),
            output_loading_info=True,
            **{**_how(folder, allow_code), "dtype": "auto", **how},
        )
    for what in ("missing", "unexpected", "mismatched"):
        if names := sorted(map(str, found[f"{what}_keys"])):
            raise ToolError(
                f"{len(names)} {what} weights; the first is `{names[0]}`", hint=OTHER_PUBLICATION
            )
    _check_packed(model)
    return model.eval()


def load_tokenizer(folder: Path, *, allow_code: bool = False) -> Any:
    with _loading():
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(str(folder), **_how(folder, allow_code))


def is_tied(folder: Path, *, allow_code: bool = False) -> bool:
    """Whether the output layer of the model is its embedding."""
    with _loading():
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(str(folder), **_how(folder, allow_code))
    return bool(getattr(config.get_text_config(decoder=True), "tie_word_embeddings", False))


def _check_packed(model: Any) -> None:
    """What transformers does not compare: packed weights have the shape of their layer.

    bitsandbytes repacks them for CPUs with AVX512-BF16, and fails in the forward pass where it
    cannot (`_convert_weight_packed_for_cpu`, 0.50); its other kernels take any shape.
    """
    for name, module in model.named_modules():
        state = getattr(getattr(module, "weight", None), "quant_state", None)
        if state is None:
            continue
        rows, columns = module.out_features, module.in_features
        if tuple(state.shape) != (rows, columns):
            raise ToolError(
                f"`{name}` is {list(state.shape)}, and not {[rows, columns]}", hint=FETCH_AGAIN
            )
        if rows % _BLOCK_ROWS or columns % state.blocksize:
            module.support_avx512bf16_for_cpu = False


def load_exact(folder: Path, *, allow_code: bool = False) -> Any:
    """The model in float32, its weights dequantized to what they stand for."""
    import torch

    model = load_model(folder, allow_code=allow_code)
    for name, module in list(model.named_modules()):
        weight = getattr(module, "weight", None)
        if weight is None or not is_quantized(weight):
            continue
        plain = _dequantized(weight)
        linear = torch.nn.Linear(plain.shape[1], plain.shape[0], module.bias is not None)
        linear.weight = torch.nn.Parameter(plain, requires_grad=False)
        if module.bias is not None:
            linear.bias = module.bias
        model.set_submodule(name, linear)
    # The model's own method refuses to; but what was quantized in it is no more.
    return torch.nn.Module.float(model)


def is_quantized(weight: Any) -> bool:
    """bitsandbytes says it in an attribute, torchao by a class of its own."""
    import torch

    return hasattr(weight, "quant_state") or type(weight.data) is not torch.Tensor


def _dequantized(weight: Any) -> Any:
    import torch

    if hasattr(weight, "quant_state"):
        from bitsandbytes.functional import dequantize_4bit

        return dequantize_4bit(weight.data, weight.quant_state).float()
    return weight.dequantize(torch.float32)


_BLOCK_ROWS = 32


def _how(folder: Path, allow_code: bool) -> dict[str, Any]:
    """Never by the network. Raises ToolError for code that is not among the model's own files:
    what of it lies in the Hub's cache here is pinned by nobody."""
    if allow_code:
        for name in asked_for(local_files(folder)):
            if ELSEWHERE in name:
                raise ToolError(
                    f"it asks for code of another repository, {shown(name)}",
                    hint="copy the model and that code into one folder, and name it as the source",
                )
    return {"local_files_only": True, "trust_remote_code": allow_code}


@contextmanager
def _loading() -> Iterator[None]:
    with quiet():
        try:
            yield
        except (ImportError, OSError, ValueError, RuntimeError) as error:
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            hint = HINT if isinstance(error, ImportError) else OTHER_PUBLICATION
            if "trust_remote_code" in str(error):
                hint = "read that code; `allow_code: true` under the model has it run, as you"
            raise ToolError(f"transformers cannot load it: {said}", hint=hint) from error
