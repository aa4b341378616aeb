"""LM Studio's model.yaml: `base:` has the files; the rest is about loading and display."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...core.document import Path, Text
from ...core.naming import name_of
from ...errors import ManifestError
from .carry import Carried, Desk, Entry, Left, left_beside

LEFT = {
    "metadataOverrides": "what a model is, is read from its own files",
    "config": "it is about loading and running; `fit: {memory: …, context: …}` builds for a length",
    "customFields": "it is about the program that shows the model",
    "suggestions": "it is about the program that shows the model",
    "tags": "it is about the program that shows the model",
    "minMemoryUsageBytes": "memory is counted from the model: `cortexbuild info`",
}


def read_model_yaml(text: Text, desk: Desk) -> Carried:
    del desk  # nothing in it is a path
    data = text.data
    if not isinstance(data.get("model"), str) or "base" not in data:
        raise ManifestError(
            "a model.yaml has `model:` and `base:`",
            where=text.place(()),
            hint="write both; the documentation of LM Studio says how",
        )
    bases: dict[Path, Any] = {("base",): data["base"]}
    if isinstance(data["base"], list):
        bases = {("base", number): base for number, base in enumerate(data["base"])}
    found = [
        one for path, base in bases.items() for one in _sources(text, path, base, data["model"])
    ]
    entries = [one for one in found if isinstance(one, Entry)]
    left = [one for one in found if isinstance(one, Left)]
    left += left_beside(text, ("model", "base"), LEFT)
    return Carried(tuple(entries), tuple(left))


def _sources(text: Text, path: Path, base: Any, model: str) -> Iterator[Entry | Left]:
    place = text.place(path)
    if isinstance(base, str):
        why = "it names a model of LM Studio's catalogue, and not where its files are"
        yield Left(place, f"base {base}", why)
        return
    if not isinstance(base, Mapping) or not isinstance(base.get("sources"), list):
        raise ManifestError(
            "a base is a name, or has `key:` and `sources:`",
            where=place,
            hint="write one of the two",
        )
    for number, source in enumerate(base["sources"]):
        at = text.place((*path, "sources", number))
        kind = source.get("type") if isinstance(source, Mapping) else source
        if kind != "huggingface" or not (source.get("user") and source.get("repo")):
            yield Left(at, f"source {kind}", "only repositories of the Hub are known here")
            continue
        origin = f"hf:{source['user']}/{source['repo']}"
        yield Entry(
            name_of(origin), origin, (f"{model}, as {base['key']}" if "key" in base else model,)
        )
        break  # the others have the same files
