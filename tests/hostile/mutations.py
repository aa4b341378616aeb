"""Hostile variants of well-formed bytes: the structure is kept, and what it holds is not.

Random bytes seldom pass the first check of a reader. These changes do: a value of another type, a
number too large, a table in place of a list, a key twice, a nesting without end.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from hostile.readers import PARTS

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 8, 255, 2**31, 2**32, 2**40, 2**53 + 1, 2**63 - 1, 2**63, 2**64,
    -(2**63), 10**30, 10**300, 0.0, -0.0, 0.5, 1e-300, 1e300, float("inf"), float("nan"), "", "0", "a",
    "none", "../../etc/passwd", "/dev/zero", "C:\\x", "a\0b", "\x1b[2J\x1b]0;x\x07", "\ud800", "é",
    "\N{LINE SEPARATOR}", "a" * 300, " " * 2000 + "x", "1" * 5000, "(a+)+$", "hf:a/b", "x--y", [], {},
    [[]], [{}], {"": {}}, [None], [0, 0], ["a"], {"a": 1}, {"type": "BPE"}, {"full_attention": {}},
    {"default": {"_type": "Int4"}}, {"weights": {"num_bits": 4}},
)  # fmt: skip

TEXTS = (
    b"\0", b"\xff\xfe", b"\xed\xa0\x80", b'"', b"{", b"}" * 9, b"[" * 3000, b'{"a":' * 3000, b"-",
    b"1e999", b"0x" + b"f" * 5000, b"9" * 5000, b"NaN", b"\\ud800", b"&a ", b"*a", b"<<: *a\n", b"!!int ",
    b"!!timestamp x", b"!!bool x", b"!!float ''", b"!!binary x", b"!!python/object:os.system []",
    b"? [a]\n: b\n", b"1:59:59", b"---\n", b"\t", b" " * 3000, b"\n", b"%", b"\x1b[2J", PARTS,
)  # fmt: skip


def mutate(data: bytes, random: Random) -> bytes:
    """One change or a few."""
    for _ in range(random.choice((1, 1, 1, 2, 3, 5))):
        data = random.choice(_ways(data))(data, random)
    return data[:65536]


def _ways(data: bytes) -> tuple[Callable[[bytes, Random], bytes], ...]:
    head = int.from_bytes(data[:8], "little") if len(data) > 8 else 0
    if 2 <= head <= len(data) - 8 and data[8:9] == b"{":
        return (_in_header, _in_header, _in_header, _in_bytes)
    if data[:4] == b"GGUF":
        return (_in_numbers, _in_numbers, _in_bytes)
    if PARTS in data:
        return (_in_part,)
    if data[:1] in (b"{", b"["):
        return (_in_json, _in_json, _in_json, _in_text)
    if data[:2] == b"PK" or b"ustar" in data[:600]:
        return (_in_bytes, _in_numbers)
    return (_in_text,)


def _in_header(data: bytes, random: Random) -> bytes:
    size = int.from_bytes(data[:8], "little")
    text = _in_json(data[8 : 8 + size], random)
    length = len(text) if random.random() < 0.95 else random.choice((0, 1, 2**31, 2**63, 2**64 - 1))
    return length.to_bytes(8, "little") + text + data[8 + size :]


def _in_part(data: bytes, random: Random) -> bytes:
    parts = data.split(PARTS)
    at = random.randrange(len(parts))
    parts[at] = mutate(parts[at], random)
    return PARTS.join(parts)


def _in_json(data: bytes, random: Random) -> bytes:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return _in_text(data, random)
    places = list(_places(value, 0))
    if not places:
        return json.dumps(random.choice(VALUES)).encode(errors="surrogatepass")
    holder, key = random.choice(places)
    how = random.randrange(8)
    if how < 4:
        holder[key] = random.choice(VALUES)
    elif how == 4:
        del holder[key]
    elif how == 5:
        other, name = random.choice(places)
        holder[key] = json.loads(json.dumps(other[name])) if name in _keys(other) else None
    elif how == 6 and isinstance(holder, dict):
        new = random.choice([v for v in VALUES if isinstance(v, str)] + [k for _, k in places])
        holder[str(new)] = holder.pop(key)
    else:
        text = json.dumps(value)
        return _in_text(text.encode(), random)
    return json.dumps(value, ensure_ascii=random.random() < 0.9).encode(errors="surrogatepass")


def _keys(holder: Any) -> Any:
    return holder if isinstance(holder, dict) else range(len(holder))


def _places(value: Any, depth: int) -> Any:
    if depth > 20 or not isinstance(value, dict | list):
        return
    for key in list(_keys(value))[:200]:
        yield value, key
        yield from _places(value[key], depth + 1)


def _in_text(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    end = at + random.choice((0, 0, 1, 2, 5, 20))
    how = random.randrange(4)
    if how == 0:
        return data[:at] + random.choice(TEXTS) + data[end:]
    if how == 1:
        lines = data.splitlines(keepends=True)
        if lines:
            lines.insert(random.randrange(len(lines) + 1), random.choice(lines))
        return b"".join(lines)
    if how == 2:
        value = random.choice(VALUES)
        return data[:at] + json.dumps(value).encode(errors="surrogatepass") + data[end:]
    return _in_bytes(data, random)


def _in_bytes(data: bytes, random: Random) -> bytes:
    if not data:
        return random.randbytes(4)
    at = random.randrange(len(data))
    how = random.randrange(5)
    if how == 0:
        return data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]
    if how == 1:
        return data[:at]
    if how == 2:
        return data[:at] + random.randbytes(random.randrange(1, 9)) + data[at:]
    if how == 3:
        return data[:at] + data[at + random.randrange(1, 9) :]
    start = random.randrange(len(data))
    return data[:at] + data[start : start + random.randrange(1, 64)] + data[at:]


def _in_numbers(data: bytes, random: Random) -> bytes:
    """A number of four or eight bytes that is another one now: a length, a type, an offset."""
    width = random.choice((4, 8))
    at = random.randrange(max(1, len(data) - width))
    now = int.from_bytes(data[at : at + width], "little")
    new = random.choice(
        (0, 1, now + 1, now - 1, now * 2, 3, 9, 10, 12, 2**31, 2**32, 2**40, 2**63, 2**64 - 1)
    )
    return data[:at] + (new % 2 ** (8 * width)).to_bytes(width, "little") + data[at + width :]
