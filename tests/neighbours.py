"""What other programs keep on a machine, in the folders and forms that they keep it in."""

from __future__ import annotations

import json
import os
from pathlib import Path

DIGEST = "0123456789abcdef" * 4
"""That of the one blob that such an Ollama has."""


def put(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def put_in_hub(cache: Path, repo: str, commit: str, files: dict[str, bytes], ref: str) -> None:
    """As huggingface-hub does: links to blobs, and the commit under the name of its branch."""
    folder = cache / f"models--{repo.replace('/', '--')}"
    for number, (name, content) in enumerate(files.items()):
        put(folder / "blobs", {f"{commit}{number}": content})
        link = folder / "snapshots" / commit / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(folder / "blobs" / f"{commit}{number}", link.parent))
    put(folder / "refs", {ref: commit.encode()})


def put_in_ollama(home: Path, name: str, blob: bytes | None, **layers: str) -> None:
    if blob is not None:
        put(home / "blobs", {f"sha256-{DIGEST}": blob})
    kinds = {"model": f"sha256:{DIGEST}", **layers}
    rows = [
        {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": digest, "size": 1}
        for kind, digest in kinds.items()
    ]
    put(home / "manifests", {name: json.dumps({"layers": rows}).encode()})
