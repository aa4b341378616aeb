"""Ollama's Modelfile: `FROM`, `ADAPTER`, and what is about a chat and not about weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.document import Text, did_you_mean
from ...core.naming import name_of, word_of
from ...errors import ManifestError
from ...formats.files import shard_of
from .carry import Carried, Desk, Entry, Left, of_hub

OPTIONS = {"temperature": "--temperature", "top_p": "--top-p", "top_k": "--top-k",
           "seed": "--seed", "stop": "--stop", "num_predict": "--max-tokens",
           "repeat_penalty": "--repetition-penalty"}  # fmt: skip
"""Parameters of Ollama that `generate` has, too."""

ELSEWHERE = {
    "TEMPLATE": "a chat template comes with the model, and is checked when it is built",
    "SYSTEM": "it is said in a chat, and is no part of the weights",
    "MESSAGE": "it is said in a chat, and is no part of the weights",
    "LICENSE": "the licence is read from the model itself, and `licenses:` judges it",
    "REQUIRES": "it is about Ollama",
    "CAPABILITY": "it is about Ollama",
    "RENDERER": "it is about Ollama",
    "PARSER": "it is about Ollama",
    "DRAFT": "a second model to guess with is no part of this one",
}


@dataclass(frozen=True, slots=True)
class Instruction:
    word: str
    words: str
    place: str


def read_modelfile(text: Text, desk: Desk) -> Carried:
    said = list(_instructions(text.data, desk.name))
    sources = [one for one in said if one.word == "FROM"]
    if not sources:
        raise ManifestError(
            "a Modelfile says `FROM` what",
            where=desk.name,
            hint="write a line `FROM`, with a file or the name of a model",
        )
    first, *others = sources
    entry, left = _source(first, desk)
    adapters: list[str] = []
    for one in said:
        if one.word == "ADAPTER" and one.words.lower().endswith(".gguf"):
            why = "an adapter in GGUF cannot be merged: name the safetensors it was made from"
            left += (Left(one.place, f"ADAPTER {one.words}", why),)
        elif one.word == "ADAPTER":
            adapters.append(desk.origin(one.words))
        elif one.word == "PARAMETER":
            left += (_parameter(one),)
        elif one.word in ELSEWHERE:
            left += (Left(one.place, one.word, ELSEWHERE[one.word]),)
    for one in others:
        shard, begun = shard_of(one.words), shard_of(first.words)
        if not (shard and begun and (shard.stem, shard.count) == (begun.stem, begun.count)):
            left += (Left(one.place, f"FROM {one.words}", "a model has one source"),)
    if entry is None:
        return Carried((), left)
    named = Entry(entry.name, entry.source, entry.notes, tuple(adapters))
    return Carried((named,), left)


def _source(one: Instruction, desk: Desk) -> tuple[Entry | None, tuple[Left, ...]]:
    said = one.words
    if found := desk.find(said):
        notes = (f"FROM {said}", *found.notes)
        origin = desk.origin(str(found.place))
        return Entry(word_of(found.name.rpartition("/")[2]), origin, notes), ()
    if hub := of_hub(said, one.place):
        return hub
    if "*" in said:
        named = sorted(desk.folder.glob(said)) if not Path(said).is_absolute() else []
        said = f"{Path(said).parent / named[0].name}" if named else said
    if said.startswith((".", "/", "~")) or said.endswith(".gguf") or desk.path(said).exists():
        origin = desk.origin(said)
        return Entry(name_of(origin), origin), ()
    why = (
        "Ollama has no such model here, and its registry is no source: `ollama pull` it first, or "
        "name the repository on the Hub"
    )
    return None, (Left(one.place, f"FROM {said}", why),)


def _parameter(one: Instruction) -> Left:
    name, _, value = one.words.partition(" ")
    why = "it is about running, and `generate` has nothing like it"
    if option := OPTIONS.get(name):
        why = f"it is about running: `generate {option} {value.strip()}`"
    elif name == "num_ctx":
        why = f"it is about running; `fit: {{memory: …, context: {value.strip()}}}` counts with it"
    return Left(one.place, f"PARAMETER {name}", why)


def _instructions(lines: Sequence[str], name: str) -> Iterator[Instruction]:
    number = 0
    known = ("FROM", "ADAPTER", "PARAMETER", *ELSEWHERE)
    while number < len(lines):
        line, place = lines[number].strip(), f"{name}:{number + 1}"
        number += 1
        if not line or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        if word.upper() not in known:
            hint = did_you_mean(word.upper(), known, "say what kind of file it is with `--as KIND`")
            raise ManifestError(f"no instruction `{word[:40]}`", where=place, hint=hint)
        rest = rest.strip()
        begin = rest.find('"""')
        if begin >= 0 and rest.count('"""') == 1:  # to the line that ends it
            while number < len(lines) and '"""' not in lines[number]:
                number += 1
            if number == len(lines):
                raise ManifestError(
                    '`"""` is not closed', where=place, hint="end the text with three quotes"
                )
            number += 1
        if word.upper() == "FROM" and not rest:
            raise ManifestError(
                "`FROM` what?", where=place, hint="write a file or the name of a model behind it"
            )
        yield Instruction(word.upper(), rest.strip('"'), place)
