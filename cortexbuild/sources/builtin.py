"""What ships with cortexbuild itself: `builtin:evaluation`, a short text to try models on, and
`builtin:calibration`, a longer one of code and prose to measure what quantization costs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..core.digest import File, Tree
from ..core.lock import Pinned
from ..core.ports import Delivery, Looks, Source
from ..errors import UsageError

TEXTS = {
    name: Path(__file__).parent.parent / "quality" / f"{name}.txt"
    for name in ("evaluation", "calibration")
}


def pin(origin: str, root: Path, looks: Looks) -> Pinned:
    del root  # nothing of ours is relative to the project
    digest, size = looks.sum_of(_path(origin))
    return Pinned(origin, Tree.of([File(_path(origin).name, digest, size)]), {"format": "unknown"})


def fetch(pinned: Pinned, root: Path, delivery: Delivery) -> None:
    del root
    delivery.copy({pinned.tree.files[0].path: _path(pinned.origin)})


def has(pinned: Pinned, root: Path, looks: Looks) -> bool:
    """Another version may have had another text."""
    del root
    name = pinned.origin.removeprefix("builtin:")
    return name in TEXTS and looks.sum_of(TEXTS[name])[0] == pinned.tree.files[0].digest


def places(origin: str, root: Path) -> Iterable[Path]:
    del root
    return (_path(origin),)


def _path(origin: str) -> Path:
    name = origin.removeprefix("builtin:")
    if name not in TEXTS:
        raise UsageError(f"no `{origin}`", hint=f"one of {', '.join(TEXTS)}")
    return TEXTS[name]


SOURCE = Source("builtin", pin, fetch, local=True, has=has, places=places)
