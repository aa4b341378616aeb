"""Small files that ask for much: of memory, of time, of the stack. Each is refused in words.

Run as a program this tries them one after the other, under limits that kill: a bomb that goes off
ends the process, and what was printed last is its name.
"""

from __future__ import annotations

import io
import json
import resource
import signal
import struct
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Mapping

from formats.checkpoints import gguf_bytes
from hostile.readers import PARTS, READERS, small_model

from cortexbuild.errors import CortexError

SECONDS, MEMORY = 4, 3 << 29
"""Of processor time for one bomb, a hundred times what is needed; bytes of address space."""

DEEP = 100_000
BIG = b"9" * 1_000_000


def _laughs() -> bytes:
    first = b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    rows = [
        b"%c: &%c [%s]\n" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 9)) for n in range(9)
    ]
    return first + b"".join(rows)


def _merges() -> bytes:
    rows = [
        b"a%d: &a%d {<<: [%s]}\n" % (n, n, b",".join([b"*a%d" % (n - 1)] * 8)) for n in range(1, 12)
    ]
    return b"a0: &a0 {x: 1}\n" + b"".join(rows)


def _gguf(tensors: int, fields: int, more: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, fields) + more


def _field(kind: int, more: bytes) -> bytes:
    return struct.pack("<Q", 1) + b"k" + struct.pack("<I", kind) + more


