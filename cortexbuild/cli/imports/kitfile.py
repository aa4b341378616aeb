"""A Kitfile of KitOps: `model:` is what is built; the rest is what is packed beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ...core.document import Text
from ...core.naming import name_of, word_of
from ...errors import ManifestError
from .carry import Carried, Desk, Entry, Left, left_beside

LEFT = {
    "package": "who made a package is not said here; licences are read from the model itself",
    "datasets": "only texts that models are tried on are named: `evaluation:` and `calibration:`",
    "code": "code is no part of a model",
    "docs": "documents are no part of a model",
    "prompts": "prompts are no part of a model",
}
_REFERENCE = re.compile(r"[\w.-]+(\.[\w-]+|:\d+)?(/[\w.-]+)+(:[\w.-]+|@sha256:[0-9a-f]{64})")


def read_kitfile(text: Text, desk: Desk) -> Carried:
    left = left_beside(text, ("manifestVersion", "model"), LEFT)
    model = text.data.get("model")
    if model is None:
        return Carried((), tuple(left))
    place = text.place(("model",))
    if not isinstance(model, Mapping) or not isinstance(model.get("path"), str):
        raise ManifestError(
            "`model:` has a `path:`", where=place, hint="write the path of its weights"
        )
    adapters: list[str] = []
    for key in model:
        at = text.place(("model", key))
        if key == "parts":
            _parts(text, model["parts"] or [], desk, adapters, left)
        elif key == "parameters":
            left.append(Left(at, "model.parameters", "they are about training or running"))
        elif key not in ("path", "name", "description"):
            left.append(Left(at, f"model.{key}", "it is read from the model itself"))
    said = model["path"]
    if not desk.path(said).exists() and _REFERENCE.fullmatch(said):
        why = "it is a ModelKit in a registry, which is no source: `kit unpack` it first"
        left.append(Left(text.place(("model", "path")), f"model.path {said}", why))
        return Carried((), tuple(left))
    origin = desk.origin(said)
    name = word_of(str(model["name"])) if model.get("name") else name_of(origin)
    notes = (str(model["description"]).splitlines()[0],) if model.get("description") else ()
    return Carried((Entry(name, origin, notes, tuple(adapters)),), tuple(left))


def _parts(text: Text, parts: object, desk: Desk, adapters: list[str], left: list[Left]) -> None:
    if not isinstance(parts, list):
        raise ManifestError(
            "`parts:` is a list",
            where=text.place(("model", "parts")),
            hint="write each part on a line of its own, after `- `",
        )
    for number, part in enumerate(parts):
        place = text.place(("model", "parts", number))
        said = part.get("path") if isinstance(part, Mapping) else None
        if not isinstance(said, str):
            raise ManifestError(
                "a part has a `path:`", where=place, hint="write the path of each part"
            )
        if re.search(r"lora|adapter", f"{part.get('type', '')} {part.get('name', '')}", re.I):
            adapters.append(desk.origin(said))
        else:
            why = "what belongs to a model is taken from its own folder"
            left.append(Left(place, f"part {said}", why))
