"""Which files of llama.cpp its converter is made of."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

SCRIPT = "convert_hf_to_gguf.py"
NEEDED = (SCRIPT, "conversion/__init__.py", "gguf-py/gguf/__init__.py")

_PATTERNS = (
    SCRIPT,
    "LICENSE",
    "conversion/*.py",
    "gguf-py/LICENSE",
    "gguf-py/gguf/*.py",
    "models/templates/*.jinja",  # given to models that come without a chat template
)


def is_part(path: str) -> bool:
    """Whether a file is one of the converter's, by its path within llama.cpp."""
    parts = PurePosixPath(path).parts
    return any(
        len(parts) == len(PurePosixPath(pattern).parts) and PurePosixPath(path).match(pattern)
        for pattern in _PATTERNS
    )


def parts_of(folder: Path) -> list[str]:
    """The converter's files in a folder, sorted; empty when it is not whole."""
    if not all((folder / path).is_file() for path in NEEDED):
        return []
    found = {path for pattern in _PATTERNS for path in folder.glob(pattern) if path.is_file()}
    return sorted(path.relative_to(folder).as_posix() for path in found)
