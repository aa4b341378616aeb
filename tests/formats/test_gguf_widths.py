"""Rows that a quantization type cannot hold are found before and after quantizing."""

from __future__ import annotations

import pytest

from cortexbuild.formats.gguf.header import GgufHeader, GgufTensor
from cortexbuild.formats.gguf.widths import block_of, fell_back, sure_misfits


def header(*tensors: tuple[str, str, tuple[int, ...]]) -> GgufHeader:
    return GgufHeader(3, {}, tuple(GgufTensor(n, t, s, 0, 0) for n, t, s in tensors), 32, 0)


@pytest.mark.parametrize(
    ("mixture", "block"),
    [("Q4_K_M", 256), ("IQ4_XS", 256), ("Q2_K", 256), ("IQ4_NL", 32), ("Q8_0", 32), ("F16", 1)],
)
def test_a_mixture_has_the_block_of_the_type_it_is_named_after(mixture, block):
    assert block_of(mixture) == block


def test_only_what_is_quantized_in_every_model_is_sure_beforehand():
    full = header(
        ("blk.0.attn_q.weight", "F16", (896, 896)),
        ("blk.0.ffn_down.weight", "F16", (4864, 896)),
        ("blk.0.attn_norm.weight", "F32", (896,)),
        ("blk.0.ssm_conv1d.weight", "F32", (4, 896)),
    )
    assert sure_misfits(full, "Q4_K_M") == ["`blk.0.attn_q.weight` (896 wide)"]
    assert sure_misfits(full, "Q8_0") == []


def test_what_fell_back_is_seen_in_the_result():
    made = header(
        ("token_embd.weight", "Q8_0", (896, 100)),
        ("blk.0.attn_q.weight", "Q5_0", (896, 896)),
        ("blk.0.ffn_up.weight", "F16", (1000, 896)),
        ("blk.0.ffn_down.weight", "Q4_K", (4864, 896)),
        ("blk.0.ffn_norm.weight", "F32", (896,)),
        ("blk.0.ssm_conv1d.weight", "F32", (4, 896)),
    )
    assert [name.split("`")[1] for name in fell_back(made, "Q4_K_M")] == [
        "token_embd.weight", "blk.0.attn_q.weight", "blk.0.ffn_up.weight",
    ]  # fmt: skip
    assert fell_back(made, "Q8_0") == ["`blk.0.ffn_up.weight` (1000 wide)"]
    assert fell_back(made, "F16") == []
