"""The cache of huggingface_hub: transformers, vLLM and mlx-lm find a model there by `org/name`.

Nobody gave our commit a name, so it has that of the content: the first 40 digits of its digest.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from pathlib import Path

from ..core.digest import Digest, File, Tree
from ..errors import StoreError
from ..store import disk
from ..store.local import LocalStore
from . import Given, How, Neighbour, Package
from .names import default_name, split_name
from .placing import appearing, give_file, give_text, sweep


def root() -> Path:
    """As huggingface_hub finds it."""
    if hub := os.environ.get("HF_HUB_CACHE"):
        return Path(hub).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{cache}/huggingface"
    return Path(home).expanduser() / "hub"


def give(store: LocalStore, package: Package, root: Path, name: str, how: How) -> Given:
    """Blobs, then the snapshot that shows them, then the reference to it."""
    org, model = split_name(name)
    repo = root / f"models--{org}--{model}"
    texts = {
        path: File(path, Digest(hashlib.sha256(text).hexdigest()), len(text))
        for path, text in package.texts.items()
    }
    files = {path: File(path, f.digest, f.size) for path, f in package.files.items()}
    commit = Tree.of([*files.values(), *texts.values()]).digest[:40]
    reference, snapshot = repo / "refs" / "main", repo / "snapshots" / commit
    before = reference.read_text() if reference.exists() else ""
    if before not in ("", commit) and not how.replace:
        raise StoreError(
            f"{name} is in {root} at another commit ({before[:12]})",
            hint="`--replace` makes this one its `main`, or choose another name with `--name`",
        )
    came: Counter[str] = Counter()
    for file in files.values():
        came[give_file(store, file, repo / "blobs" / file.digest, how)] += file.size
    for path, file in texts.items():
        give_text(package.texts[path], repo / "blobs" / file.digest)
    _show(repo, snapshot, [*files.values(), *texts.values()])
    give_text(commit.encode(), reference)
    use = f'AutoModelForCausalLM.from_pretrained("{name}", local_files_only=True)'
    return Given(name, snapshot, came, use=use if package.format != "gguf" else "")


def _show(repo: Path, snapshot: Path, files: list[File]) -> None:
    """Links to the blobs, all at once."""
    if snapshot.exists():
        sweep(snapshot)
        return
    with appearing(snapshot) as draft:
        for file in files:
            link = draft / file.path
            disk.make_folder(link.parent)
            shown = os.path.relpath(repo / "blobs" / file.digest, snapshot / Path(file.path).parent)
            disk.symlink(shown, link)
            disk.fsync_folder(link.parent)


NEIGHBOUR = Neighbour("hf-cache", root, default_name, give)
