"""Every reader of foreign bytes, as one function of bytes; and what each of them promises.

A reader gives a value, or raises an error of ours that names the file. Anything else that it
raises is a defect, and so is taking memory or time that the bytes do not explain.
"""

from __future__ import annotations

import atexit
import io
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from remotes.results import TRUSTED

from cortexbuild.cli.yaml.reading import parse_yaml
from cortexbuild.core.digest import canonical
from cortexbuild.core.lockfile import lock_from_text, lock_to_text
from cortexbuild.core.manifest import Manifest
from cortexbuild.core.recipe import Recipe
from cortexbuild.errors import CortexError, ToolError
from cortexbuild.formats.detection import detect_files
from cortexbuild.formats.gguf import header as gguf
from cortexbuild.formats.gguf.fields import fields_of
from cortexbuild.formats.lora import read_adapter
from cortexbuild.formats.names.config import config_from_gguf
from cortexbuild.formats.npz import read_arrays
from cortexbuild.formats.safetensors import header as safetensors
from cortexbuild.formats.tokenizer.as_json import tokenizer_json
from cortexbuild.formats.tokenizer.fields import tokenizer_in
from cortexbuild.formats.tokenizer.sentencepiece import sentencepiece_model
from cortexbuild.formats.tokenizer.to_gguf import read_vocabulary
from cortexbuild.remotes.bundle import bring_in
from cortexbuild.remotes.listing import parse_listing
from cortexbuild.store.local import LocalStore
from cortexbuild.store.traces import trace_from_text, trace_to_text

SHARED = Path("/dev/shm")
PARTS = b"\n--8<--\n"
"""Between the files of a folder, in the bytes of one example."""

BESIDE = (
    "config.json", "tokenizer_config.json", "README.md", "quantize_config.json",
    "model.safetensors.index.json", "adapter_config.json", "fine_tuned.marker",
)  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """`names` are what its errors may call the file; `others` what it may raise besides ours."""

    read: Callable[[bytes], object]
    names: tuple[str, ...]
    others: tuple[type[Exception], ...] = ()


@dataclass(frozen=True)
class Held:
    """Files in memory, as detection asks for them."""

    files: Mapping[str, bytes]

    @property
    def sizes(self) -> Mapping[str, int]:
        return {path: len(content) for path, content in self.files.items()}

    def open(self, path: str) -> io.BytesIO:
        return io.BytesIO(self.files[path])


@contextmanager
def folder_of(files: Mapping[str, bytes]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=SHARED if SHARED.is_dir() else None) as name:
        for path, content in files.items():
            Path(name, path).write_bytes(content)
        yield Path(name)


def small_model(dtype: str = "BF16") -> bytes:
    header = {
        "model.embed_tokens.weight": {"dtype": dtype, "shape": [4, 2], "data_offsets": [0, 16]}
    }
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(16)


def small_adapter() -> bytes:
    names = ("base_model.model.layers.0.q_proj.lora_A.weight",
             "base_model.model.layers.0.q_proj.lora_B.weight")  # fmt: skip
    header = {
        names[0]: {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]},
        names[1]: {"dtype": "F32", "shape": [2, 1], "data_offsets": [8, 16]},
    }
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(16)


def read_safetensors(data: bytes) -> object:
    header = safetensors.read_header_from(io.BytesIO(data), len(data), "model.safetensors")
    facts = detect_files(Held({"model.safetensors": data}), "model")
    canonical(facts.to_plain())
    return header


def read_gguf(data: bytes) -> object:
    header = gguf.read_header_from(io.BytesIO(data), len(data), "model.gguf", keep_arrays=True)
    gguf.quantization_name(header)
    canonical(detect_files(Held({"model.gguf": data}), "model").to_plain())
    return header


def read_gguf_config(data: bytes) -> object:
    header = gguf.read_header_from(io.BytesIO(data), len(data), "model.gguf", keep_arrays=True)
    shapes = {tensor.name: tuple(reversed(tensor.shape)) for tensor in header.tensors}
    return config_from_gguf(header.fields, shapes, {})


