"""cortex.yaml and recipes/*.yaml, parsed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from .document import Document, Entry


def _a_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", text) or "--" in text:
        raise ValueError(
            "a name is letters, digits, `.`, `_` and single `-`, and starts with a letter or digit"
        )
    return text


def _an_origin(text: str) -> str:
    scheme, colon, rest = text.partition(":")
    if not colon or not rest or not scheme.isalpha():
        raise ValueError(
            "a source is written `path:folder`, `hf:org/name@revision` or "
            "`https://host/model.gguf#sha256=…`"
        )
    return text


Name = Annotated[str, AfterValidator(_a_name)]
Origin = Annotated[str, AfterValidator(_an_origin)]


class Target(Entry):
    """One thing to have built: a recipe, settings that differ from it, and limits."""

    recipe: Annotated[str, Field(description="the name of a file in recipes/, without .yaml")]
    set: Annotated[
        Mapping[str, Any], Field(description="settings that differ from the recipe's")
    ] = {}


def _adapters(value: Any) -> Any:
    """`[path:a]` is short for `[{source: path:a, weight: 1}]`."""
    if not isinstance(value, list):
        return value
    return [{"source": item} if isinstance(item, str) else item for item in value]


class Adapter(Entry):
    """A LoRA adapter, and how strongly it is merged."""

    source: Origin
    weight: float = 1.0


class Policy(Entry):
    """How `recipe: auto` and `recipe: auto-int` choose.

    `optimization: maximum` takes 4 bits for every model that would be quantized. `quantization`
    is the recipe, or Cortex's word for one, that `auto` takes instead of choosing by size.
    With `auto_quantize: false`, `auto-int` takes 16 bits or refuses.
    """

    optimization: Literal["balanced", "maximum"] = "balanced"
    quantization: str | None = None
    auto_quantize: bool = True


def _bytes(value: Any) -> Any:
    """`8GiB` and `16 GB` as a number of bytes."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]i?)?B?\s*", value)
    if found is None:
        raise ValueError("an amount of memory is written like `8GiB`")
    unit = found[2] or ""
    base = 1024 if unit.endswith("i") else 1000
    return int(float(found[1]) * base ** (" KMGT".index(unit[:1]) if unit else 0))


class Resources(Entry):
    """What there is to run models on, where it is not this machine that tells."""

    memory: Annotated[
        int | None,
        BeforeValidator(_bytes, json_schema_input_type=str | int | None),
        Field(description="to run a model in, such as `8GiB`; left out, this machine's"),
    ] = None


class Licenses(Entry):
    """Licences, as sources declare them, that nothing may be built under."""

    deny: Annotated[
        tuple[str, ...],
        Field(strict=False, description="patterns with * and ?; `unknown` is none declared"),
    ] = ()


def _targets(value: Any) -> Any:
    """`[mlx-4bit]` is short for `{mlx-4bit: {recipe: mlx-4bit}}`."""
    if not isinstance(value, list):
        return value
    names: dict[str, Any] = {}
    for item in value:
        if not isinstance(item, str):
            raise ValueError("a list of targets has names of recipes; use a table for settings")
        if item in names:
            raise ValueError(f"target `{item}` is named twice")
        names[item] = {"recipe": item}
    return names


class Model(Entry):
    """A named source with the targets it is built into."""

    source: Annotated[
        Origin,
        Field(
            description="path:FOLDER, relative to cortex.yaml; hf:ORG/NAME@REVISION, with /FILE "
            "for one file of it; https://HOST/FILE#sha256=DIGEST"
        ),
    ]
    adapters: Annotated[
        tuple[Adapter, ...],
        BeforeValidator(_adapters, json_schema_input_type=list[str | Adapter]),
        Field(strict=False, description="LoRA adapters, merged in this order"),
    ] = ()
    targets: Annotated[
        Mapping[Name, Target],
        BeforeValidator(_targets, json_schema_input_type=list[str] | dict[str, Target]),
        Field(min_length=1, description="names of recipes, or name: {recipe: …, set: …}"),
    ]


class Manifest(Document):
    """cortex.yaml: the models a team wants, and what each should be built into."""

    schema_: Annotated[Literal[1], Field(alias="schema", description="the version of this form")]
    evaluation: Annotated[Origin, Field(description="the text that built models are tried on")] = (
        "builtin:evaluation"
    )
    policy: Policy = Policy()
    resources: Resources = Resources()
    licenses: Licenses = Licenses()
    models: Annotated[Mapping[Name, Model], Field(min_length=1)]

    def targets(self) -> Iterator[tuple[str, Model, Target]]:
        """Each target with its full name, `model:target`, in the order of the file."""
        for model_name, model in self.models.items():
            for target_name, target in model.targets.items():
                yield f"{model_name}:{target_name}", model, target


class RecipeStep(Entry):
    """What to do, with which tool, with which settings."""

    do: Literal["convert", "quantize", "validate"]
    tool: str
    set: Mapping[str, Any] = {}


class LosslessEdge(Entry):
    """Sources whose very weights the target can hold: repacked by `tool`, or taken as they are."""

    source: Annotated[str, Field(alias="from", description="a format, with * and ?")]
    tool: str | None = None


class Recipe(Document):
    """A named list of steps. Data only: no conditions, no loops, no code.

    `accepts` are the formats that the first step starts from, where its tool does not say it.
    A source that `lossless` names is not converted and quantized, but kept.
    """

    schema_: Annotated[Literal[1], Field(alias="schema")]
    summary: str
    accepts: Annotated[tuple[str, ...], Field(strict=False)] = ()
    lossless: Annotated[tuple[LosslessEdge, ...], Field(strict=False)] = ()
    steps: Annotated[tuple[RecipeStep, ...], Field(min_length=1, strict=False)]
