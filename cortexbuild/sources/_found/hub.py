"""The cache of huggingface-hub: `models--org--name` with `refs/`, `snapshots/` and `blobs/`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...formats.files import weights
from .found import Found, files_below, single_files

WHERE = "Hugging Face cache"


def hub_models(cache: Path) -> Iterator[Found]:
    """One for each repository, at the commit that its branch had when it was fetched last; and one
    for each GGUF file, of which people fetch some."""
    for folder in sorted(cache.glob("models--*--*")):
        snapshot, named = _newest(folder)
        if snapshot is None:
            continue
        repo = folder.name.removeprefix("models--").replace("--", "/", 1)
        origin = f"hf:{repo}@{snapshot.name}"
        names = files_below(snapshot)
        chosen = weights(names)
        if chosen is not None and chosen.format == "gguf":
            for name in single_files(names):
                yield Found(WHERE, f"{repo}/{name}", snapshot / name, f"{origin}/{name}", named)
        elif chosen is not None:
            yield Found(WHERE, repo, snapshot, origin, named)


def _newest(folder: Path) -> tuple[Path | None, tuple[str, ...]]:
    """What `main` was, else the snapshot that was written last; and the names that it had."""
    refs = folder / "refs"
    commits = {name: _read(refs / name) for name in files_below(refs)}
    snapshots = [path for path in folder.glob("snapshots/*") if path.is_dir()]
    if not snapshots:
        return None, ()
    main = [path for path in snapshots if path.name == commits.get("main")]
    newest = (main or sorted(snapshots, key=lambda path: path.stat().st_mtime))[-1]
    names = [name for name, commit in commits.items() if commit == newest.name]
    return newest, (f"`{', '.join(names)}` when it was fetched",) if names else ()


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
