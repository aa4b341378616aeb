"""Models as other programs write them down, read for cortex.yaml; and what is left of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ...core.document import Text, did_you_mean
from ...errors import ManifestError, UsageError
from ..yaml.reading import parse_yaml
from .carry import Carried, Desk, Entry, Left
from .compose import read_compose
from .cortex import KEYS, read_cortex
from .kitfile import read_kitfile
from .lm_studio import read_model_yaml
from .modelfile import read_modelfile

__all__ = ["KINDS", "Carried", "Desk", "Entry", "Left", "read_foreign"]

MODELFILE = "modelfile"
KINDS: Mapping[str, Callable[[Text, Desk], Carried]] = {
    MODELFILE: read_modelfile,
    "model.yaml": read_model_yaml,
    "compose": read_compose,
    "kitfile": read_kitfile,
    "cortex": read_cortex,
}
"""`modelfile` is given the lines of its text as data; the others what YAML makes of theirs."""


def read_foreign(content: bytes, desk: Desk, kind: str = "") -> Carried:
    """Raises ManifestError with `file:line` for what is not written as its kind is."""
    if kind and kind not in KINDS:
        near = did_you_mean(kind, list(KINDS), f"one of {', '.join(KINDS)}")
        raise UsageError(f"no kind of file `{kind}`", hint=near)
    text = _text(content, desk.name)
    kind = kind or _kind(text)
    if kind == MODELFILE:
        return read_modelfile(Text(desk.name, _decoded(content, desk.name).splitlines()), desk)
    if text is None or not isinstance(text.data, Mapping):
        text = parse_yaml(content, desk.name)  # for its mistake
        raise ManifestError(
            f"expected a table, as a {kind} is",
            where=desk.name,
            hint="see whether it is the right file; `--as KIND` says what it is",
        )
    return KINDS[kind](text, desk)


def _text(content: bytes, name: str) -> Text | None:
    try:
        return parse_yaml(content, name)
    except ManifestError:
        return None


def _decoded(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestError(
            "not a text",
            where=name,
            hint="name a file of one of the programs that `cortexbuild import --help` tells of",
        ) from error


def _kind(text: Text | None) -> str:
    """By what is in it: people rename files."""
    if text is None or not isinstance(text.data, Mapping):
        return MODELFILE
    data = text.data
    models = data.get("models")
    if "manifestVersion" in data:
        return "kitfile"
    if "services" in data or (isinstance(models, Mapping) and "schema" not in data):
        return "compose"
    if "base" in data and re.fullmatch(r"[^/\s]+/[^/\s]+", str(data.get("model", ""))):
        return "model.yaml"
    if KEYS.keys() & data.keys():
        return "cortex"
    raise UsageError(
        f"{text.name} is none of the files that can be imported: {', '.join(KINDS)}",
        hint="say which with `--as KIND`",
    )
