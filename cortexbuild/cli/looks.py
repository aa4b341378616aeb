"""What files were seen to be, remembered in the index of the store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ..core.digest import Digest, Plain, Tree
from ..formats.files import CARD
from ..store.hashing import sums_of
from ..store.index import Index
from ..version import VERSION


class IndexedLooks:
    """Looks at files by way of the index: what did not change is not read again."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def sum_of(self, path: Path) -> tuple[Digest, int]:
        stat = path.stat()
        name = str(path.resolve())
        seen = f"{stat.st_size},{stat.st_mtime_ns},{stat.st_ctime_ns},{stat.st_ino}"
        known = self._index.file(name, seen)
        if known is None:
            sums = sums_of(path)
            known = sums.sha256, sums.size
            changed = max(stat.st_mtime_ns, stat.st_ctime_ns)
            self._index.keep_file(name, seen, changed, *known)
        return known

    def facts_of(self, place: Path, tree: Tree) -> Mapping[str, Plain]:
        card = place / CARD
        # No file of the model, and so not in its tree; but it is where a licence stands.
        said = self.sum_of(card)[0] if card.is_file() else ""
        name = f"facts/{VERSION}/{tree.digest}/{said}"
        known = self._index.note(name)
        if known is None:
            from ..formats.detection import detect

            known = json.dumps({**detect(place).to_plain(), "name": ""})
            self._index.keep_note(name, known)
        facts: Mapping[str, Plain] = json.loads(known)
        return facts
