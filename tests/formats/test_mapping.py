"""A mapped source is let go while it is written, so that it is never in memory as a whole."""

from __future__ import annotations

from engines.running import run_script

WRITTEN = """
import contextlib, json, resource, sys, zlib
from pathlib import Path
from cortexbuild.formats.safetensors.header import write_header
from cortexbuild.formats.safetensors.shards import into_shards
from cortexbuild.formats.safetensors.stream import SafetensorsWriter
from cortexbuild.formats.safetensors.tensors import open_tensors
source = Path(sys.argv[1])
entries = [(f"t{n}", "F16", (1 << 10, 1 << 15)) for n in range(4)]  # 64 MiB each, and all holes
with (source / "model.safetensors").open("wb") as file:
    file.write(write_header(entries, {}))
    file.truncate(file.tell() + (256 << 20))
class Read:
    def write(self, octets):
        zlib.crc32(octets)
class Nowhere:
    scratch = source
    def create(self, name):
        return contextlib.nullcontext(Read())
    def has(self, name):
        return False
def peak():
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 20
    # Not ru_maxrss, which begins with that of the process that started this one.
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) >> 10
tensors, before = open_tensors(source), peak()
with SafetensorsWriter(Nowhere(), into_shards(entries), {}, lambda *_: None) as out:
    for name, tensor in tensors.items():
        out.append(name, tensor.numbers)
print(json.dumps([peak() - before, int(tensors["t0"].numbers[-1, -1])]))
"""


def test_what_was_written_is_let_go(tmp_path):
    megabytes, last = run_script(WRITTEN, tmp_path)
    assert last == 0, "a map may be read again"
    assert megabytes < 100, "of 256"
