"""Ollama: blobs, and a manifest that names them. It needs no restart to see a new one."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import StoreError, UsageError
from ..formats import ollama
from ..formats.files import notice_files
from ..formats.gguf.header import GgufHeader, read_header
from ..formats.ollama import Layer, Name
from ..formats.turns import Turns, find_turns
from ..store.local import LocalStore
from . import Given, How, Neighbour, Package
from .placing import give_file, give_text


def root() -> Path:
    """As Ollama finds it; one that runs as a service has its own (see its unit)."""
    return Path(os.environ.get("OLLAMA_MODELS") or "~/.ollama/models").expanduser()


def give(store: LocalStore, package: Package, root: Path, name: str, how: How) -> Given:
    """The blobs first, so that what the manifest names is there."""
    gguf = [file for path, file in package.files.items() if path.endswith(".gguf")]
    if package.format != "gguf" or len(gguf) != 1:
        raise UsageError(
            f"Ollama runs GGUF models, and {package.target} is {package.format}",
            hint="add a target of that format, as `gguf-q4_k_m`",
        )
    named, weights = Name.parse(name), gguf[0]
    header = read_header(store.blob(weights.digest), keep_arrays=True)
    generation = _generation(package)
    template, note = _template(header)
    texts = [
        (ollama.TEMPLATE, template),
        *((ollama.LICENCE, package.texts[name]) for name in notice_files(package.texts)),
        (ollama.PARAMETERS, ollama.parameters(ollama.stops(header.fields, generation), generation)),
    ]
    written = [(kind, text) for kind, text in texts if text is not None]
    layers = [
        Layer(ollama.MODEL, weights.digest, weights.size),
        *(Layer.of(kind, text) for kind, text in written),
    ]
    config = ollama.config(header, layers)
    configured = Layer.of(ollama.CONFIG, config)
    text, path = ollama.manifest(configured, layers), root / named.path
    _check_free(root, named, text, how)
    came = Counter({give_file(store, weights, root / layers[0].path, how): weights.size})
    contents = [*(text for _, text in written), config]
    for layer, content in zip([*layers[1:], configured], contents, strict=True):
        give_text(content, root / layer.path)
    give_text(text, path)
    return Given(str(named), path, came, (note,) if note else (), f"ollama run {named}")


def _check_free(root: Path, name: Name, text: bytes, how: How) -> None:
    if (shadow := _shadow(root, name)) is not None:
        raise StoreError(
            f"Ollama has another model as {name}, and would not see this one: {shadow}",
            hint=f"`ollama rm {name}`, or choose another name with `--name`",
        )
    path = root / name.path
    if path.exists() and path.read_bytes() != text and not how.replace:
        raise StoreError(
            f"Ollama has another model, or an older build of this one, as {name}",
            hint="`--replace` puts this one in its place, or choose another name with `--name`",
        )


def _shadow(root: Path, name: Name) -> Path | None:
    """A manifest of that name where later versions look first, and call their own registry
    `ollama.com`."""
    hosts = (name.host, "ollama.com") if name.is_ollamas else (name.host,)
    kept = (root / "manifests-v2" / host / Path(*name.path.parts[2:]) for host in hosts)
    return next((path for path in kept if path.exists()), None)


def _template(header: GgufHeader) -> tuple[bytes | None, str]:
    """The chat template in Ollama's language, and what a person should know of it."""
    found = header.fields.get("tokenizer.chat_template")
    if not isinstance(found, str):
        return None, "no template: the model has none, so Ollama continues texts as they are"
    try:
        turns = _turns(found, header)
    except ImportError:
        return None, "no template: jinja2 is not installed, which reads the model's own"
    text = turns.to_go() if turns is not None else None
    if turns is None or text is None:
        return None, (
            "no template: the model's own does more than to write around turns, and is not "
            "guessed at; `ollama create` with a TEMPLATE can add one"
        )
    deaf = "the model's template has no place for a system's message, so Ollama leaves it out"
    return text.encode(errors="replace"), deaf if turns.system is None else ""


def _turns(template: str, header: GgufHeader) -> Turns | None:
    from ..formats.jinja import rendering

    fields = header.fields
    bos, eos = (
        ollama.token_text(
            fields.get("tokenizer.ggml.tokens"), fields.get(f"tokenizer.ggml.{name}_token_id")
        )
        for name in ("bos", "eos")
    )
    if fields.get("tokenizer.ggml.add_bos_token") is not False:
        bos = ""  # Ollama writes it, and it would stand there twice
    try:
        return find_turns(rendering(template, bos=bos, eos=eos))
    except ValueError:
        return None


def _generation(package: Package) -> Mapping[str, Any]:
    try:
        found = json.loads(package.source("generation_config.json") or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


NEIGHBOUR = Neighbour("ollama", root, lambda target: target, give)
