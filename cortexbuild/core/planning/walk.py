"""The steps of one target, one after the other along its route."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..digest import Plain, plain_number
from ..document import Path, validate
from ..manifest import Manifest, Model, Target
from ..params import Params
from ..ports import Tool, Toolbox
from ..recipe import Recipe
from ..roles import ADAPTERS, CALIBRATION, FACTS, MODEL, SOURCE, TEXT, TOOLCHAIN
from ..step import Kind, StepId
from ..texts import Calibration, Evaluation
from .bridges import Leg
from .candidates import path_of
from .draft import Draft
from .routes import Route
from .sides import Side

LLAMA_CPP = "toolchain:llama.cpp"


@dataclass(slots=True)
class Walk:
    """`roles` are the steps that have been made, by what they are to the next one; `places` are
    the model and its format after each leg."""

    draft: Draft
    manifest: Manifest
    toolbox: Toolbox
    name: str
    model: Model
    roles: dict[str, StepId] = field(default_factory=dict)
    places: list[tuple[StepId, str]] = field(default_factory=list)

    def begin(self, format_: str, pinned_as: Plain) -> None:
        """Fetch the source and the adapters, and look at what was fetched."""
        source = self.draft.fetch(self.model.source, f"{self._about}/fetch", self.name)
        self.roles |= {SOURCE: source, MODEL: source}
        self.places = [(source, format_)]
        for number, adapter in enumerate(self.model.adapters):
            label = f"{self._about}/fetch-adapter-{number}"
            self.roles[f"adapter{number}"] = self.draft.fetch(adapter.source, label, self.name)
        detect = self.toolbox.find("detect", Kind.DETECT, format_)
        label = f"{self._about}/detect"
        self.roles[FACTS] = self._step(detect, {"format": pinned_as}, label, self.places[0])

    def along(self, route: Route, target: Target, recipe: Recipe, prefix: str) -> list[StepId]:
        """The route's steps; gives those that validate. What it ends with is its last place."""
        sides, checks = dict(route.sides), []
        for at in range(len(route.legs) + 1):
            for role in [role for role, side in sides.items() if side.at == at]:
                self._beside(role, sides.pop(role))
            if at == len(route.legs):
                break
            leg = route.legs[at]
            params = {**_params(leg, recipe, self.manifest, self.name, target).plain()}
            what = leg.tool.kind.value if leg.number is not None else leg.tool.name
            step = self._run(leg.tool, params, f"{prefix}{what}", self.places[-1])
            if leg.tool.kind is Kind.VALIDATE:
                checks.append(step)
                self.places.append(self.places[-1])
                continue
            self.places.append((step, leg.tool.makes))
            if leg.number is None and leg.tool.makes == "safetensors":
                self.roles[SOURCE] = step  # what all that follows is compared with
        return checks

    def _beside(self, role: str, side: Side) -> None:
        place = self.places[side.at]
        for leg in side.bridge:
            params = leg.tool.params().plain()
            label = f"{self._about}/{role}-{leg.tool.name}"
            place = self._run(leg.tool, params, label, place), leg.tool.makes
        self.roles[role] = self._run(side.tool, {}, f"{self._about}/{role}", place)

    def _run(
        self, tool: Tool, params: Mapping[str, Plain], label: str, place: tuple[StepId, str]
    ) -> StepId:
        """A step of a tool, with what the manifest says for all of its kind."""
        said: dict[str, Plain] = dict(params)
        if TEXT in tool.wants:
            text = self.manifest.evaluation
            self._text(TEXT, text.text, "evaluation/fetch")
            said |= _lengths(tool, text)
        if CALIBRATION in tool.wants:
            other = self.manifest.calibration
            self._text(CALIBRATION, other.text, "calibration/fetch")
            said |= _lengths(tool, other)
        if TOOLCHAIN in tool.wants:
            self._text(TOOLCHAIN, LLAMA_CPP, "llama.cpp/fetch")
        if ADAPTERS in tool.wants:
            said["weights"] = [plain_number(adapter.weight) for adapter in self.model.adapters]
        return self._step(tool, tool.params.from_plain(said).plain(), label, place)

    def _step(
        self, tool: Tool, params: Mapping[str, Plain], label: str, place: tuple[StepId, str]
    ) -> StepId:
        roles = {**self.roles, MODEL: place[0]}
        return self.draft.step(tool, params, roles, place[1], label, self.name)

    def _text(self, role: str, origin: str, label: str) -> None:
        if role not in self.roles:
            self.roles[role] = self.draft.fetch(origin, label, self.name)

    @property
    def _about(self) -> str:
        return self.name.partition(":")[0]


def _lengths(tool: Tool, text: Evaluation | Calibration) -> Mapping[str, Plain]:
    """How much of a text a tool looks at, if it looks at tokens."""
    known = {"tokens": text.tokens, "window": text.window}
    return {name: value for name, value in known.items() if name in tool.params.model_fields}


def _params(leg: Leg, recipe: Recipe, manifest: Manifest, name: str, target: Target) -> Params:
    where: Path = () if leg.number is None else ("steps", leg.number, "set")
    params: Params = validate(leg.tool.params, leg.settings, recipe.text, where)
    given = {k: v for k, v in target.set.items() if k in leg.tool.params.model_fields}
    if given and leg.number is not None:
        at: Path = (*path_of(name), "set")
        params = validate(leg.tool.params, {**leg.settings, **given}, manifest.text, at)
    return params
