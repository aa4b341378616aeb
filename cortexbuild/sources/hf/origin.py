"""What `hf:org/name@revision/file.gguf` says."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...errors import UsageError

_FORM = re.compile(
    r"hf:(?P<repo>[\w.-]+/[\w.-]+?)"
    r"(@(?P<revision>refs/pr/\d+|[^/@]+))?"
    r"(/(?P<file>[^@]+))?"
)


@dataclass(frozen=True, slots=True)
class Origin:
    """A repository of models, at a branch, a tag or a commit; and one file of it, or all."""

    repo: str
    revision: str = "main"
    file: str = ""

    @classmethod
    def parse(cls, text: str) -> Origin:
        found = _FORM.fullmatch(text)
        if found is None:
            raise UsageError(
                f"`{text}` names no repository of the Hub",
                hint="it is written `hf:org/name`, `hf:org/name@revision` or "
                "`hf:org/name@revision/file.gguf`",
            )
        return cls(found["repo"], found["revision"] or "main", found["file"] or "")
