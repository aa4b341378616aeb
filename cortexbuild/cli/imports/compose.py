"""The `models:` of a compose file, as Docker's model runner takes them."""

from __future__ import annotations

from collections.abc import Mapping

from ...core.document import Text
from ...core.naming import word_of
from ...errors import ManifestError
from .carry import Carried, Desk, Entry, Left, left_beside, of_hub

LEFT = {
    "context_size": "it is about running; `fit: {memory: …, context: …}` builds for a length",
    "runtime_flags": "they are for the program that runs the model",
}


def read_compose(text: Text, desk: Desk) -> Carried:
    del desk  # nothing in it is a path
    entries: list[Entry] = []
    left: list[Left] = []
    models = text.data.get("models")
    if not isinstance(models, Mapping) or not models:
        raise ManifestError(
            "this compose file has no `models:`",
            where=text.place(("models",)),
            hint="name a compose file whose services use models",
        )
    for name, one in models.items():
        place = text.place(("models", name))
        said = one.get("model") if isinstance(one, Mapping) else None
        if not isinstance(said, str):
            raise ManifestError(
                f"models.{name}: `model:` says which",
                where=place,
                hint="write `model:` below it, such as `hf.co/org/name`",
            )
        found = of_hub(said, text.place(("models", name, "model")))
        if found is None:
            why = "it is an image in a registry, which is no source: name it on the Hub"
            left.append(Left(place, f"{name}: {said}", why))
        else:
            entries.append(Entry(word_of(name), found[0].source, (f"model {said}",)))
            left += found[1]
        for key in one:
            if key != "model":
                why = LEFT.get(key, "cortex.yaml has nothing like it")
                left.append(Left(text.place(("models", name, key)), f"{name}.{key}", why))
    left += left_beside(text, ("models",), {}, "it is about containers")
    return Carried(tuple(entries), tuple(left))
