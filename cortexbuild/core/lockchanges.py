"""What differs between two locks, for people."""

from __future__ import annotations

from dataclasses import dataclass

from ..redaction import without_logins
from .lock import Lock, Pinned
from .step import ToolId


@dataclass(frozen=True, slots=True)
class Change:
    """One entry that differs between two locks; `files` says how, a line for each file."""

    sign: str
    name: str
    what: str
    files: tuple[str, ...] = ()


def changes(old: Lock, new: Lock) -> tuple[Change, ...]:
    """What changed from one lock to another, in the order of the file. `+`, `-` and `~`."""
    found = []
    for origin in sorted({*old.sources, *new.sources}):
        before, after = old.sources.get(origin), new.sources.get(origin)
        name = without_logins(origin)
        if before is None and after is not None:
            size = f"{len(after.listed.files)} files, {after.listed.size} bytes"
            found.append(
                Change("+", name, f"at {after.commit[:12]}, {size}" if after.commit else size)
            )
        elif after is None:
            found.append(Change("-", name, "not in cortex.yaml any more"))
        elif before != after and before is not None:
            found.append(Change("~", name, _moved(before, after), tuple(_files(before, after))))
    for name in sorted({*old.tools, *new.tools}):
        was, now = old.tools.get(name), new.tools.get(name)
        if was != now:
            sign = "+" if was is None else "-" if now is None else "~"
            found.append(Change(sign, name, _versions(was, now)))
    for target in sorted({*old.outputs, *new.outputs}):
        if (had := old.outputs.get(target)) != (has := new.outputs.get(target)):
            sign = "+" if had is None else "-" if has is None else "~"
            found.append(Change(sign, target, "recorded output"))
    for target in sorted({*old.settled, *new.settled}):
        if (ended := old.settled.get(target)) != (ends := new.settled.get(target)):
            sign = "+" if ended is None else "-" if ends is None else "~"
            names = [one.recipe for one in (ended, ends) if one is not None]
            found.append(Change(sign, target, f"settled on {' -> '.join(names)}"))
    return tuple(found)


def _moved(before: Pinned, after: Pinned) -> str:
    if before.commit != after.commit:
        return f"{before.commit[:12] or 'unknown'} -> {after.commit[:12] or 'unknown'}"
    if before.listed == after.listed:
        return "is described otherwise"
    return f"{before.listed.digest[:12]} -> {after.listed.digest[:12]}"


def _files(before: Pinned, after: Pinned) -> list[str]:
    lines = []
    old, new = before.listed, after.listed
    for path in sorted({file.path for tree in (old, new) for file in tree.files}):
        was, now = old.find(path), new.find(path)
        if was is None and now is not None:
            lines.append(f"+ {path}  {now.size} bytes")
        elif now is None and was is not None:
            lines.append(f"- {path}")
        elif was != now and was is not None and now is not None:
            sizes = f"{was.size} -> {now.size} bytes" if was.size != now.size else "same size"
            lines.append(f"~ {path}  {sizes}, {was.digest[:12]} -> {now.digest[:12]}")
    return lines


def _versions(was: ToolId | None, now: ToolId | None) -> str:
    if was is None or now is None:
        present = was or now
        assert present is not None, "one of the two is there"
        return _version(present)
    names = sorted({*was.engine, *now.engine})
    parts = [
        f"{name} {was.engine.get(name, 'none')} -> {now.engine.get(name, 'none')}"
        for name in names
        if was.engine.get(name) != now.engine.get(name)
    ]
    if was.revision != now.revision:
        parts.append(f"revision {was.revision} -> {now.revision}")
    return ", ".join(parts)


def _version(tool: ToolId) -> str:
    engine = ", ".join(f"{name} {version}" for name, version in sorted(tool.engine.items()))
    return engine or f"revision {tool.revision}"
