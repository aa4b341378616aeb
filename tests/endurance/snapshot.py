"""A store as it lies on the disk, read without any of cortexbuild's own code."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from .world import FAILS, WEIGHTS, Project, config, joined, result, sha


@dataclass
class Snapshot:
    """`records` are those that can be read, by key; `blobs` the contents by name, right or not."""

    records: Mapping[str, Mapping[str, Any]]
    blobs: Mapping[str, bytes]
    unreadable: frozenset[Path]

    def has(self, tree: list[list[Any]]) -> bool:
        """Whether all bytes of a tree are here, and right."""
        return all(self.is_right(digest) for _, digest, _ in tree)

    def is_right(self, digest: str) -> bool:
        return digest in self.blobs and sha(self.blobs[digest]) == digest

    def fetched(self) -> Iterator[list[list[Any]]]:
        """The files of each source."""
        for record in self.records.values():
            if record["ingredients"]["kind"] == "fetch":
                yield record["tree"]

    def find(self, kind: str, model: Mapping[str, str], **params: object) -> Any:
        """The record of a step, by the files it is made from."""
        for record in self.records.values():
            found = record["ingredients"]
            same = found["kind"] == kind and found["inputs"] == {"model": model}
            if same and params.items() <= found["params"].items():
                return record
        return None


def take(home: Path, damaged: Mapping[Path, bytes | None]) -> Snapshot:
    """Records that were `damaged`, and with them the sum of what they say, count as none."""
    store = home / "build" / "v1"
    records, wrong = {}, set()
    for path in store.glob("ac/v1/*/*.json"):
        if b'"sum":' in (damaged.get(path) or b""):
            continue
        try:
            record = json.loads(path.read_text())
            assert record["key"] == path.stem
            _ = record["label"], record["tree"], record["ingredients"]["kind"]
            records[path.stem] = record
        except (ValueError, AssertionError, KeyError, TypeError):
            wrong.add(path)
    blobs = {path.name: path.read_bytes() for path in store.glob("cas/sha256/*/*")}
    return Snapshot(records, blobs, frozenset(wrong))


class Due(NamedTuple):
    """How many steps of each kind a sync runs: at least, and at most."""

    least: Counter[str]
    most: Counter[str]


def steps_due(seen: Snapshot, project: Project, targets: list[str]) -> Due:
    """What a sync of these targets must run if no remote helps: steps that have no record, and
    those whose bytes are lost and must be read."""
    source = {"config.json": sha(config(project.text)), "model.safetensors": sha(WEIGHTS)}
    text = {"model.txt": sha(joined(project.text))}
    due, reads, lost = Counter[str](), False, 0
    for keep in {project.targets[name] for name in targets}:  # targets alike share their steps
        made = seen.find("quantize", text, keep=keep)
        if keep == FAILS or made is None or not seen.has(made["tree"]):
            reads = True
            # All of a text is the very file it is cut from: with that it is there again.
            same = result(project.text, keep) == joined(project.text)
            due["quantize"] += keep == FAILS or made is None or not same
        if keep != FAILS:
            measured = seen.find("validate", {"model.txt": sha(result(project.text, keep))})
            lost += measured is not None and not seen.has(measured["tree"])
            due["validate"] += measured is None
    convert = seen.find("convert", {"config.json": source["config.json"]})
    if convert is None or (reads and not seen.has(convert["tree"])):
        due["convert"] += 1
        if seen.find("detect", source) is None:
            due["detect"] += 1
        if not all(seen.is_right(digest) for digest in source.values()):
            due["fetch"] += 1
    # All measure the same: with what one writes, those that have not begun have theirs again.
    least = due + Counter(validate=int(lost > 0 and not due["validate"]))
    return Due(least, due + Counter(validate=lost))
