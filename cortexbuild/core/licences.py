"""Whether a team may use what its manifest names, by the licences that sources declare."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from ..errors import ManifestError
from .lock import Lock
from .manifest import Manifest, Model

UNKNOWN = "unknown"
"""What a source that declares no licence counts as."""


def check_licences(manifest: Manifest, lock: Lock) -> None:
    """Raises ManifestError at the first model with a licence that `licenses: deny:` names.

    A model stands under its own licence, that of its adapters, and that of the model it says it
    was made from, where that one is in the manifest too.
    """
    denied = [pattern.lower() for pattern in manifest.licenses.deny]
    for name, model in manifest.models.items() if denied else ():
        for origin, licence, why in licences_of(lock, model):
            for pattern in denied:
                if fnmatchcase(licence.lower(), pattern):
                    raise ManifestError(
                        f"{name}: {origin} is under `{licence}`{why}, and `licenses.deny` has "
                        f"`{pattern}`",
                        where=manifest.place("models", name),
                        hint="leave the model out, or the licence out of "
                        + manifest.place("licenses", "deny"),
                    )


def licences_of(lock: Lock, model: Model) -> Iterator[tuple[str, str, str]]:
    """All that a model stands under: the source, its licence, and how it comes to that one."""
    bases = {origin.partition(":")[2].partition("@")[0]: origin for origin in lock.sources}
    for origin in (model.source, *(adapter.source for adapter in model.adapters)):
        facts = lock.sources[origin].facts
        yield origin, str(facts.get("licence") or UNKNOWN), ""
        base = bases.get(str(facts.get("base_model") or ""))
        if base is not None and base != origin:
            licence = lock.sources[base].facts.get("licence") or UNKNOWN
            yield origin, str(licence), f" by {base}, from which it is made"
