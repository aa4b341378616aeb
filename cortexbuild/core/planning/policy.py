"""Rules that choose a recipe where none is named. They are Cortex's, on measured sizes.

A rule looks at what a model is, never at this machine; what memory there is comes as a number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ...errors import UsageError
from ..document import did_you_mean

Rule = Literal[
    "explicit", "default", "maximum", "size", "name", "unknown size", "16 bits", "int8", "int4"
]
Optimization = Literal["balanced", "maximum"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A recipe, the rule that chose it, and why in one sentence without a full stop."""

    recipe: str
    rule: Rule
    reason: str


INTEGER_RECIPES = ("safetensors", "int8", "int4")
PLAIN, EIGHT, FOUR = "mlx-bf16", "mlx-8bit", "mlx-4bit"

CORTEX_WORDS: Mapping[str, str] = {
    "none": PLAIN,
    "4bit": FOUR,
    "5bit": "mlx-5bit",
    "8bit": EIGHT,
    "mixed": "mlx-mixed-4-6",
    "q4_k_m": FOUR,
    "q5_k_m": "mlx-5bit",
    "q6_k": EIGHT,
    "q8_0": EIGHT,
}
"""Cortex's names of quantizations, in any case, and the recipes they stand for."""

SMALL, MIDDLE = 500_000_000, 1_000_000_000
"""Parameters. Cortex keeps models below the first in 16 bits, and below the second in 8."""

TOO_SMALL_FOR_INT4 = SMALL
PLAIN_NEEDS, INT8_NEEDS, INT4_NEEDS = 3500, 1250, 875
"""Memory to run a model in, in thousandths of its 16-bit weights: Cortex takes 3.5 times the
weights as they are, 2.5 times half of them for INT8, 3.5 times a quarter of them for INT4."""

_HINTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("270m", "350m", "500m"), PLAIN),
    (("1b", "2b", "3b"), EIGHT),
)


def choose_mlx(
    parameters: int | None,
    name: str,
    default: str | None,
    explicit: str | None,
    optimization: Optimization,
) -> Choice:
    """Which MLX recipe to build a model with.

    `parameters` are those counted in the headers of its weights; only where they are unknown does
    `name` tell. `explicit` and `default` are recipes or Cortex's words for them, and `auto` or
    None leaves the choice to the rules. Raises UsageError for any other word.
    """
    if recipe := _named(explicit):
        return Choice(recipe, "explicit", "the target names it")
    if recipe := _named(default):
        return Choice(recipe, "default", "it is the manifest's default")
    chosen = _by_size(parameters) if parameters is not None else _by_name(name)
    if optimization == "maximum" and chosen.recipe not in (PLAIN, FOUR):
        reason = (
            f"`optimization: maximum` takes 4 bits for what would be quantized ({chosen.reason})"
        )
        return Choice(FOUR, "maximum", reason)
    return chosen


def choose_integer(
    weight_bytes: int, available_bytes: int, parameters: int | None, auto_quantize: bool
) -> Choice:
    """In how many bits a PyTorch model fits into memory: 16, else INT8, else INT4.

    `weight_bytes` are those of its 16-bit weights. Raises UsageError with the numbers when it
    does not fit, or not without a quantization that `auto_quantize` forbids or that costs a
    model of this size too much.
    """
    if _fits(weight_bytes, available_bytes, PLAIN_NEEDS):
        return Choice("safetensors", "16 bits", _sizes(weight_bytes, available_bytes, PLAIN_NEEDS))
    if not auto_quantize:
        raise UsageError(
            f"it does not fit in 16 bits: {_sizes(weight_bytes, available_bytes, PLAIN_NEEDS)}; "
            "and `auto_quantize` is off",
            hint="set `auto_quantize: true`, or name the recipe `int8` or `int4`",
        )
    if _fits(weight_bytes, available_bytes, INT8_NEEDS):
        return Choice("int8", "int8", _sizes(weight_bytes, available_bytes, INT8_NEEDS))
    if not _fits(weight_bytes, available_bytes, INT4_NEEDS):
        raise UsageError(
            f"it does not fit in INT4: {_sizes(weight_bytes, available_bytes, INT4_NEEDS)}",
            hint="choose a smaller model, or build it where there is more memory",
        )
    if parameters is not None and parameters < TOO_SMALL_FOR_INT4:
        raise UsageError(
            f"it does not fit in INT8: {_sizes(weight_bytes, available_bytes, INT8_NEEDS)}; and "
            f"INT4 costs a model of {_count(parameters)} parameters too much",
            hint="name the recipe `int4` to have it anyway",
        )
    return Choice("int4", "int4", _sizes(weight_bytes, available_bytes, INT4_NEEDS))


def _named(word: str | None) -> str | None:
    if word is None or word.lower() in ("", "auto"):
        return None
    if word.startswith("mlx-"):
        return word  # the name of a recipe; whether there is one is known where recipes are
    recipe = CORTEX_WORDS.get(word.lower())
    if recipe is None:
        known = ["auto", *CORTEX_WORDS]
        near = did_you_mean(word.lower(), known, f"known are {', '.join(known)}, and recipes")
        raise UsageError(f"`{word}` is no quantization of MLX models", hint=near)
    return recipe


def _by_size(parameters: int) -> Choice:
    counted = f"it has {_count(parameters)} parameters"
    if parameters < SMALL:
        return Choice(PLAIN, "size", f"{counted}, fewer than {_count(SMALL)}")
    if parameters < MIDDLE:
        return Choice(EIGHT, "size", f"{counted}, fewer than {_count(MIDDLE)}")
    return Choice(FOUR, "size", f"{counted}, at least {_count(MIDDLE)}")


def _by_name(name: str) -> Choice:
    for words, recipe in _HINTS:
        for word in words:
            # A word of its own: neither 12b, 1.1b, a3b nor org1bar has a hint.
            if re.search(rf"(?<![a-z0-9.]){word}(?![a-z0-9])", name.lower()):
                reason = f"its parameters are not known, and its name has `{word}`"
                return Choice(recipe, "name", reason)
    return Choice(FOUR, "unknown size", "neither its parameters nor its name tell its size")


def _fits(weight_bytes: int, available_bytes: int, needs: int) -> bool:
    return weight_bytes * needs <= available_bytes * 1000


def _sizes(weight_bytes: int, available_bytes: int, needs: int) -> str:
    needed = weight_bytes * needs / 1000
    return (
        f"weights of {weight_bytes / 2**30:.2f} GiB need {needed / 2**30:.2f} GiB "
        f"({needs / 1000:g} times as much), and {available_bytes / 2**30:.2f} GiB are available"
    )


def _count(parameters: int) -> str:
    if parameters >= 1_000_000_000:
        return f"{parameters / 1e9:.1f} B"
    return f"{parameters / 1e6:.0f} M"
