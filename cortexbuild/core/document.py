"""A file the user wrote, parsed: every mistake in it is an error at `file:line:column`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

from ..errors import MANIFEST_FORM, ManifestError, brief

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """The plain data of a file, its name, and where each part of it stands (from 1)."""

    name: str
    data: Any
    marks: Mapping[Path, tuple[int, int]] = field(default_factory=dict)

    def place(self, path: Path) -> str:
        """`file:line:column` of a part, or of the nearest part around it that is there."""
        for end in range(len(path), -1, -1):
            if mark := self.marks.get(path[:end]):
                return f"{self.name}:{mark[0]}:{mark[1]}"
        return self.name


class Entry(BaseModel):
    """A table within a file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Document(Entry):
    """The table that a whole file is."""

    _text: Text = PrivateAttr(default_factory=lambda: Text("", {}))

    @classmethod
    def parse(cls, text: Text) -> Self:
        try:
            parsed = cls.model_validate(text.data)
        except ValidationError as error:
            raise _first_mistake(cls, error, text, ()) from error
        parsed._text = text
        return parsed

    @property
    def text(self) -> Text:
        return self._text

    def place(self, *path: str | int) -> str:
        return self._text.place(path)


def validate(kind: type[BaseModel], values: Mapping[str, Any], text: Text, at: Path) -> Any:
    """Check `values`, that stand at `at` in the file, against `kind`."""
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        raise _first_mistake(kind, error, text, at) from error


def did_you_mean(name: str, known: Sequence[str], otherwise: str = "") -> str:
    near = get_close_matches(name, known, n=1)
    return f"did you mean `{near[0]}`?" if near else otherwise


def _first_mistake(
    kind: type[BaseModel], error: ValidationError, text: Text, at: Path
) -> ManifestError:
    details = error.errors(include_url=False)
    # An unknown key is most often the cause of a missing one, so it is told first.
    first = min(details, key=lambda d: d["type"] != "extra_forbidden")
    path = at + tuple(_real_path(first["loc"], text, at))
    message, hint = _words(kind, first)
    where = text.place(path)
    name = ".".join(brief(str(part)) for part in path)
    said = f"{name}: {message}" if name else message
    return ManifestError(said, where=where, hint=hint or MANIFEST_FORM)


def _real_path(loc: Sequence[str | int], text: Text, at: Path) -> Iterator[str | int]:
    """pydantic names the branch of a union in its paths; keep what really stands in the file."""
    here = text.data
    for part in at:
        here = _step_into(here, part)
    for number, part in enumerate(part for part in loc if part != "[key]"):
        inner = _step_into(here, part)
        last = number == len(loc) - 1
        if inner is None and not (last and isinstance(here, Mapping)):
            continue
        here = inner
        yield part


def _step_into(here: Any, part: str | int) -> Any:
    if isinstance(here, Mapping):
        return here.get(part)
    if isinstance(here, list) and isinstance(part, int) and part < len(here):
        return here[part]
    return None


def _words(kind: type[BaseModel], detail: ErrorDetails) -> tuple[str, str]:
    loc, given = detail["loc"], detail.get("input")
    match detail["type"]:
        case "extra_forbidden":
            return "unknown key", did_you_mean(str(loc[-1]), _keys_at(kind, loc[:-1]))
        case "missing":
            return "this key is missing", ""
        case "literal_error":
            expected = str(detail["ctx"]["expected"]).replace("'", "`")
            choices = expected.replace("`", "").replace(" or ", ", ").split(", ")
            return f"expected {expected}, got {_kind(given)}", did_you_mean(str(given), choices)
        case "value_error":
            return str(detail["ctx"]["error"]), ""
        case "too_short" | "string_too_short":
            return "may not be empty", ""
        case kind_of if name := _NAMES.get(kind_of):
            return f"expected {name}, got {_kind(given)}", ""
        case _:
            message = detail["msg"].removeprefix("Input should be ")
            return f"expected {message}, got {_kind(given)}", ""


_NAMES = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a table",
    "mapping_type": "a table",
    "model_type": "a table",
}


def _keys_at(kind: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """The keys a table may have, found by walking the schema along `loc`."""
    schema = kind.model_json_schema(by_alias=True)
    nodes = [schema]
    for part in loc:
        nodes = [found for node in nodes for found in _children(schema, node, part)]
    return [key for node in _resolve(schema, nodes) for key in node.get("properties", {})]


def _resolve(schema: dict[str, Any], nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for node in nodes:
        if ref := node.get("$ref"):
            yield from _resolve(schema, [schema["$defs"][ref.rpartition("/")[2]]])
        else:
            yield node
            yield from _resolve(schema, node.get("anyOf", []))


def _children(
    schema: dict[str, Any], node: dict[str, Any], part: str | int
) -> Iterator[dict[str, Any]]:
    stayed = True
    for here in _resolve(schema, [node]):
        if part in here.get("properties", {}):
            stayed = False
            yield here["properties"][part]
        elif isinstance(more := here.get("additionalProperties"), dict):
            stayed = False
            yield more
        elif isinstance(part, int) and isinstance(items := here.get("items"), dict):
            stayed = False
            yield items
    if stayed:  # the name of a union's branch
        yield node


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return f"`{str(value).lower() if isinstance(value, bool) else brief(str(value))}`"
