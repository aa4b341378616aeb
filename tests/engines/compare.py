"""Compare two folders of safetensors tensor by tensor: name, type, shape and bytes."""

from __future__ import annotations

from pathlib import Path

from cortexbuild.formats.safetensors.header import read_header


def tensors(folder: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    found = {}
    for path in sorted(folder.glob("model*.safetensors")):
        content = path.read_bytes()
        for name, info in read_header(path).tensors.items():
            found[name] = (info.dtype, tuple(info.shape), content[info.start : info.end])
    return found


def differences(ours: Path, theirs: Path) -> list[str]:
    a, b = tensors(ours), tensors(theirs)
    assert a and b, "no tensors to compare"
    return sorted(name for name in {*a, *b} if a.get(name) != b.get(name))
