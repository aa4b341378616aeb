"""The weights of an MLX model under their Hugging Face names, packed as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from numpy.typing import NDArray

from ...errors import FETCH_AGAIN, OTHER_PUBLICATION, IntegrityError, ToolError
from ..cards import read_card
from ..complete import check_complete, is_left_out
from ..listing import Files
from ..names.tensors import naming_of, place
from ..packing.floats import FloatName
from ..packing.mlx import Affine, dequantize
from ..quantized import Packed, mlx_group, packed
from ..rounding import in_pieces
from ..safetensors.tensors import FLOATS, Stored

_DEQUANTIZE = "dequantize it with `mlx_lm.convert --dequantize`"


@dataclass(frozen=True, slots=True)
class MlxLayer:
    """One weight or bias. `shape` is that of its numbers, `dtype` theirs or that of the scales.

    `names` are its Hugging Face names: one, or those of the experts in the order of the first
    axis. `packed` is None where the numbers are plain.
    """

    name: str
    names: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: FloatName
    packed: Packed | None


def mlx_layers(
    tensors: Mapping[str, Stored], config: Mapping[str, Any], files: Files
) -> list[MlxLayer]:
    """All layers of the model in `files`, whose tensors and config.json these are.

    Raises ToolError when it is of a family whose names are not known here, is quantized in
    another mode than affine, or has a tensor too many; IntegrityError when it lacks one.
    """
    settings = read_card(files).settings
    settings = replace(settings, guessed_group=mlx_group(tensors, settings.hidden))
    stacks, layers = expert_stacks(config), []
    for name, tensor in tensors.items():
        if _is_part(name, tensors) or is_left_out(name, config):
            continue
        how = packed(name, tensors, settings)
        layers.append(_layer(name, tensor, how, tensors, stacks.get(name, (name,))))
    check_complete((name for layer in layers for name in layer.names), config)
    return layers


def read_affine(tensors: Mapping[str, Stored], layer: MlxLayer) -> Affine:
    """A packed layer, as views of the file. bfloat16 scales are copied to float32."""
    assert layer.packed is not None and layer.packed.group_size is not None
    scales, biases = (tensors[part].floats() for part in _companions(layer.name))
    weight = tensors[layer.name].numbers
    return Affine(weight, scales, biases, layer.packed.bits, layer.packed.group_size)


def affine_pieces(affine: Affine) -> Iterator[Affine]:
    """The same matrix, or stack of them, as flat matrices of some rows each."""
    weight, scales, biases = (_flat(part) for part in (affine.weight, affine.scales, affine.biases))
    for rows in in_pieces(len(weight), affine.columns):
        yield Affine(weight[rows], scales[rows], biases[rows], affine.bits, affine.group_size)


def numbers_of(
    tensors: Mapping[str, Stored], layer: MlxLayer
) -> Iterator[tuple[str, NDArray[Any]]]:
    """The numbers of a layer by Hugging Face name, some rows at a time, experts one by one.

    Packed ones come as float32; of plain ones uint16 are the bits of bfloat16.
    """
    if layer.packed is None:
        numbers = tensors[layer.name].numbers
        yield from zip(layer.names, numbers if len(layer.names) > 1 else [numbers], strict=True)
        return
    affine = read_affine(tensors, layer)
    for number, name in enumerate(layer.names):
        for piece in affine_pieces(_expert(affine, number) if len(layer.names) > 1 else affine):
            yield name, dequantize(piece)


def _expert(affine: Affine, number: int) -> Affine:
    parts = (affine.weight[number], affine.scales[number], affine.biases[number])
    return Affine(*parts, affine.bits, affine.group_size)


def _flat(part: NDArray[Any]) -> NDArray[Any]:
    return part.reshape(-1, part.shape[-1])


def _layer(
    name: str,
    tensor: Stored,
    how: Packed | None,
    tensors: Mapping[str, Stored],
    names: tuple[str, ...],
) -> MlxLayer:
    dtype, shape = tensor.dtype, tensor.shape
    if how is not None:
        scales, biases = _companions(name)
        if how.method != "mlx" or biases not in tensors:
            kind = how.method.removeprefix("mlx-")
            raise ToolError(f"`{name}` is packed as {kind}, not as affine", hint=_DEQUANTIZE)
        dtype, shape = tensors[scales].dtype, (*shape[:-1], how.values // prod(shape[:-1]))
    if dtype not in FLOATS:
        raise ToolError(
            f"`{name}` has the type {dtype}, which is not a weight's", hint=OTHER_PUBLICATION
        )
    if len(names) > 1 and shape[:1] != (len(names),):
        raise IntegrityError(f"`{name}` has {shape[0]} experts, not {len(names)}", hint=FETCH_AGAIN)
    return MlxLayer(name, names, shape, FLOATS[dtype], how)


def _companions(name: str) -> tuple[str, str]:
    module = name.removesuffix(".weight")
    return f"{module}.scales", f"{module}.biases"


def _is_part(name: str, tensors: Mapping[str, Stored]) -> bool:
    """Whether it belongs to a packed weight, and is nothing by itself."""
    module, _, leaf = name.rpartition(".")
    weight = tensors.get(f"{module}.weight")
    return leaf in ("scales", "biases") and weight is not None and weight.dtype == "U32"


def expert_stacks(config: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The Hugging Face names of the experts, by mlx-lm's name for their stack."""
    stems = [stem for stem, name in naming_of(config).layer.items() if "{expert}" in name]
    found = {}
    for layer in range(config["num_hidden_layers"] if stems else 0):
        for stem in stems:
            where = place(config, f"blk.{layer}.{stem}.weight")
            assert where.stacked is not None
            found[where.stacked] = where.names
    return found
