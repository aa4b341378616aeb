"""Where each part of a YAML text begins and ends, to the character.

Unlike nodes, events tell an alias from what it stands for; so what is found here is what stands
written at that place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

from ...core.document import Path

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class Part:
    """A table, a list, or anything else: a scalar or an alias. `end` is behind its last character,
    without what follows on the line; `keys` and `values` are a table's or a list's, in order."""

    kind: Literal["table", "list", "value"]
    start: int
    end: int
    column: int
    flow: bool = False
    keys: list[Part] = field(default_factory=list)
    values: list[Part] = field(default_factory=list)

    def place(self, name: str | int, text: str) -> int | None:
        """The number of the entry of this name."""
        if self.kind == "list":
            return name if isinstance(name, int) and name < len(self.values) else None
        words = (_plain(text[key.start : key.end]) for key in self.keys)
        return next((n for n, word in enumerate(words) if word == name), None)


def parts_of(text: str) -> Part | None:
    """The parts of a text that holds one document; None when it is empty."""
    loader = _Loader(text)
    try:
        events = _contents(loader)
        first = next(events, None)
        return None if first is None else _part(first, events, text)
    finally:
        loader.dispose()


def find(part: Part | None, path: Path, text: str) -> Part | None:
    """The part at `path`, if it stands there itself."""
    for name in path:
        number = part.place(name, text) if part else None
        if part is None or number is None:
            return None
        part = part.values[number]
    return part


def _contents(loader: Any) -> Iterator[Any]:
    frame = (yaml.StreamStartEvent, yaml.StreamEndEvent)
    frame += (yaml.DocumentStartEvent, yaml.DocumentEndEvent)  # type: ignore[assignment]
    while loader.check_event():
        event = loader.get_event()
        if not isinstance(event, frame):
            yield event


def _part(event: Any, events: Iterator[Any], text: str) -> Part:
    mark: Any = event.start_mark
    start, end, column = mark.index, event.end_mark.index, mark.column
    if isinstance(event, yaml.MappingStartEvent):
        part = Part("table", start, end, column, bool(event.flow_style))
        ended: Any = yaml.MappingEndEvent
    elif isinstance(event, yaml.SequenceStartEvent):
        part = Part("list", start, end, column, bool(event.flow_style))
        ended = yaml.SequenceEndEvent
    else:
        if getattr(event, "style", None) in ("|", ">"):  # the last break belongs to it
            end -= len(text[start:end]) - len(text[start:end].removesuffix("\n").removesuffix("\r"))
        return Part("value", start, end, column)
    for event in events:
        if isinstance(event, ended):
            break
        if part.kind == "table":
            part.keys.append(_part(event, events, text))
            event = next(events)
        part.values.append(_part(event, events, text))
    if part.flow:
        part.end = event.end_mark.index
    elif part.values:
        part.end = part.values[-1].end
        if part.keys:  # an anchor stands before it, elsewhere
            part.column = part.keys[0].column
        else:
            dash = text.rindex("-", 0, part.values[0].start)
            part.column = dash - (text.rfind("\n", 0, dash) + 1)
    return part


def _plain(word: str) -> str:
    return str(yaml.safe_load(word)) if word[:1] in ("'", '"') else word