def read_gguf_tokenizer(data: bytes) -> object:
    header = gguf.read_header_from(io.BytesIO(data), len(data), "model.gguf", keep_arrays=True)
    found = tokenizer_in(header.fields)
    sentencepiece_model(found)
    return json.dumps(tokenizer_json(found))


def read_beside(data: bytes) -> object:
    """The small files beside the weights of a model."""
    files = dict(zip(BESIDE, data.split(PARTS), strict=False))
    weights = {"model.safetensors": small_model()}
    facts = detect_files(Held({**files, **weights}), "a-name")
    return canonical(facts.to_plain())


def read_config(data: bytes) -> object:
    facts = detect_files(Held({"config.json": data, "model.safetensors": small_model()}), "m")
    canonical(facts.to_plain())
    config = json.loads(data)
    return fields_of(config)


def read_adapter_folder(data: bytes) -> object:
    files = {"adapter_config.json": data, "adapter_model.safetensors": small_adapter()}
    with folder_of(files) as folder:
        return read_adapter(folder)


def read_tokenizer(data: bytes) -> object:
    with folder_of({"tokenizer.json": data}) as folder:
        return read_vocabulary(folder, 8)


def read_npz(data: bytes) -> object:
    return read_arrays(io.BytesIO(data), "weights.npz")


def read_manifest(data: bytes) -> object:
    return list(Manifest.parse(parse_yaml(data, "cortex.yaml")).targets())


def read_recipe(data: bytes) -> object:
    return Recipe.parse(parse_yaml(data, "q4.yaml"))


def read_lock(data: bytes) -> object:
    lock = lock_from_text(data.decode(errors="replace"), "cortex.lock")
    for pinned in lock.sources.values():
        canonical(pinned.facts)
    again = lock_to_text(lock)
    assert lock_from_text(again, "cortex.lock") == lock
    return again.encode()


def read_record(data: bytes) -> object:
    trace = trace_from_text(data.decode(errors="replace"))
    assert trace_from_text(trace_to_text(trace)) == trace
    return trace


def read_listing(data: bytes) -> object:
    return list(parse_listing(data))


@cache
def store_of_tests() -> LocalStore:
    """One for all examples: making a store takes longer than reading a hundred bundles."""
    folder = tempfile.TemporaryDirectory(dir=SHARED if SHARED.is_dir() else None)
    store = LocalStore(Path(folder.name))
    atexit.register(lambda: (store.close(), folder.cleanup()))
    return store


def read_bundle(data: bytes) -> object:
    with folder_of({"set.tar": data}) as folder:
        return bring_in(folder / "set.tar", store_of_tests(), TRUSTED, lambda _: None)


READERS: Mapping[str, Reader] = {
    "safetensors": Reader(read_safetensors, ("model.safetensors",)),
    "gguf": Reader(read_gguf, ("model.gguf",)),
    "gguf_config": Reader(read_gguf_config, ()),
    "gguf_tokenizer": Reader(read_gguf_tokenizer, ()),
    "config": Reader(read_config, ("config.json",)),
    "beside": Reader(read_beside, (*BESIDE, "model.safetensors")),
    "adapter": Reader(read_adapter_folder, ()),
    "tokenizer": Reader(read_tokenizer, ()),
    "npz": Reader(read_npz, ("weights.npz",)),
    "manifest": Reader(read_manifest, ("cortex.yaml",)),
    "recipe": Reader(read_recipe, ("q4.yaml",)),
    "lock": Reader(read_lock, ("cortex.lock",)),
    "record": Reader(read_record, (), (ValueError,)),
    "listing": Reader(read_listing, (), (ValueError, RecursionError)),
    "bundle": Reader(read_bundle, ("set.tar",)),
}


def try_on(name: str, data: bytes) -> Any:
    """What a reader makes of bytes: a value, or None where it refused them as it should."""
    reader = READERS[name]
    try:
        return reader.read(data)
    except CortexError as error:
        said = str(error)
        named = not reader.names or any(file in said for file in reader.names)
        # What a step cannot do is told with the step's name before it.
        assert named or isinstance(error, ToolError), said
        assert len(said) < 2000, f"a message of {len(said)} characters: {said[:200]}"
        said.encode()
    except reader.others:
        pass
    return None
