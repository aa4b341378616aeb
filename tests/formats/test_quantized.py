from __future__ import annotations

import io
import json
import math
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from checkpoints import (
    INPUTS,
    MODULE,
    OUTPUTS,
    Shapes,
    awq,
    bnb4,
    bnb8,
    compressed,
    fp8,
    gptq,
    mlx,
    mxfp4,
    plain,
    torchao,
    write_json,
    write_model,
    write_safetensors,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from cortexbuild.core.digest import canonical
from cortexbuild.errors import IntegrityError
from cortexbuild.formats.counting import survey
from cortexbuild.formats.detection import detect, detect_files
from cortexbuild.formats.facts import Method
from cortexbuild.formats.listing import LocalFiles, local_files
from cortexbuild.formats.npz import Array
from cortexbuild.formats.safetensors.header import read_header
from cortexbuild.formats.settings import settings_of

VALUES = INPUTS * OUTPUTS
Config = dict[str, Any]
CONFIG: Config = {"model_type": "llama", "hidden_size": INPUTS, "max_position_embeddings": 512}


def said(**found: Any) -> Config:
    return {**CONFIG, "quantization_config": found}


METHODS: dict[str, tuple[Shapes, Config, str, Method]] = {
    "gptq": (
        gptq(),
        said(quant_method="gptq", bits=4, group_size=32, sym=True, desc_act=False),
        "gptq",
        Method("gptq", 4, 32, True, False),
    ),
    "gptq of 3 bits": (
        gptq(bits=3, group=64),
        said(quant_method="gptq", bits=3, group_size=64, desc_act=True),
        "gptq",
        Method("gptq", 3, 64, None, True),
    ),
    "gptq of 8 bits in one group": (
        gptq(bits=8, group=INPUTS),
        said(quant_method="gptq", bits=8, group_size=-1),
        "gptq",
        Method("gptq", 8, None),
    ),
    "awq": (
        awq(),
        said(quant_method="awq", bits=4, group_size=32, zero_point=True),
        "awq",
        Method("awq", 4, 32, False),
    ),
    "bitsandbytes nf4": (
        bnb4(),
        said(quant_method="bitsandbytes", load_in_4bit=True),
        "bnb-nf4",
        Method("bnb-nf4", 4, 64),
    ),
    "bitsandbytes fp4": (
        bnb4("fp4"),
        said(quant_method="bitsandbytes", load_in_4bit=True),
        "bnb-fp4",
        Method("bnb-fp4", 4, 64),
    ),
    "bitsandbytes int8": (
        bnb8(),
        said(quant_method="bitsandbytes", load_in_8bit=True),
        "bnb-int8",
        Method("bnb-int8", 8),
    ),
    "fp8 in blocks": (fp8(), said(quant_method="fp8"), "fp8", Method("fp8", 8)),
    "fp8 in rows": (fp8("weight_scale"), said(quant_method="fp8"), "fp8", Method("fp8", 8)),
    "compressed-tensors": (
        compressed(),
        said(
            quant_method="compressed-tensors",
            config_groups={"group_0": {"weights": {"num_bits": 4, "group_size": 32}}},
        ),
        "compressed-tensors",
        Method("compressed-tensors", 4, 32),
    ),
    "compressed-tensors in fp8": (
        fp8("weight_scale"),
        said(
            quant_method="compressed-tensors",
            config_groups={"group_0": {"weights": {"num_bits": 8, "symmetric": True}}},
        ),
        "compressed-tensors",
        Method("compressed-tensors", 8, None, True),
    ),
    "torchao int8": (
        torchao(),
        said(quant_method="torchao", quant_type={"default": {"_type": "Int8WeightOnlyConfig"}}),
        "int8",
        Method("torchao", 8),
    ),
}


@pytest.mark.parametrize("case", METHODS)
def test_s9_quantizations_are_told_apart_by_headers(case: str, tmp_path: Path) -> None:
    shapes, config, quantization, method = METHODS[case]
    facts = detect(write_model(tmp_path / "m", shapes, config))
    assert (facts.format, facts.quantization) == ("quantized", quantization)
    assert facts.method == method
    assert facts.parameters == VALUES
    assert facts.warnings == ()


def test_s9_mxfp4_of_experts_is_recognised(tmp_path: Path) -> None:
    facts = detect(write_model(tmp_path / "m", mxfp4(), said(quant_method="mxfp4")))
    assert (facts.format, facts.quantization) == ("quantized", "mxfp4")
    assert facts.parameters == 2 * OUTPUTS * INPUTS + 2 * OUTPUTS


@pytest.mark.parametrize(
    "shapes, quantization",
    [
        (gptq(), "gptq"),
        (awq(), "awq"),
        (bnb4(), "bnb-nf4"),
        (bnb8(), "bnb-int8"),
        (fp8(), "fp8"),
        (compressed(), "compressed-tensors"),
        (mxfp4(), "mxfp4"),
        (torchao(), "int8"),
    ],
)
def test_s9_shapes_alone_are_enough(shapes: Shapes, quantization: str, tmp_path: Path) -> None:
    facts = detect(write_safetensors(tmp_path / "odd.safetensors", shapes))
    assert (facts.format, facts.quantization, facts.warnings) == ("quantized", quantization, ())


def test_s9_no_tensor_is_read(tmp_path: Path) -> None:
    class Watched(io.BufferedReader):
        def read(self, size: int | None = -1, /) -> bytes:
            read.append(found := super().read(size))
            return found

    class WatchedFiles(LocalFiles):
        def open(self, path: str) -> BinaryIO:
            return Watched(io.FileIO(self.root / path))

    read: list[bytes] = []
    many = {f"model.layers.{number}.w.weight": ("BF16", (8192, 8192)) for number in range(100)}
    folder = write_model(tmp_path / "huge", many, CONFIG)
    files = local_files(folder)
    facts = detect_files(WatchedFiles(files.root, files.sizes), "huge")
    assert facts.parameters == 100 * 8192**2
    header = read_header(folder / "model.safetensors").size
    assert sum(map(len, read)) == header + (folder / "config.json").stat().st_size


def test_the_files_that_the_first_gptq_and_awq_tools_wrote_are_read(tmp_path: Path) -> None:
    old = write_model(tmp_path / "gptq", gptq(), CONFIG)
    write_json(old / "quantize_config.json", {"bits": 4, "group_size": 32, "desc_act": True})
    assert detect(old).method == Method("gptq", 4, 32, None, True)
    old = write_model(tmp_path / "awq", awq(), CONFIG)
    write_json(old / "quant_config.json", {"w_bit": 4, "q_group_size": 32, "zero_point": True})
    assert detect(old).method == Method("awq", 4, 32, False)


def test_tensors_are_believed_more_than_the_config(tmp_path: Path) -> None:
    facts = detect(write_model(tmp_path / "a", awq(), said(quant_method="gptq", bits=4)))
    assert (facts.quantization, facts.format) == ("awq", "quantized")
    assert facts.warnings == ("config.json says gptq, but the tensors are awq",)
    facts = detect(write_model(tmp_path / "b", plain(), said(quant_method="gptq", bits=4)))
    assert (facts.quantization, facts.format) == ("none", "safetensors")
    assert facts.warnings == ("config.json says gptq, but no tensor is quantized",)


def test_a_packing_we_do_not_know_is_named_after_the_config(tmp_path: Path) -> None:
    shapes = {f"{MODULE}.codes": ("I16", (9, 9))}
    facts = detect(write_model(tmp_path / "m", shapes, said(quant_method="AQLM")))
    assert (facts.format, facts.quantization, facts.parameters) == ("quantized", "aqlm", None)


def test_scales_that_fit_nothing_are_refused(tmp_path: Path) -> None:
    shapes = dict(mlx(bits=4, group=32))
    shapes[f"{MODULE}.scales"] = shapes[f"{MODULE}.biases"] = ("BF16", (OUTPUTS, 7))
    config = {**CONFIG, "quantization": {"group_size": 32, "bits": 4}}
    with pytest.raises(IntegrityError, match="do not fit groups of 32"):
        detect(write_model(tmp_path / "m", shapes, config))
    lonely = {f"{MODULE}.qweight": ("I32", (4, 4))}
    with pytest.raises(IntegrityError, match="without the `scales`"):
        detect(write_model(tmp_path / "n", lonely, CONFIG))


@pytest.fixture(scope="module")
def weights() -> dict[str, Any]:
    """A tiny model's weights, full and plain."""
    mx = pytest.importorskip("mlx.core")
    shapes = {
        "model.embed_tokens": (64, INPUTS),
        "model.layers.0.self_attn.q_proj": (INPUTS, INPUTS),
        "model.layers.0.mlp.up_proj": (OUTPUTS * 4, INPUTS),
        "model.layers.0.mlp.down_proj": (INPUTS, OUTPUTS * 4),
        "model.layers.0.input_layernorm": (INPUTS,),
        "model.norm": (INPUTS,),
    }
    return {name: mx.random.normal(shape).astype(mx.bfloat16) for name, shape in shapes.items()}


def count(weights: dict[str, Any]) -> int:
    return sum(math.prod(array.shape) for array in weights.values())


def quantized(weights: dict[str, Any], choose: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    import mlx.core as mx

    out = {}
    for name, array in weights.items():
        if array.ndim == 1:
            out[f"{name}.weight"] = array
            continue
        packed, *side = mx.quantize(array, **choose(name))
        out[f"{name}.weight"] = packed
        out |= {f"{name}.{part}": a for part, a in zip(("scales", "biases"), side, strict=False)}
    return out


def save_mlx(folder: Path, arrays: dict[str, Any], config: Config | None) -> Path:
    import mlx.core as mx

    folder.mkdir(parents=True)
    mx.save_safetensors(str(folder / "model.safetensors"), arrays, metadata={"format": "mlx"})
    if config is not None:
        write_json(folder / "config.json", config)
    return folder


@pytest.mark.parametrize("group", [32, 64, 128])
@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 8])
def test_s10_parameters_are_exact_for_every_mlx_width(
    bits: int, group: int, weights: dict[str, Any], tmp_path: Path
) -> None:
    arrays = quantized(weights, lambda _: {"bits": bits, "group_size": group})
    widths = {"bits": bits, "group_size": group}
    name = {4: "int4", 8: "int8"}.get(bits, f"mlx-{bits}bit")
    for number, config in enumerate(({**CONFIG, "quantization": widths}, CONFIG, None)):
        facts = detect(save_mlx(tmp_path / str(number), arrays, config))
        assert (facts.format, facts.quantization) == ("mlx", name)
        assert facts.method == Method("mlx", bits, group)
        assert facts.parameters == count(weights)
        assert facts.warnings == ()


