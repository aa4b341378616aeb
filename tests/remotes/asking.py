"""What remotes are asked with: a name, a file of some size, and nobody who watches."""

from __future__ import annotations

from pathlib import Path

NAME = "ab" * 32


def source(tmp_path: Path, size: int = 5) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"x" * size)
    return path


def unseen(*_: object) -> None:
    """For what tells of its progress."""
