"""Every place that raises an error of ours, read from the source, as a user would see it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from workspace import ROOT

from cortexbuild import errors

KINDS = {
    name: kind for name, kind in vars(errors).items()
    if inspect.isclass(kind) and issubclass(kind, errors.CortexError)
}  # fmt: skip
SHARED = {name: text for name, text in vars(errors).items() if isinstance(text, str)}


@dataclass(frozen=True, order=True)
class Raised:
    """One place. `hint` is None where nothing stands there."""

    part: str
    place: str
    code: int
    message: str
    hint: str | None


@cache
def all_raised(package: Path = ROOT / "cortexbuild") -> list[Raised]:
    """Of a package, in the order of its files."""
    return [one for file in sorted(package.rglob("*.py")) for one in _of_file(package, file)]


def _of_file(package: Path, file: Path) -> Iterator[Raised]:
    tree = ast.parse(file.read_text())
    known = SHARED | dict(_texts(tree.body))
    inside: dict[ast.AST, dict[str, str]] = {}
    for function in (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)):
        below = list(ast.walk(function))
        own = known | dict(_texts(below))
        inside |= {node: own for node in below if isinstance(node, ast.Call)}
    part = file.relative_to(package).parts[0].removesuffix(".py")
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and node.args):
            continue
        names, place = inside.get(node, known), f"{file.relative_to(package)}:{node.lineno}"
        given = next((k.value for k in node.keywords if k.arg == "hint"), None)
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name in KINDS:
            where = [k.value for k in node.keywords if k.arg == "where"]
            said = ": ".join(_shown(one, names) for one in [*where, node.args[0]])
            hint = None if given is None else _shown(given, names)
            yield Raised(part, place, KINDS[name].exit_code, said, hint)
        elif name == "refuse" and part == "formats":  # of foreign.py, and a reader's own
            said = ": ".join(_shown(one, names) for one in node.args[:2])
            hint = errors.FETCH_AGAIN if given is None else _shown(given, names)
            yield Raised(part, place, errors.IntegrityError.exit_code, said, hint)


def _texts(body: list[ast.AST]) -> Iterator[tuple[str, str]]:
    """The names that these statements give to texts."""
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            text = _shown(node.value, {})
            if text != "…":
                yield node.targets[0].id, text


def _shown(node: ast.expr, known: dict[str, str]) -> str:
    """A text as far as it is known before it is made; the rest is `…`, or a name in ‹ ›."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_shown(value, known) for value in values)
        case ast.FormattedValue(value=inner):
            return _shown(inner, known)
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return _shown(left, known) + _shown(right, known)
        case ast.BoolOp(values=values):
            return _shown(values[-1], known)
        case ast.IfExp(body=body, orelse=other):
            texts = dict.fromkeys(_shown(one, known) for one in (body, other))
            return " / ".join(text for text in texts if text)
        case ast.Call(func=ast.Name(id="did_you_mean")):
            return "did you mean `…`?"
        case (
            ast.Call(func=ast.Name(id="str"), args=[inner])
            | ast.Call(func=ast.Name(id="shown"), args=[inner])
        ):
            return _shown(inner, known)
        case ast.Name(id=name):
            return known.get(name, f"‹{name.strip('_')}›")
        case ast.Attribute(value=ast.Name(id="error"), attr="hint"):
            return "the hint of what came before"
        case ast.Attribute(attr=name):
            return f"‹{name.strip('_')}›"
        case _:
            return "…"