@pytest.mark.parametrize(
    "mode, bits, group", [("mxfp4", 4, 32), ("nvfp4", 4, 16), ("mxfp8", 8, 32)]
)
def test_s10_parameters_are_exact_for_mlx_floats(
    mode: str, bits: int, group: int, weights: dict[str, Any], tmp_path: Path
) -> None:
    how = {"bits": bits, "group_size": group, "mode": mode}
    arrays = quantized(weights, lambda _: how)
    facts = detect(save_mlx(tmp_path / "m", arrays, {**CONFIG, "quantization": how}))
    assert (facts.format, facts.quantization, facts.warnings) == ("mlx", mode, ())
    assert facts.parameters == count(weights)


def test_s10_parameters_are_exact_when_layers_differ(
    weights: dict[str, Any], tmp_path: Path
) -> None:
    own = {"model.layers.0.mlp.down_proj": {"bits": 6, "group_size": 128}}
    rest = {"bits": 4, "group_size": 64}
    arrays = quantized(weights, lambda name: own.get(name, rest))
    facts = detect(save_mlx(tmp_path / "m", arrays, {**CONFIG, "quantization": {**rest, **own}}))
    assert facts.parameters == count(weights)


def test_mlx_without_quantization_is_mlx(weights: dict[str, Any], tmp_path: Path) -> None:
    arrays = {f"{name}.weight": array for name, array in weights.items()}
    facts = detect(save_mlx(tmp_path / "m", arrays, CONFIG))
    assert (facts.format, facts.quantization, facts.method) == ("mlx", "none", None)
    assert facts.reason == "the safetensors metadata says `format: mlx`"
    assert facts.parameters == count(weights)


