"""Runs what the tools of tests/plugin make, so that pages can be followed without an engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cortexbuild.core.ports import Runtime, Sampling, Server


class TextModel:
    def __init__(self, text: str) -> None:
        self._text = text

    def generate(self, prompt: str, sampling: Sampling) -> Iterator[str]:
        yield from self._text[: sampling.max_tokens]

    def encode(self, text: str, *, whole: bool = True) -> list[int]:
        return list(text.encode())


def load(path: Path) -> TextModel:
    return TextModel((path / "model.txt").read_text())


def server(path: Path, target: str, host: str, port: int) -> Server:
    return Server("one_answer", (host, str(port)), "default_model", (), "")


RUNTIME = Runtime(("text",), load, server)
