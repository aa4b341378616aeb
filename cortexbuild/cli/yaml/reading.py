"""YAML to plain data with the place of every part. Refuses what no one writes on purpose.

Duplicate keys are errors, anchors and `<<` merges work, and aliases within aliases that would
unfold to an enormous value ("YAML bombs") are refused before they unfold. So is a nesting that
would end the process: the composer in C has no limit but its stack.
"""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Any

import yaml

from ...core.document import Path, Text
from ...errors import MANIFEST_FORM, ManifestError, UsageError, brief, shown

MOST_BYTES = 4 << 20
MOST_PARTS = 200_000
MOST_DEPTH = 50
LONGEST_NUMBER = 400
"""Characters: reading one takes the square of its length, and no float is beyond 10 to the 308."""

MERGE = "tag:yaml.org,2002:merge"
COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # six times as fast, where built


def read_yaml(path: FilePath, name: str) -> Text:
    """Raises ManifestError with `name:line:column`, or UsageError when there is no such file."""
    return parse_yaml(read_bytes(path, name), name)


def read_bytes(path: FilePath, name: str) -> bytes:
    """Not more than a manifest may have. Raises UsageError when there is no such file."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(
            f"{name} does not exist", hint="`cortexbuild init` writes one to start from"
        ) from error
    except OSError as error:
        raise UsageError(
            f"{name} cannot be read: {error.strerror}",
            hint="name a file that you may read",
        ) from error
    if len(content) > MOST_BYTES:
        raise ManifestError(
            f"larger than {MOST_BYTES >> 20} MiB",
            where=name,
            hint="a manifest is a few kilobytes; is this the right file?",
        )
    return content


def parse_yaml(content: bytes, name: str) -> Text:
    loader = _Loader(content)
    try:
        _check_depth(content, name)
        node = loader.get_single_node()
        reading = _Reading(loader, name)
        data = reading.value(node, (), 0) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise ManifestError(
            f"not YAML: {brief(str(error.problem or error.context))}",
            where=where,
            hint="look at the indentation, the quotes and the colons around this place",
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ManifestError(
            f"not YAML: {str(error).splitlines()[0]}",
            where=name,
            hint="write it again as plain UTF-8 text",
        ) from error
    finally:
        loader.dispose()
    return Text(name, data, reading.marks if node is not None else {})


def _check_depth(content: bytes, name: str) -> None:
    """Look at the beginnings and ends of tables and lists, before anything is made of them."""
    depth = 0
    for event in yaml.parse(content, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MOST_DEPTH:
                line, column = _mark(event)
                raise ManifestError(
                    f"nested deeper than {MOST_DEPTH}",
                    where=f"{name}:{line}:{column}",
                    hint="see whether it is the right file: nothing in it needs so much",
                )
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Reading:
    def __init__(self, loader: Any, name: str) -> None:
        self._loader, self._name, self._parts = loader, name, 0
        self.marks: dict[Path, tuple[int, int]] = {}

    def value(self, node: Any, path: Path, depth: int) -> Any:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise self._mistake(node, f"unfolds to more than {MOST_PARTS} parts")
        if depth > MOST_DEPTH:
            raise self._mistake(node, f"nested deeper than {MOST_DEPTH}")
        self.marks.setdefault(path, _mark(node))
        if isinstance(node, yaml.CollectionNode) and node.tag not in COLLECTIONS:
            raise self._mistake(node, f"the tag {shown(node.tag)} has no meaning here")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(n, (*path, i), depth + 1) for i, n in enumerate(node.value)]
        if node.tag in NUMBERS and len(node.value) > LONGEST_NUMBER:
            raise self._mistake(node, f"a number of more than {LONGEST_NUMBER} digits")
        try:
            return self._loader.construct_object(node)
        except (ValueError, TypeError, OverflowError, LookupError, AttributeError) as error:
            what = node.tag.rpartition(":")[2]
            raise self._mistake(node, f"cannot be read as {shown(what)}") from error

    def _mapping(self, node: Any, path: Path, depth: int) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key, item in node.value:
            if key.tag == MERGE:
                for name, value in self._merged(item, path, depth).items():
                    merged.setdefault(name, value)
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise self._mistake(key, "a key must be text")
            name = str(key.value)
            if name in own:
                raise self._mistake(key, f"key {shown(name)} stands here twice")
            self.marks[(*path, name)] = _mark(key)
            own[name] = self.value(item, (*path, name), depth + 1)
        return {**merged, **own}

    def _merged(self, node: Any, path: Path, depth: int) -> dict[str, Any]:
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for item in nodes:
            if not isinstance(item, yaml.MappingNode):
                raise self._mistake(item, "only a table can be merged with `<<`")
            for name, value in self.value(item, path, depth + 1).items():
                merged.setdefault(name, value)
        return merged

    def _mistake(self, node: Any, message: str) -> ManifestError:
        line, column = _mark(node)
        return ManifestError(
            message,
            where=f"{self._name}:{line}:{column}",
            hint=MANIFEST_FORM,
        )


def _mark(node: Any) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
