"""Change a YAML text and nothing else of it: every other character stays.

A part is put in or cut out where it stands, so comments, quotes, anchors and the author's own
spacing are kept because they are never touched. What comes out is read again; where it does not
say what it should, the text is left alone and the author is asked to write it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from ...core.document import Path
from ...errors import ManifestError, UsageError
from .entries import entry_line, entry_lines, inline
from .parts import Part, find, parts_of
from .reading import parse_yaml

BOM = "\ufeff"
STEP = 2
"""Spaces that an inner table is indented by, where the text has none to go by."""


def add_entry(
    content: bytes, name: str, at: Path, entry: tuple[str, Any], notes: Sequence[str] = ()
) -> bytes:
    """Put `entry` at the end of the table at `at`, under comments that say `notes`."""
    wanted = deepcopy(parse_yaml(content, name).data)
    wanted = {} if wanted is None else wanted
    table = wanted
    for part in at:
        table[part] = table = table.get(part) or {}
    table[entry[0]] = entry[1]
    edited = _edited(content, lambda text: _with_entry(text, at, entry, notes))
    where = f" under `{_dotted(at)}`" if at else ""
    return _sure(edited, wanted, name, f"add `{entry_line(entry)}`{where}")


def add_item(content: bytes, name: str, at: Path, item: str) -> bytes:
    """Put a word at the end of the list at `at`."""
    wanted = deepcopy(parse_yaml(content, name).data)
    _step(wanted, at).append(item)

    def change(text: str) -> str | None:
        items = find(parts_of(text), at, text)
        if items is None or items.kind != "list" or not items.values:
            return None
        if items.flow:
            return _put(text, items.values[-1].end, f", {inline(item)}")
        lines = [" " * items.column + f"- {inline(item)}"]
        return _put_lines(text, _after(text, items.end, items.column), lines)

    return _sure(_edited(content, change), wanted, name, f"add `{item}` to `{_dotted(at)}`")


def remove(content: bytes, name: str, at: Path) -> bytes:
    """Cut out the entry at `at`, with the comments within it. An emptied table is left as `{}`."""
    wanted = deepcopy(parse_yaml(content, name).data)
    del _step(wanted, at[:-1])[at[-1]]

    def change(text: str) -> str | None:
        root = parts_of(text)
        around = find(root, at[:-1], text)
        number = around.place(at[-1], text) if around else None
        if around is None or number is None:
            return None
        if around.flow:
            return _without_inline(text, around, number)
        first = (around.keys or around.values)[number]
        begin = text.rfind("\n", 0, first.start) + 1
        if text[begin : first.start].strip(" -" if around.kind == "list" else " "):
            return None
        cut = _after(text, around.values[number].end, around.column + 1)
        rest = text[:begin] + text[cut:]
        if len(around.values) > 1:
            return rest
        return _emptied(rest, root, at[:-1], "{}" if around.kind == "table" else "[]")

    return _sure(_edited(content, change), wanted, name, f"remove `{_dotted(at)}`")


def _with_entry(text: str, at: Path, entry: tuple[str, Any], notes: Sequence[str]) -> str | None:
    root = parts_of(text)
    table = find(root, at, text)
    if table is None and at:
        with_table = _with_entry(text, at[:-1], (str(at[-1]), {}), ())
        return None if with_table is None else _with_entry(with_table, at, entry, notes)
    if table is None:
        return _put_lines(text, len(text), entry_lines(entry, 0, STEP, notes))
    step = _step_of(root) if root else STEP
    if table.kind == "table" and table.values:
        if table.flow:
            return _put(text, table.values[-1].end, ", " + inline(dict([entry]))[1:-1])
        lines = entry_lines(entry, table.column, step, notes)
        return _put_lines(text, _after(text, table.end, table.column), lines)
    around = find(root, at[:-1], text)
    empty = table.kind == "table" or text[table.start : table.end] in ("", "~", "null")
    if not at or around is None or around.flow or not empty:
        return None
    key = around.keys[around.place(at[-1], text) or 0]
    begin = text.index(":", key.end) + 1
    text = text[:begin] + text[table.end :].removeprefix(" " if table.end == begin else "")
    lines = entry_lines(entry, around.column + step, step, notes)
    return _put_lines(text, _after(text, begin, around.column + 1), lines)


def _without_inline(text: str, around: Part, number: int) -> str:
    firsts = around.keys or around.values
    begin, end = firsts[number].start, around.values[number].end
    if number + 1 < len(firsts):
        gap = text[end : firsts[number + 1].start]
        comma = end + gap.index(",") + 1
        return text[:begin] + text[comma if "#" in gap else firsts[number + 1].start :]
    if number and "#" not in text[around.values[number - 1].end : begin]:
        begin = around.values[number - 1].end
    return text[:begin] + text[end:]


def _emptied(text: str, root: Part | None, at: Path, mark: str) -> str | None:
    around = find(root, at[:-1], text) if at else None
    if around is None:
        return None
    key = around.keys[around.place(at[-1], text) or 0]
    return _put(text, text.index(":", key.end) + 1, f" {mark}")


def _after(text: str, end: int, column: int) -> int:
    """Where the lines of a part end that stops at `end`: with its comments, from `column` on."""
    end = _line_end(text, end)
    ahead = end
    while ahead < len(text):
        line = text[ahead : _line_end(text, ahead)]
        ahead += len(line)
        words = line.strip()
        if words and not (words.startswith("#") and len(line) - len(line.lstrip(" ")) >= column):
            break
        end = ahead if words else end
    return end


def _line_end(text: str, start: int) -> int:
    found = text.find("\n", start)
    return len(text) if found < 0 else found + 1


def _put(text: str, at: int, more: str) -> str:
    return text[:at] + more + text[at:]


def _put_lines(text: str, at: int, lines: Sequence[str]) -> str:
    line_break = "\r\n" if "\r\n" in text else "\n"
    before = line_break if at and text[at - 1] != "\n" else ""
    return _put(text, at, before + "".join(line + line_break for line in lines))


def _step_of(root: Part) -> int:
    """How far the first inner table is indented."""
    for value in root.values:
        if value.kind == "table" and not value.flow and value.column > root.column:
            return value.column - root.column
    return STEP


def _step(data: Any, at: Path) -> Any:
    for name in at:
        data = data[name]
    return data


def _dotted(at: Path) -> str:
    return ".".join(str(part) for part in at)


def _edited(content: bytes, change: Callable[[str], str | None]) -> bytes | None:
    text = content.decode()
    mark = BOM if text.startswith(BOM) else ""
    edited = change(text.removeprefix(BOM))
    return None if edited is None else (mark + edited).encode()


def _sure(edited: bytes | None, wanted: Any, name: str, by_hand: str) -> bytes:
    if edited is not None:
        try:
            if parse_yaml(edited, name).data == wanted:
                return edited
        except ManifestError:
            pass
    raise UsageError(
        f"{name} is written in a way that cannot be changed from here", hint=f"{by_hand} by hand"
    )
