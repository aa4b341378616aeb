"""The graph that every tool builds: for each model fetch, detect, convert, and then three times
quantize and validate. Nine steps, each of which copies a few KiB."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

MARKS = ("q4", "q5", "q8")
STEPS = 3 + 2 * len(MARKS)
HEAD = 4096

Marks = Mapping[tuple[int, str], str]
"""Parameters of quantize that are not the usual ones, by model and target."""


class Step(NamedTuple):
    name: str
    kind: str
    out: str
    mark: str
    inputs: tuple[str, ...]


def name_of(model: int) -> str:
    return f"m{model:05d}"


def head(model: int, salt: int = 0) -> bytes:
    """What every step of a model stands on: a small safetensors file, padded."""
    data = random.Random(f"{model}/{salt}").randbytes(HEAD - 128)
    header = {"w": {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}
    text = json.dumps(header).encode().ljust(120)
    return struct.pack("<Q", len(text)) + text + data


def tail(model: int, salt: int = 0) -> bytes:
    """What belongs to a source and is read by nothing behind fetch."""
    return json.dumps({"salt": salt, "rest": random.Random(model).randbytes(2000).hex()}).encode()


def steps(models: int, marks: Marks) -> Iterator[Step]:
    """In an order in which they can be built, for tools that are told every step."""
    for model in range(models):
        name = name_of(model)
        out = f"out/{name}"
        yield Step(f"fetch-{name}", "fetch", f"{out}/fetch", "-", (f"src/{name}",))
        yield Step(f"detect-{name}", "detect", f"{out}/detect", "-", (f"{out}/fetch",))
        both = (f"{out}/fetch", f"{out}/detect")
        yield Step(f"convert-{name}", "convert", f"{out}/convert", "-", both)
        for mark in MARKS:
            said = marks.get((model, mark), mark)
            quantized = f"{out}/{mark}"
            convert = (f"{out}/convert",)
            yield Step(f"quantize-{name}-{mark}", "quantize", quantized, said, convert)
            yield Step(f"validate-{name}-{mark}", "validate", f"{quantized}.ok", "-", (quantized,))
