"""cortex.lock as text: JSON, one file of a source per line, sorted, and written in one way only.

There is no digest of the whole, and each entry stands by itself, so changes of two people to
different entries merge as text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import IntegrityError, LockError, brief, shown
from .digest import Digest, File, Tree, canonical
from .lock import Lock, Output, Pinned, Settled
from .step import StepKey, ToolId

VERSION = 1
MOST = 64 << 20
"""Bytes; a lock of 100 models with 8 files each has 160 kB."""


def lock_to_text(lock: Lock) -> str:
    parts = [f'"lock_version":{VERSION}']
    parts.append(_table("sources", {o: _source(p) for o, p in lock.sources.items()}))
    parts.append(_table("tools", {name: _line(tool.plain()) for name, tool in lock.tools.items()}))
    if lock.outputs:
        outputs = {t: _line({"key": o.key, "tree": o.tree}) for t, o in lock.outputs.items()}
        parts.append(_table("outputs", outputs))
    if lock.settled:
        ends = {
            target: _line(
                {"ladder": e.ladder, "recipe": e.recipe, "tried": dict(e.tried)}, sort=False
            )  # in the order in which they were tried
            for target, e in lock.settled.items()
        }
        parts.append(_table("settled", ends))
    return "{" + ",\n".join(parts) + "}\n"


def lock_from_text(text: str, name: str) -> Lock:
    """Raises LockError, with what to do, for anything that is not a lock of ours."""
    hint = f"`git checkout {name}` brings back a good one; without one, `cortexbuild lock` makes it"
    try:
        if len(text) > MOST:
            raise ValueError("it is too large")
        value = json.loads(text, object_pairs_hook=_no_doubles)
        if "\\ud" in text.lower():  # half of a letter is none, and could not be written again
            json.dumps(value, ensure_ascii=False).encode()
        version = value["lock_version"]
        if version != VERSION:
            said = brief(str(version))
            raise LockError(
                f"{name} is written in form {said}, and this cortexbuild knows {VERSION}",
                hint="use the cortexbuild that wrote it, or a newer one",
            )
        sources = {o: _pinned(o, entry) for o, entry in value["sources"].items()}
        tools = {str(n): _tool(entry) for n, entry in value["tools"].items()}
        outputs = {
            str(target): Output(StepKey(str(entry["key"])), _digest(entry["tree"]))
            for target, entry in value.get("outputs", {}).items()
        }
        settled = {str(t): _settled(entry) for t, entry in value.get("settled", {}).items()}
        return Lock(sources, tools, outputs, settled)
    except json.JSONDecodeError as error:
        merging = "<<<<<<<" in text
        why = "has conflicts of a merge" if merging else f"is not JSON: {error.msg}"
        way = f"take either side and run `cortexbuild lock`: `git checkout --ours {name}`"
        where = f"{name}:{error.lineno}:{error.colno}"
        raise LockError(f"{where}: {why}", hint=way if merging else hint) from error
    except RecursionError as error:
        raise LockError(f"{name} is not a lock of cortexbuild: nested", hint=hint) from error
    except (KeyError, TypeError, ValueError, AttributeError, IntegrityError) as error:
        why = shown(str(error))
        raise LockError(f"{name} is not a lock of cortexbuild: {why}", hint=hint) from error


def _table(name: str, rows: Mapping[str, str]) -> str:
    lines = ",\n".join(f"{_line(key)}:{rows[key]}" for key in sorted(rows))
    return f"{_line(name)}:{{\n{lines}\n}}" if lines else f"{_line(name)}:{{}}"


def _source(pinned: Pinned) -> str:
    commit = f' "commit":{_line(pinned.commit)},\n' if pinned.commit else ""
    code, notices = _part("code", pinned.code), _part("notices", pinned.notices)
    facts, files = _line(pinned.facts), _files(pinned.tree)
    return f'{{\n{commit}{code} "facts":{facts},\n{notices} "files":[\n{files}\n ]}}'


def _part(name: str, tree: Tree) -> str:
    return f' "{name}":[\n{_files(tree)}\n ],\n' if tree.files else ""


def _files(tree: Tree) -> str:
    return ",\n".join(
        "  " + _line({"path": file.path, "size": file.size, "sha256": file.digest}, sort=False)
        for file in tree.files
    )


def _line(value: object, *, sort: bool = True) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=sort)


def _no_doubles(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"{next(_doubled(pairs))} is there twice")
    return found


def _doubled(pairs: Sequence[tuple[str, Any]]) -> Iterator[str]:
    seen = set()
    for key, _ in pairs:
        if key in seen:
            yield key
        seen.add(key)


def _pinned(origin: str, entry: Mapping[str, Any]) -> Pinned:
    files = _tree(origin, entry["files"])
    code, notices = (_tree(origin, entry.get(name, [])) for name in ("code", "notices"))
    facts = dict(entry["facts"])
    canonical(facts)  # a plan depends on them, and a key may: no floats, no half letters
    if not isinstance(facts.get("format"), str):
        raise ValueError(f"{origin} has no format")
    pinned = Pinned(origin, files, facts, str(entry.get("commit", "")), code, notices)
    _ = pinned.listed  # no path is there twice
    return pinned


def _tree(origin: str, items: Sequence[Mapping[str, Any]]) -> Tree:
    files = []
    for item in items:
        path, size = item["path"], item["size"]
        if not isinstance(path, str) or type(size) is not int or size < 0:
            raise ValueError(f"a file of {origin} has no path and size")
        files.append(File(path, _digest(item["sha256"]), size))
    return Tree.of(files)


def _tool(entry: Mapping[str, Any]) -> ToolId:
    engine = {str(name): str(version) for name, version in entry["engine"].items()}
    if type(entry["revision"]) is not int:
        raise ValueError("a tool has no revision")
    return ToolId(str(entry["name"]), entry["revision"], engine)


def _settled(entry: Mapping[str, Any]) -> Settled:
    tried = {str(recipe): str(wrong) for recipe, wrong in entry["tried"].items()}
    return Settled(_digest(entry["ladder"]), str(entry["recipe"]), tried)


def _digest(text: object) -> Digest:
    if not isinstance(text, str) or len(text) != 64 or set(text) - set("0123456789abcdef"):
        raise ValueError(f"{text!r} is no sha256")
    return Digest(text)
