"""cortex.yaml, parsed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from .address import Cache
from .amount import Bytes
from .cluster import Cluster
from .document import Document, Entry
from .limits import Limits
from .origin import Origin
from .publickey import PublicKeyText
from .texts import Calibration, Evaluation, text_alone


def _a_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", text) or "--" in text:
        raise ValueError(
            "a name is letters, digits, `.`, `_` and single `-`, and starts with a letter or digit"
        )
    return text


Name = Annotated[str, AfterValidator(_a_name)]


class Fit(Entry):
    """What a model has to fit into: `memory` to run in, with a KV cache of `context` tokens and
    what running takes beside; or so many `bits` per weight, scales and all."""

    memory: Annotated[Bytes | None, Field(description="to run in, such as `8GiB`")] = None
    bits: Annotated[
        float | None, Field(gt=0, le=32, description="per weight of the whole file")
    ] = None
    context: Annotated[int, Field(ge=1, description="tokens of the KV cache")] = 4096
    kv: Annotated[Literal["f16", "q8", "q4"], Field(description="what the KV cache holds")] = "f16"

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if (self.memory is None) == (self.bits is None):
            raise ValueError("it needs either `memory:` or `bits:`")
        return self


class Target(Entry):
    """One thing to have built: a recipe, settings that differ from it, and limits.

    `escalate` stands where the recipe would: recipes that are tried in this order, until what
    one of them builds keeps to the limits. With `fit`, the recipe chooses its bits by a budget.
    """

    recipe: Annotated[
        str, Field(description="the name of a file in recipes/, without .yaml; or `auto`")
    ] = ""
    escalate: Annotated[
        tuple[str, ...],
        Field(strict=False, description="recipes to try in turn, instead of one recipe"),
    ] = ()
    set: Annotated[
        Mapping[str, Any], Field(description="settings that differ from the recipe's")
    ] = {}
    fit: Fit | None = None
    limits: Annotated[
        Limits, Field(alias="validate", description="limits that differ from those for all")
    ] = Limits()

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if not self.recipe and not self.escalate and self.fit is None:
            raise ValueError("it has no `recipe:`")
        if self.recipe and self.escalate:
            raise ValueError("`recipe:` and `escalate:` exclude each other")
        if self.fit is not None and self.escalate:
            raise ValueError("`fit:` and `escalate:` exclude each other")
        for number, recipe in enumerate(self.escalate):
            if recipe in self.escalate[:number]:
                raise ValueError(f"`escalate:` names `{recipe}` twice")
        return self


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


class Resources(Entry):
    """What there is to build models with and to run them in, where this machine does not tell."""

    memory: Annotated[
        Bytes | None,
        Field(description="of all steps that run at once, such as `12GiB`; and to run a model in"),
    ] = None
    jobs: Annotated[int | None, Field(ge=1, description="steps at once, beside downloads")] = None
    gpu: Annotated[int | None, Field(ge=0, description="steps at once that use one")] = None


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


def _models(value: Any) -> Any:
    """None yet, as in a manifest whose models are all comments."""
    return {} if value is None else value


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
    allow_code: Annotated[
        bool,
        Field(
            description="run the Python that the source brings for itself (`auto_map`), in the "
            "steps that load the model with transformers: as you, and in no sandbox"
        ),
    ] = False
    targets: Annotated[
        Mapping[Name, Target],
        BeforeValidator(_targets, json_schema_input_type=list[str] | dict[str, Target]),
        Field(min_length=1, description="names of recipes, or name: {recipe: …, set: …}"),
    ]

    def origins(self) -> tuple[str, ...]:
        """Its source, and those of its adapters."""
        return (self.source, *(adapter.source for adapter in self.adapters))


class Manifest(Document):
    """cortex.yaml: the models a team wants, and what each should be built into."""

    schema_: Annotated[Literal[1], Field(alias="schema", description="the version of this form")]
    evaluation: Annotated[
        Evaluation,
        BeforeValidator(text_alone, json_schema_input_type=str | Evaluation),
        Field(description="the text that built models are tried on"),
    ] = Evaluation()
    calibration: Annotated[
        Calibration,
        BeforeValidator(text_alone, json_schema_input_type=str | Calibration),
        Field(description="the text that quantization goes by; not the evaluation's"),
    ] = Calibration()
    limits: Annotated[Limits, Field(alias="validate", description="limits of every target")] = (
        Limits()
    )
    policy: Policy = Policy()
    resources: Resources = Resources()
    executor: Annotated[
        Cluster | None, Field(description="where steps run, if not on this machine")
    ] = None
    licenses: Licenses = Licenses()
    cache: Cache = Cache()
    trust: Annotated[
        tuple[PublicKeyText, ...],
        Field(strict=False, description="public keys, `name:BASE64`, of who may fill the cache"),
    ] = ()
    models: Annotated[
        Mapping[Name, Model],
        BeforeValidator(_models, json_schema_input_type=dict[str, Model] | None),
        Field(description="by name; `{}` or nothing while there is none"),
    ]

    @model_validator(mode="after")
    def _views_apart(self) -> Self:
        """A view is named after its target, and macOS has one name for `Chat` and `chat`."""
        seen: dict[str, str] = {}
        for name, _, _ in self.targets():
            if (other := seen.setdefault(name.lower(), name)) != name:
                raise ValueError(f"targets `{other}` and `{name}` differ only in case")
        return self

    def targets(self) -> Iterator[tuple[str, Model, Target]]:
        """Each target with its full name, `model:target`, in the order of the file."""
        for model_name, model in self.models.items():
            for target_name, target in model.targets.items():
                yield f"{model_name}:{target_name}", model, target
