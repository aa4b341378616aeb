"""A GGUF model as Ollama keeps it: a manifest, and blobs that are named by their sha256.

What is written is what `ollama create` writes, byte for byte: keys in the order of its Go structs,
`<`, `>` and `&` escaped, a newline at the end. Later versions leave `architecture`, `os` and
`rootfs` out and keep manifests elsewhere as well; all of them read this.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import PurePosixPath
from typing import Any

from ..errors import UsageError
from .gguf.header import GgufHeader, quantization_name

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
MODEL, TEMPLATE, LICENCE, PARAMETERS = (
    f"application/vnd.ollama.image.{kind}" for kind in ("model", "template", "license", "params")
)

_REGISTRY = "registry.ollama.ai"
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"
_NAME = re.compile(
    r"(?:(?:(?P<host>[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349})/)?(?P<namespace>[A-Za-z0-9_][A-Za-z0-9_-]{0,79})/)?"
    rf"(?P<model>{_PART})(?::(?P<tag>{_PART}))?"
)


@dataclass(frozen=True, slots=True)
class Name:
    """`host/namespace/model:tag`, with Ollama's defaults for what is not said."""

    host: str
    namespace: str
    model: str
    tag: str

    @classmethod
    def parse(cls, text: str) -> Name:
        found = _NAME.fullmatch(text)
        if found is None:
            raise UsageError(
                f"`{text}` cannot be the name of a model in Ollama",
                hint="choose another with `--name model:tag`: letters, digits, `_`, `-` and `.`",
            )
        return cls(
            found["host"] or _REGISTRY,
            found["namespace"] or "library",
            found["model"],
            found["tag"] or "latest",
        )

    @property
    def path(self) -> PurePosixPath:
        """Where its manifest is, in the folder of models."""
        return PurePosixPath("manifests", self.host, self.namespace, self.model, self.tag)

    @property
    def is_ollamas(self) -> bool:
        """Whether it is one of Ollama's own registry."""
        return self.host == _REGISTRY

    def __str__(self) -> str:
        """As `ollama run` takes it."""
        short = f"{self.model}:{self.tag}"
        if not self.is_ollamas:
            return f"{self.host}/{self.namespace}/{short}"
        return short if self.namespace == "library" else f"{self.namespace}/{short}"


@dataclass(frozen=True, slots=True)
class Layer:
    """One part of a model: its kind, and its content by digest and size."""

    kind: str
    sha256: str
    size: int

    @classmethod
    def of(cls, kind: str, content: bytes) -> Layer:
        return cls(kind, hashlib.sha256(content).hexdigest(), len(content))

    @property
    def path(self) -> PurePosixPath:
        return PurePosixPath("blobs", f"sha256-{self.sha256}")

    def listed(self) -> Mapping[str, object]:
        return {"mediaType": self.kind, "digest": f"sha256:{self.sha256}", "size": self.size}


def as_go_writes(value: object) -> bytes:
    """JSON as Go's `json.Encoder` writes it. Keys stay in the order that they have."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return f"{text}\n".encode(errors="replace")


def manifest(config: Layer, layers: Sequence[Layer]) -> bytes:
    return as_go_writes(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.listed(),
            "layers": [layer.listed() for layer in layers],
        }
    )


def config(header: GgufHeader, layers: Sequence[Layer]) -> bytes:
    """What Ollama shows of a model, from its GGUF header."""
    family = str(header.fields.get("general.architecture", "unknown"))
    stored = quantization_name(header)
    return as_go_writes(
        {
            "model_format": "gguf",
            "model_family": family,
            "model_families": [family],
            "model_type": _rounded(_parameters(header)),
            "file_type": {"FP16": "F16", "FP32": "F32"}.get(stored, stored),
            "architecture": "amd64",  # a constant there too: the form asks for one
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{one.sha256}" for one in layers]},
        }
    )


def parameters(stops: Sequence[str], generation: Mapping[str, Any]) -> bytes | None:
    """The `PARAMETER`s of a model: where its text ends, and how it asks to be sampled, by its
    generation_config.json. None when there are none."""
    found: dict[str, object] = {}
    if generation.get("do_sample") is not False:
        for theirs, ours in (
            ("repetition_penalty", "repeat_penalty"),
            ("temperature", "temperature"),
            ("top_k", "top_k"),
            ("top_p", "top_p"),
        ):
            value = generation.get(theirs)
            if isinstance(value, int | float) and not isinstance(value, bool):
                found[ours] = int(value) if value == int(value) else value
    if stops:
        found["stop"] = list(stops)
    return as_go_writes(dict(sorted(found.items()))) if found else None


def stops(fields: Mapping[str, Any], generation: Mapping[str, Any]) -> list[str]:
    """The texts of the tokens that end an answer, by a GGUF file and a generation_config.json.
    `fields` must have the table of tokens."""
    tokens, ends = fields.get("tokenizer.ggml.tokens"), generation.get("eos_token_id")
    numbers = [fields.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom")]
    numbers += ends if isinstance(ends, list) else [ends]
    found = dict.fromkeys(token_text(tokens, number) for number in numbers)
    return [text for text in found if text]


def token_text(tokens: object, number: object) -> str:
    """A token's text in a table; empty when there is none of that number."""
    if isinstance(tokens, Sequence) and type(number) is int and 0 <= number < len(tokens):
        return str(tokens[number])
    return ""


def _parameters(header: GgufHeader) -> int:
    said = header.fields.get("general.parameter_count")
    return said if type(said) is int else sum(prod(tensor.shape) for tensor in header.tensors)


def _rounded(count: int) -> str:
    """`8.0B`, `361.82M`, `46K`; a whole number has no decimals."""
    for unit, letter, decimals in ((10**9, "B", 1), (10**6, "M", 2), (10**3, "K", 0)):
        if count >= unit:
            return f"{count / unit:.{0 if count % unit == 0 else decimals}f}{letter}"
    return str(count)
