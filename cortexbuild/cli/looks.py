"""What files were seen to be, remembered in the index of the store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from ..core.digest import Digest, Plain, Tree
from ..formats.files import CARD
from ..store.hashing import sums_of
from ..store.index import Index
from ..store.looking import text_of
from ..store.together import together
from ..version import VERSION


class IndexedLooks:
    """Looks at files by way of the index: what did not change is not read again."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def sum_of(self, path: Path) -> tuple[Digest, int]:
        (found,) = self.sums_of([path])
        return found

    def sums_of(self, paths: Sequence[Path]) -> Sequence[tuple[Digest, int]]:
        seen = {path: (str(path.resolve()), path.stat()) for path in paths}
        known = {
            path: row
            for path, (name, stat) in seen.items()
            if (row := self._index.file(name, text_of(stat))) is not None
        }
        new = [path for path in seen if path not in known]
        with closing(together(sums_of, new)) as read:
            for path, found in zip(new, read, strict=True):
                known[path] = found.sha256, found.size
                name, stat = seen[path]
                changed = max(stat.st_mtime_ns, stat.st_ctime_ns)
                self._index.keep_file(name, text_of(stat), changed, found.sha256, found.size)
        return [known[path] for path in paths]

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
