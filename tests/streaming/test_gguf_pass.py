"""Files of several types from one pass, beside those of llama.cpp's own quantizer."""

from __future__ import annotations

from collections import Counter
from math import prod
from pathlib import Path

import numpy as np
import pytest

from cortexbuild.errors import ToolError
from cortexbuild.formats.gguf.header import read_header
from cortexbuild.runtimes import llama_quantizer
from cortexbuild.runtimes.llama_quantizer import quantize_file
from cortexbuild.streaming import gguf

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("formats")]

WIDE, WORDS, LAYERS = 256, 601, 2  # a piece is not the whole, and 601 rows of Q6_K want padding
TYPES = ("Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "F16", "IQ4_NL")
NORMS = ("attn_norm", "ffn_norm")
MATRICES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A llama in 16 bits that nobody trained."""
    from gguf import GGUFWriter

    path = tmp_path_factory.mktemp("gguf") / "f16.gguf"
    numbers = np.random.default_rng(0)
    writer = GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDE)
    writer.add_feed_forward_length(WIDE)
    writer.add_head_count(4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(1)
    for name, rows in [("token_embd", WORDS)] + [
        (f"blk.{layer}.{name}", WIDE) for layer in range(LAYERS) for name in MATRICES
    ]:
        writer.add_tensor(f"{name}.weight", numbers.standard_normal((rows, WIDE)).astype("f2"))
    for name in ("output_norm", *(f"blk.{n}.{name}" for n in range(LAYERS) for name in NORMS)):
        writer.add_tensor(f"{name}.weight", np.ones(WIDE, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def outline(source, tmp_path):
    """Its header, and holes."""
    path = tmp_path / "outline.gguf"
    path.write_bytes(source.read_bytes()[: read_header(source).data_start])
    with path.open("r+b") as file:
        file.truncate(source.stat().st_size)
    return path


def reader(source: Path, asked: Counter[str]):
    header, content = read_header(source), np.fromfile(source, np.uint8)
    tensors = {tensor.name: tensor for tensor in header.tensors}

    def read(name: str):
        asked[name] += 1
        start, found = header.data_start + tensors[name].offset, tensors[name]
        return gguf.in_parts(content[start : start + found.nbytes], prod(found.shape[1:]))

    return read


def nothing(_done: int, _total: int) -> None:
    pass


def test_each_file_is_what_the_quantizer_makes(source, outline, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(gguf, "PIECE", 5 * WIDE)
    files = [(gguf.plan_layout(outline, type_), tmp_path / type_) for type_ in TYPES]
    asked, told = Counter(), []
    gguf.write_files(
        outline, files, reader(source, asked), lambda done, total: told.append((done, total))
    )
    for type_ in TYPES:
        quantize_file(source, tmp_path / "theirs", type_, nothing)
        assert (tmp_path / type_).read_bytes() == (tmp_path / "theirs").read_bytes(), type_
    size = sum(tensor.nbytes for tensor in read_header(source).tensors)
    assert set(asked.values()) == {1} and told[-1] == (size, size) and told == sorted(told)


def test_a_layout_tells_what_a_file_will_have(outline):
    header = gguf.plan_layout(outline, "Q4_K_M").of(read_header(outline))
    types = {tensor.name: tensor.type for tensor in header.tensors}
    assert types["token_embd.weight"] == "Q6_K", "there is no other output"
    assert types["blk.0.attn_q.weight"] == "Q4_K" and types["output_norm.weight"] == "F32"


def test_what_is_no_number_is_told_with_its_tensor(source, outline, tmp_path):
    read = reader(source, Counter())

    def broken(name: str):
        parts = read(name)
        if name == "blk.1.ffn_up.weight":
            last = parts[-1]().copy()
            last[-1, -2:] = 0xFF  # a NaN
            parts[-1] = lambda: last
        return parts

    layout = gguf.plan_layout(outline, "Q8_0")
    with pytest.raises(ToolError) as caught:
        gguf.write_files(outline, [(layout, tmp_path / "out")], broken, nothing)
    assert str(caught.value).startswith("`blk.1.ffn_up.weight`: it has numbers that are infinite")


def test_what_is_packed_already_is_not_packed_again(source, tmp_path):
    quantize_file(source, tmp_path / "q8", "Q8_0", nothing)
    layout = gguf.plan_layout(source, "Q4_K_M")
    with pytest.raises(ToolError, match="packed already, as Q8_0"):
        gguf.write_files(
            tmp_path / "q8",
            [(layout, tmp_path / "out")],
            reader(tmp_path / "q8", Counter()),
            nothing,
        )


def test_a_quantizer_that_speaks_otherwise_is_not_guessed_at(outline, monkeypatch):
    def run(source, out, type_, hear, more) -> None:
        assert more == {"dry_run": True}
        hear("[   1/   2] a.weight - [  256,     3], type =    f16, ")
        hear("size =     0.001 MiB\n[   2/   2] b.weight is packed\n")

    monkeypatch.setattr(llama_quantizer, "_run", run)
    with pytest.raises(ToolError, match="in words not known"):
        llama_quantizer.planned_types(outline, "Q8_0")
