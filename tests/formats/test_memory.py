"""The memory to run the example model, counted by hand."""

from __future__ import annotations

from engines.running import MODEL

from cortexbuild.formats.config import OVERHEAD_BYTES
from cortexbuild.formats.memory import memory_of

WEIGHTS = (MODEL / "model.safetensors").stat().st_size
PER_TOKEN = 6 * 2 * 2 * 64 * 2  # layers, key and value, KV heads, width of a head, bytes


def test_weights_cache_and_overhead_are_counted():
    assert memory_of(MODEL, 1024) == WEIGHTS + 1024 * PER_TOKEN + OVERHEAD_BYTES
    assert memory_of(MODEL, 1) == WEIGHTS + PER_TOKEN + OVERHEAD_BYTES


def test_what_does_not_tell_has_none(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert memory_of(tmp_path, 10) is None
    (tmp_path / "model.safetensors").write_bytes((MODEL / "model.safetensors").read_bytes())
    assert memory_of(tmp_path, 10) is None
