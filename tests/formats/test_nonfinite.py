"""Numbers that are none are found wherever they are in the files."""

from __future__ import annotations

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFWriter, quants
from safetensors.numpy import save_file

from cortexbuild.formats.nonfinite import Nonfinite, nonfinite


def test_safetensors_of_every_float_type(tmp_path):
    weights = np.ones((4, 32), np.float32)
    save_file({"a": weights, "b": weights.astype(np.float16), "n": np.ones(3, np.int32)},
              tmp_path / "model.safetensors")  # fmt: skip
    assert nonfinite(tmp_path) == Nonfinite()
    half = weights.astype(np.float16)
    half[1, 2], half[3, 4] = np.nan, np.inf
    save_file({"a": weights, "b": half}, tmp_path / "model.safetensors")
    assert nonfinite(tmp_path) == Nonfinite(2, "b")


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"])
def test_the_scales_of_packed_weights(tmp_path, kind):
    numbers = np.random.default_rng(0).normal(size=(8, 64)).astype(np.float32)
    for bad in (0, 1):
        if bad:
            numbers[5, 40] = np.inf
        path = tmp_path / f"{bad}" / "model.gguf"
        path.parent.mkdir()
        writer = GGUFWriter(path, "llama")
        with np.errstate(all="ignore"):
            packed = quants.quantize(numbers, GGMLQuantizationType[kind])
        writer.add_tensor("w", packed, raw_dtype=GGMLQuantizationType[kind])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        found = nonfinite(path.parent)
        assert found.first == ("w" if bad else "") and bool(found.count) == bool(bad)