def _npz(content: bytes, how: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", how) as archive:
        archive.writestr("w.npy", content)
    return stream.getvalue()


def _lzma() -> bytes:
    """Its dictionary is said to have 4 GB."""
    packed = bytearray(_npz(b"\x93NUMPY\x01\x00" + bytes(100), zipfile.ZIP_LZMA))
    at = packed.index(b"\x5d\x00\x00", 30)
    packed[at + 1 : at + 5] = b"\xff\xff\xff\xff"
    return bytes(packed)


def _long_npy_header() -> bytes:
    return b"\x93NUMPY\x02\x00" + (1 << 29).to_bytes(4, "little") + bytes(1 << 25)


def _sparse_tar(size: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("bundle.json")
        member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                              "GNU.sparse.name": "bundle.json", "GNU.sparse.realsize": size}  # fmt: skip
        tar.addfile(member, io.BytesIO())
    return stream.getvalue()


def _pax_tar() -> bytes:
    """A header that says it has 8 GB of names."""
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.XHDTYPE, 8 << 30
    return member.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


def _zstd_tar() -> bytes:
    import zstandard

    member = tarfile.TarInfo("bundle.json")
    member.size = 1 << 40
    head = member.tobuf(tarfile.GNU_FORMAT)
    return zstandard.ZstdCompressor().compress(head + bytes(64 << 20))


def _adapter(**more: object) -> bytes:
    return json.dumps({"peft_type": "LORA", "r": 1, "lora_alpha": 2, **more}).encode()


def _card(text: bytes) -> bytes:
    return PARTS.join([b"{}", b"{}", b"---\nlicense: " + text + b"\n---\n"])


def _header(text: bytes) -> bytes:
    return len(text).to_bytes(8, "little") + text


NESTED = b'{"a":' * DEEP
BOMBS: Mapping[str, tuple[str, Callable[[], bytes], str]] = {
    "YAML lists within lists": ("manifest", lambda: b"[" * DEEP, "deeper than 50"),
    "YAML lists of dashes": ("manifest", lambda: b"- " * DEEP, "deeper than 50"),
    "YAML tables within tables": ("recipe", lambda: b"{a: " * DEEP, "deeper than 50"),
    "YAML aliases of aliases": ("manifest", _laughs, "unfolds to more"),
    "YAML merges of merges": ("manifest", _merges, "unfolds to more"),
    "a YAML alias of itself": ("manifest", lambda: b"a: &a [*a]", "deeper than 50"),
    "a YAML number to the base of 60": ("manifest", lambda: b"a: 1" + b":59" * 300_000, "digits"),
    "a YAML number in hexadecimal": ("manifest", lambda: b"schema: 0x" + b"f" * 1_000_000, "digits"),
    "a YAML tag of Python's": ("manifest", lambda: b"a: !!python/object/apply:os.system [id]", "tag"),
    "a YAML truth that is none": ("manifest", lambda: b"a: !!bool x", "cannot be read as `bool`"),
    "a YAML date that is none": ("manifest", lambda: b"a: !!timestamp x", "cannot be read"),
    "a manifest without end": ("manifest", lambda: b"schema: " + b" " * 3_000_000 + b"x", "schema"),
    "a lock within itself": ("lock", lambda: NESTED, "nested"),
    "a lock of a long number": ("lock", lambda: b'{"lock_version":' + BIG + b"}", "not a lock"),
    "a record within itself": ("record", lambda: NESTED, "nested without end"),
    "a record of a long number": ("record", lambda: b'{"key":' + BIG + b"}", ""),
    "a listing within itself": ("listing", lambda: NESTED, ""),
    "config.json within itself": ("config", lambda: NESTED, "nested too deeply"),
    "config.json of a long number": ("config", lambda: b'{"vocab_size":' + BIG + b"}", "not JSON"),
    "tokenizer.json within itself": ("tokenizer", lambda: NESTED, "nested too deeply"),
    "a safetensors header within itself": ("safetensors", lambda: _header(NESTED), "nested"),
    "a safetensors header of 2^63": (
        "safetensors", lambda: (2**63).to_bytes(8, "little") + b"{}", "at most"),
    "a tensor of 2^62 and more": (
        "safetensors",
        lambda: _header(b'{"a":{"dtype":"U8","shape":[4611686018427387904,4],"data_offsets":[0,0]}}'),
        "too large"),
    "a GGUF of 2^40 tensors": ("gguf", lambda: _gguf(2**40, 0), "truncated"),
    "a GGUF of 2^40 fields": ("gguf", lambda: _gguf(0, 2**40), "truncated"),
    "a GGUF text of 2^63": ("gguf", lambda: _gguf(0, 1, struct.pack("<Q", 2**63) + bytes(9)), "trunc"),
    "a GGUF array of 2^61": (
        "gguf", lambda: _gguf(0, 1, _field(9, struct.pack("<IQ", 10, 2**61))), "truncated"),
    "a GGUF array of arrays": (
        "gguf", lambda: _gguf(0, 1, _field(9, struct.pack("<IQ", 9, 1) * 3000)), "unknown type"),
    "a GGUF shape of 2^63": (
        "gguf", lambda: gguf_bytes([], [("a", 0, (2**32, 2**32), 0)], data=64), "model.gguf"),
    "an .npz of 32 MB of nothing": ("npz", lambda: _npz(_long_npy_header()), "not an array"),
    "an .npz that needs 4 GB to unpack": ("npz", _lzma, "packed in a way"),
    "a bundle of a hole": ("bundle", lambda: _sparse_tar("9" * 30), "set.tar"),
    "a bundle of 8 GB of names": ("bundle", _pax_tar, "set.tar"),
    "a bundle that unpacks to 64 MB": ("bundle", _zstd_tar, "set.tar"),
    "a licence that takes the square": ("beside", lambda: _card(b"a" + b" " * 60_000 + b"b"), ""),
    "a pattern that never ends": (
        "adapter", lambda: _adapter(rank_pattern={"(l|a|y|e|r|s|.|0|q|_|p|r|o|j|.*)*!": 1}), "pattern"),
    "a model of 2^40 layers": (
        "beside",
        lambda: b'{"model_type":"llama","num_hidden_layers":1099511627776,"hidden_size":1}', ""),
}  # fmt: skip
"""By name: the reader, the bytes, and what the refusal says; nothing where it need not be one."""


def go(name: str) -> str:
    """What a reader says to a bomb."""
    kind, make, _ = BOMBS[name]
    data = make()
    begun = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        READERS[kind].read(data)
        said = "fine"
    except CortexError as error:
        said = str(error)
    except READERS[kind].others as error:
        said = str(error)
    signal.setitimer(signal.ITIMER_PROF, 0)
    return f"{said[:500]} [{time.process_time() - begun:.1f} s]"


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    assert small_model(), "all that is imported late is here before the limits count"
    for name in sys.argv[1:]:
        print(json.dumps([name, None]), flush=True)
        print(json.dumps([name, go(name)]), flush=True)


if __name__ == "__main__":
    main()
