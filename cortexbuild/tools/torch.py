"""PyTorch's pickled weights (.bin, .pth) to safetensors, bit for bit, without running any of them.

`torch.load(weights_only=True)` builds tensors and containers only; what a file names beyond these
is refused. Each input file becomes one output file, and other files are copied as they are.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.needs import MIB, holding
from ..core.params import Params
from ..core.ports import Run, Tool
from ..core.step import Kind
from ..errors import OTHER_PUBLICATION, ToolError
from ..formats.files import Weights, weights
from ..formats.foreign import shown
from ..formats.listing import local_files, read_object
from ..formats.safetensors.header import DTYPE_BITS, write_header
from ..formats.shards import check_shards

if TYPE_CHECKING:
    import torch

HINT = "pip install 'cortexbuild[torch]'"
ZIP = b"PK\x03\x04"
DAMAGED = (RuntimeError, OSError, EOFError, LookupError, ValueError, TypeError, AttributeError)
"""What `torch.load` raises for bytes that are not its own."""

DTYPES: Mapping[str, str] = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16",
    "uint32": "U32", "int32": "I32", "uint64": "U64", "int64": "I64", "float16": "F16",
    "bfloat16": "BF16", "float32": "F32", "float64": "F64", "complex64": "C64",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e8m0fnu": "F8_E8M0",
    "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ",
}  # fmt: skip
"""What safetensors calls PyTorch's dtypes."""


class ConvertParams(Params):
    """There is nothing to set: every tensor stays as it is."""


def convert(run: Run, params: ConvertParams) -> None:  # noqa: ARG001
    source = run.inputs["model"]
    files = local_files(source)
    found = _weights(files.sizes)
    check_shards(found.files)
    total, done = sum(files.sizes[path] for path in found.files), 0
    places: dict[str, str] = {}
    size = 0
    for path in found.files:
        tensors, name = _read(source / path), _new_name(path, found)
        for tensor in tensors:
            if tensor in places:
                raise ToolError(
                    f"{path}: {shown(tensor)} is in another file too", hint=OTHER_PUBLICATION
                )
            places[tensor] = name
        size += write_tensors(run.out / name, tensors)
        done += files.sizes[path]
        run.progress(done, total)
    if found.index or len(found.files) > 1:
        table = (read_object(files, found.index) or {}) if found.index else {}
        _write_index(run.out, table, places, size)
    copy_others(run, {*found.files, *([found.index] if found.index else [])})


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> int:
    """Write a safetensors file tensor by tensor, and return the bytes of all of them.

    Tensors that share memory, as tied weights do, are each written whole.
    """
    import torch

    # The order of the safetensors library: wide dtypes first, so that all places are aligned.
    names = sorted(tensors, key=lambda name: (-DTYPE_BITS[_dtype(name, tensors[name])], name))
    entries = [(name, _dtype(name, tensors[name]), tuple(tensors[name].shape)) for name in names]
    path.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with path.open("wb") as stream:
        stream.write(write_header(entries, {"format": "pt"}))
        for name in names:
            flat = tensors[name].detach().contiguous().reshape(-1).view(torch.uint8)
            size += stream.write(flat.numpy().data)
    return size


def copy_others(run: Run, left: set[str]) -> None:
    """Copy all files of the model, byte for byte, but for those in `left`."""
    source = run.inputs["model"]
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source)
        if path.is_file() and name.as_posix() not in left:
            (run.out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, run.out / name)


def versions(*names: str) -> Mapping[str, str]:
    """The versions of installed libraries; raises ToolError when one is missing."""
    try:
        # Builds of one version for other processors (`2.13.0+cpu`) are one version here.
        return {name: version(name).partition("+")[0] for name in names}
    except PackageNotFoundError as error:
        raise ToolError(f"{error.name} is not installed", hint=HINT) from error


def engine() -> Mapping[str, str]:
    return versions("torch")


def _weights(sizes: Mapping[str, int]) -> Weights:
    found = weights(sizes)
    if found is not None and found.format == "pytorch":
        return found
    lone = [path for path in sizes if path.endswith((".bin", ".pth", ".pt"))]
    if found is None and len(lone) == 1:
        return Weights("pytorch", (lone[0],))
    raise ToolError(
        "there are no PyTorch weights among these files",
        hint="name a folder or a repository with weights as the source",
    )


def _new_name(path: str, found: Weights) -> str:
    """What transformers calls it: `pytorch_model-00001-of-00002.bin` loses its `pytorch_`."""
    if len(found.files) == 1:
        return "model.safetensors"
    old = Path(path)
    name = re.sub(r"^pytorch_model", "model", old.stem)
    return old.with_name(f"{name}.safetensors").as_posix()


def _read(path: Path) -> dict[str, torch.Tensor]:
    import torch

    with path.open("rb") as stream:
        is_zip = stream.read(len(ZIP)) == ZIP  # files of before PyTorch 1.6 cannot be mapped
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    # PyTorch's own name for it, since nothing here unpickles.
    except torch.serialization.pickle.UnpicklingError as error:
        raise _refused(path.name, str(error)) from error
    except DAMAGED as error:
        what = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ToolError(
            f"{path.name}: not a file of PyTorch weights, or a damaged one ({what})",
            hint="fetch the model again",
        ) from error
    if not isinstance(state, dict):
        raise ToolError(
            f"{path.name}: it holds no table of weights",
            hint="name the file with the weights alone: a state dict, as `torch.save` writes it",
        )
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise ToolError(
                f"{path.name}: {shown(str(name))} is not a tensor but {type(value).__name__}",
                hint="convert a file that holds the weights of a model and nothing else",
            )
    return state


def _refused(name: str, said: str) -> ToolError:
    found = re.search(r"GLOBAL ([\w.]+)", said)
    named = f" (it names `{found[1]}`)" if found else ""
    return ToolError(
        f"{name}: loading it could run code{named}, so it was refused; none of it ran",
        hint="ask its author for safetensors",
    )


def _dtype(name: str, tensor: torch.Tensor) -> str:
    import torch

    known = DTYPES.get(str(tensor.dtype).removeprefix("torch."))
    if known is None or tensor.layout != torch.strided or tensor.is_meta:
        kind = f"{tensor.dtype}, {tensor.layout}"
        raise ToolError(
            f"{shown(name)} cannot be kept in safetensors ({kind})", hint=OTHER_PUBLICATION
        )
    return known


def _write_index(out: Path, table: Mapping[str, Any], places: Mapping[str, str], size: int) -> None:
    listed = table.get("weight_map") or {}
    if missing := sorted(set(listed) - set(places)):
        raise ToolError(
            f"{len(missing)} tensors of the index are in none of its files; "
            f"the first is {shown(missing[0])}",
            hint="fetch the model again",
        )
    metadata = {**(table.get("metadata") or {}), "total_size": size}
    index = {"metadata": metadata, "weight_map": dict(places)}
    text = json.dumps(index, indent=2, sort_keys=True) + "\n"
    (out / "model.safetensors.index.json").write_text(text)


TOOLS = (
    Tool(
        "torch", Kind.CONVERT, ConvertParams, convert, revision=1,
        accepts=("pytorch",), makes="safetensors", wants=("facts",), engine=engine, bridge=True,
        needs=holding(300 * MIB, 1),
    ),
)  # fmt: skip
