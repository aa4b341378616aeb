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


def licence_of(lock: Lock, origin: str) -> str:
    """What one source declares."""
    pinned = lock.sources.get(origin)
    return str((pinned.facts.get("licence") if pinned else None) or UNKNOWN)


def licences_of(lock: Lock, model: Model) -> Iterator[tuple[str, str, str]]:
    """All that a model stands under: the source, its licence, and how it comes to that one."""
    for origin, base in _made_from(lock, model):
        how = f" by {base}, from which it is made" if base else ""
        yield origin, licence_of(lock, base or origin), how


def made_from(lock: Lock, model: Model) -> list[str]:
    """The sources whose licences a model stands under, its own first, each once."""
    return list(dict.fromkeys(base or origin for origin, base in _made_from(lock, model)))


def _made_from(lock: Lock, model: Model) -> Iterator[tuple[str, str]]:
    """A model's source and its adapters; and each with the source that it says it was made from,
    where the lock has that one too."""
    bases = {origin.partition(":")[2].partition("@")[0]: origin for origin in lock.sources}
    for origin in model.origins():
        yield origin, ""
        base = bases.get(str(lock.sources[origin].facts.get("base_model") or ""))
        if base is not None and base != origin:
            yield origin, base
