"""Models of Cortex under its home: downloads, conversions, and what is its user's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...formats.files import weights
from .found import Found, files_below, single_files

WHERE = "Cortex"
FOLDERS = ("models", "mlx_models", "quantized_models", "gguf_models")
VIEWS = "build"
"""Where cortexbuild keeps what its own views, in the same folders, lead to."""


def cortex_models(home: Path) -> Iterator[Found]:
    """One for each folder of weights and each GGUF file that cortexbuild has not built itself."""
    store = (home / VIEWS).resolve()
    for folder in FOLDERS:
        for place in sorted((home / folder).glob("*")):
            if place.resolve().is_relative_to(store) or place.name.startswith("."):
                continue
            yield from models_in(place, f"{folder}/{place.name}")


def models_in(place: Path, name: str, where: str = WHERE) -> Iterator[Found]:
    """The model that a folder or file is; of GGUF files, each."""
    if place.is_file():
        if single_files([place.name]):
            yield Found(where, name, place, f"path:{place}")
        return
    names = files_below(place)
    chosen = weights(names)
    if chosen is not None and chosen.format == "gguf":
        for file in single_files(names):
            yield Found(where, f"{name}/{file}", place / file, f"path:{place / file}")
    elif chosen is not None:
        owner, dashes, rest = place.name.partition("--")  # as Cortex names what it downloads
        guess = (f"if it is from there: hf:{owner}/{rest}",) if dashes else ()
        tuned = ("fine-tuned here: nobody else has it",) if "fine_tuned.marker" in names else ()
        yield Found(where, name, place, f"path:{place}", tuned or guess)