def test_mlx_that_quantized_nothing_is_told(tmp_path: Path) -> None:
    config = {**CONFIG, "quantization": {"bits": 4, "group_size": 64}}
    facts = detect(write_model(tmp_path / "m", plain(), config))
    assert (facts.format, facts.quantization) == ("mlx", "none")
    assert facts.warnings == ("config.json says mlx, but no tensor is quantized",)


def test_weights_npz_is_mlx_with_and_without_a_config(
    weights: dict[str, Any], tmp_path: Path
) -> None:
    import mlx.core as mx

    arrays = quantized(weights, lambda _: {"bits": 4, "group_size": 64})
    mx.savez(str(tmp_path / "weights.npz"), **arrays)
    facts = detect(tmp_path)
    assert (facts.format, facts.quantization) == ("mlx", "int4")
    assert facts.parameters == count(weights)
    assert facts.warnings == ("there is no config.json beside the weights",)
    write_json(tmp_path / "config.json", {**CONFIG, "quantization": {"bits": 4, "group_size": 64}})
    assert detect(tmp_path).warnings == ()
    assert detect(tmp_path / "weights.npz").format == "mlx"


def test_a_damaged_npz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(IntegrityError, match="not an .npz file"):
        detect(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 70000)
    with pytest.raises(IntegrityError, match="`a.npy` is not an array"):
        detect(path)
    np.savez(path, a=np.zeros(3, "datetime64[s]"))
    with pytest.raises(IntegrityError, match="unknown type"):
        detect(path)


