"""Which way a source goes: by the fewest bridges, by a lossless edge, or not at all."""

from __future__ import annotations

import pytest

from cortexbuild.core.document import Text
from cortexbuild.core.params import Params
from cortexbuild.core.planning.bridges import planned_format, takes
from cortexbuild.core.planning.routes import find_route
from cortexbuild.core.ports import Tool, Toolbox
from cortexbuild.core.recipe import Recipe
from cortexbuild.core.step import Kind
from cortexbuild.errors import UsageError


class Bits(Params):
    bits: int = 4


def tool(name, kind, accepts, makes, *, bridge=False, params=Params):
    return Tool(name, kind, params, lambda run, params: None, 1, accepts, makes, bridge=bridge)


TOOLS = (
    tool("torch", Kind.CONVERT, ("pytorch",), "safetensors", bridge=True),
    tool("unpack", Kind.CONVERT, ("gguf", "gguf-*", "mlx-*"), "safetensors", bridge=True),
    tool("widen", Kind.CONVERT, ("fp8",), "safetensors", bridge=True),
    tool("mlx", Kind.CONVERT, ("safetensors",), "mlx"),
    tool("mlx", Kind.QUANTIZE, ("mlx",), "mlx", params=Bits),
    tool("transcode", Kind.CONVERT, ("gguf-q4_0",), "mlx"),
    tool("lora", Kind.CONVERT, ("safetensors",), "safetensors"),
    tool("measure", Kind.VALIDATE, ("mlx", "mlx-*"), "measures"),
)


def find(name, kind, format_):
    found = [t for t in TOOLS if t.name == name and t.kind is kind]
    return next((t for t in found if takes(t, format_)), found[0])


TOOLBOX = Toolbox(find, lambda: tuple(t for t in TOOLS if t.bridge))


def recipe(*kinds, lossless=()):
    tools = {"convert": "mlx", "quantize": "mlx", "validate": "measure"}
    steps = [{"do": kind, "tool": tools[kind]} for kind in kinds]
    data = {"schema": 1, "summary": "", "steps": steps, "lossless": list(lossless)}
    return Recipe.parse(Text("r", data))


FOUR = recipe(
    "convert",
    "quantize",
    "validate",
    lossless=[{"from": "mlx-4bit"}, {"from": "gguf-q4_0", "tool": "transcode"}],
)
SIXTEEN = recipe("convert", "validate")


def names(route):
    return [f"{leg.tool.name}/{leg.tool.kind.value}" for leg in route.legs]


def way(recipe_, format_, **more):
    return find_route(recipe_, format_, TOOLBOX, settings=more.pop("settings", {}), **more)


def test_a_source_that_fits_goes_straight():
    route = way(FOUR, "safetensors")
    assert names(route) == ["mlx/convert", "mlx/quantize", "measure/validate"]
    assert [leg.number for leg in route.legs] == [0, 1, 2] and route.note == ""


def test_a_bridge_is_put_in_where_it_is_needed():
    assert names(way(FOUR, "pytorch"))[:2] == ["torch/convert", "mlx/convert"]
    assert way(FOUR, "pytorch").legs[0].number is None
    assert names(way(FOUR, "gguf")) == [
        "unpack/convert", "mlx/convert", "mlx/quantize", "measure/validate",
    ]  # fmt: skip


def test_a_lossless_edge_is_taken_where_one_exists_and_said():
    route = way(FOUR, "gguf-q4_0")
    assert names(route) == ["transcode/convert", "measure/validate"]
    assert route.note == "lossless: the weights of the source as they are, repacked"


def test_an_mlx_source_of_the_right_bits_is_taken_as_it_is():
    route = way(FOUR, "mlx-4bit")
    assert names(route) == ["measure/validate"] and route.note.startswith("lossless")


def test_a_setting_that_the_source_cannot_follow_closes_the_lossless_edge():
    with pytest.raises(UsageError, match="quantized already"):
        way(FOUR, "gguf-q4_0", settings={"bits": 3})


def test_what_is_quantized_is_not_quantized_again():
    with pytest.raises(UsageError, match=r"quantized already \(gguf-q5_k_m\)") as caught:
        way(FOUR, "gguf-q5_k_m")
    assert "full-precision" in caught.value.hint


def test_what_is_quantized_may_be_unpacked_and_the_loss_is_said():
    route = way(SIXTEEN, "gguf-q5_k_m")
    assert names(route) == ["unpack/convert", "mlx/convert", "measure/validate"]
    assert "gguf-q5_k_m" in route.note


def test_8_bit_floats_are_what_was_published_and_may_be_quantized():
    route = way(FOUR, "fp8")
    assert names(route)[0] == "widen/convert" and "mlx/quantize" in names(route)
    assert "if the model was published in 16 bits too" in route.note


def test_adapters_are_merged_before_the_recipe_and_close_the_lossless_edge():
    assert names(way(FOUR, "pytorch", merge=2))[:3] == [
        "torch/convert",
        "lora/convert",
        "mlx/convert",
    ]
    with pytest.raises(UsageError, match="quantized already"):
        way(FOUR, "mlx-4bit", merge=1)


def test_no_way_is_an_error_that_says_from_where_to_where():
    with pytest.raises(UsageError, match="no way from unknown to safetensors"):
        way(SIXTEEN, "unknown")


@pytest.mark.parametrize(
    ("facts", "format_"),
    [
        ({"format": "safetensors", "method": None}, "safetensors"),
        ({"format": "mlx", "method": None}, "mlx"),
        ({"format": "mlx", "method": {"method": "mlx", "bits": 4}}, "mlx-4bit"),
        ({"format": "mlx", "method": {"method": "mlx-mxfp4", "bits": 4}}, "mlx-mxfp4"),
        ({"format": "gguf", "quantization": "BF16"}, "gguf"),
        ({"format": "gguf", "quantization": "FP16"}, "gguf"),
        ({"format": "gguf", "quantization": "FP32"}, "gguf"),
        ({"format": "gguf", "quantization": "Q4_K_M"}, "gguf-q4_k_m"),
        ({"format": "quantized", "method": {"method": "gptq", "bits": 4}}, "gptq-4bit"),
        (
            {"format": "quantized", "method": {"method": "gptq", "bits": 4, "desc_act": True}},
            "gptq-4bit-act",
        ),
        ({"format": "quantized", "method": {"method": "bnb-nf4", "bits": 4}}, "bnb-nf4"),
        ({"format": "quantized", "method": {"method": "fp8", "bits": 8}}, "fp8"),
        ({"format": "pytorch"}, "pytorch"),
    ],
)
def test_a_plan_s_formats_say_what_is_quantized(facts, format_):
    assert planned_format(facts) == format_
