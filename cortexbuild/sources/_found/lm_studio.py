"""LM Studio's models: `PUBLISHER/REPOSITORY/`, mostly named as on the Hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...formats.files import weights
from .found import Found, files_below, single_files

WHERE = "LM Studio"


def lm_studio_models(home: Path) -> Iterator[Found]:
    """One for each folder of MLX or other weights, and for each GGUF file."""
    for folder in sorted(home.glob("*/*")):
        if not folder.is_dir():
            continue
        repo = folder.relative_to(home).as_posix()
        names = files_below(folder)
        chosen = weights(names)
        if chosen is not None and chosen.format == "gguf":
            for name in single_files(names):
                place, guess = folder / name, f"if it is from there: hf:{repo}/{name}"
                yield Found(WHERE, f"{repo}/{name}", place, f"path:{place}", (guess,))
        elif chosen is not None:
            guess = f"if it is from there: hf:{repo}"
            yield Found(WHERE, repo, folder, f"path:{folder}", (guess,))