def test_an_npz_that_promises_a_huge_header_takes_little_memory(tmp_path: Path) -> None:
    import tracemalloc

    with zipfile.ZipFile(tmp_path / "weights.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        start = b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**26)
        archive.writestr("a.npy", start + bytes(2**26))
    tracemalloc.start()
    with pytest.raises(IntegrityError):
        detect(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_facts_are_plain_and_name_no_place(tmp_path: Path) -> None:
    for shapes, config, _, _ in METHODS.values():
        plain_facts = detect(write_model(tmp_path / "m", shapes, config)).to_plain()
        assert str(tmp_path) not in canonical(plain_facts).decode()
        assert json.loads(json.dumps(plain_facts)) == plain_facts


ALL: Shapes = {
    **gptq(),
    **awq(module="a"),
    **mlx(module="m"),
    **bnb4(module="b"),
    **bnb8("c"),
    **fp8(module="f"),
    **compressed("d"),
    **mxfp4("e"),
    **torchao("g"),
}
SIZES = st.lists(st.integers(0, 9) | st.sampled_from([32, 128, 2**40]), max_size=3).map(tuple)
DTYPES = st.sampled_from(["U32", "I32", "U8", "I8", "F8_E4M3", "F16", "BOOL"])
JUNK = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.integers())
SAID = st.dictionaries(
    st.sampled_from(["bits", "group_size", "quant_method", "m", "mode", "config_groups", "sym"])
    | st.just("quant_type"),
    JUNK | st.sampled_from(["gptq", "compressed-tensors"]) | st.dictionaries(st.text(), JUNK),
)


@settings(deadline=1000, max_examples=400)
@given(
    st.dictionaries(st.sampled_from(sorted(ALL)), st.builds(Array, DTYPES, SIZES)),
    st.sampled_from(["quantization", "quantization_config"]),
    SAID,
)
def test_hostile_shapes_and_settings_are_counted_or_refused(
    changed: dict[str, Array], key: str, found: Config
) -> None:
    tensors = {name: Array(*form) for name, form in ALL.items()} | changed
    try:
        counted = survey(tensors, settings_of({key: found}, {}, {}), tied=False)
    except IntegrityError as error:
        assert error.hint
    else:
        assert counted.parameters is None or counted.parameters >= 0
        canonical(counted.method.to_plain() if counted.method else None)
