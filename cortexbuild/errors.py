"""Every error cortexbuild raises on purpose, and the exit code it ends with.

CortexError
├── UsageError       2   what the user wrote is wrong
│   ├── ManifestError    cortex.yaml or a recipe, at file:line:column
│   └── LockError        cortex.lock is missing, unreadable, or lacks what the plan needs
├── DriftError       3   a check found that something is not as the lock or the manifest says
├── RemoteError      5   another machine could not be reached, or would not give what was asked
├── IntegrityError   6   bytes are not what their name says
├── BusyError        4   a lock was not obtained
├── ToolError        1   a tool, source or runtime is missing or cannot do what was asked
├── StoreError       1   the store cannot be read or written
└── BuildFailed      1   steps ran and failed, or a judgement was bad; carries each failure

130 is an interrupt, 70 a bug of ours.
"""

from __future__ import annotations

from collections.abc import Mapping

from .redaction import redacted

# Hints that many errors share. Each says what to do, and so does that of any other error.
REPORT = "this is not your mistake: please report it, with the step's log"
MANIFEST_FORM = "docs/reference/cortex-yaml.md says what may stand here"
FETCH_AGAIN = "the file is damaged or is something else; fetch it again"
OTHER_PUBLICATION = "take another publication of the model, with 16 bits in safetensors if there is"
SAVE_ADAPTER_AGAIN = "save the adapter again with PEFT or mlx-lm"
IS_IT_UP = "see whether the address is right and the machine is up: `cortexbuild doctor`"
TRY_REMOTES = "`cortexbuild doctor` tries each remote, and says what it finds"
EXPORT_AGAIN = "write it again with `cortexbuild bundle export`, and bring all of it"
OWN_SOURCES = "run it again, or name a folder of llama.cpp's sources in CORTEX_LLAMA_CPP"
NOT_HTTP = "the server, or a proxy before it, is not one for files: use nginx, or bazel-remote"
LOOK_AT_FILE = "`cortexbuild info FILE` says what it is; it may need a newer llama-cpp-python"
HOSTILE_NAMES = "these names are damaged or hostile: take it anew from where you trust it"


def shown(text: str) -> str:
    """A name out of a foreign file as it may stand in a message: short, and on one line."""
    short = text if len(text) <= 80 else text[:77] + "..."
    return "`" + short.encode("unicode_escape").decode() + "`"


def brief(text: str) -> str:
    """What somebody wrote, as much of it as a message can have."""
    return text if len(text) <= 200 else text[:197] + "..."


_UNSEEN = (*range(9), *range(11, 32), *range(127, 160), 0x2028, 0x2029,
           *range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000))  # fmt: skip
_ESCAPED = {code: chr(code).encode("unicode_escape").decode() for code in _UNSEEN}


def plain(text: str) -> str:
    """Foreign text as a terminal may have it: what would move its cursor, set its title, answer
    in the user's name or turn the direction of the line around is written as Python writes it. So
    is half of a letter, which no output takes."""
    return text if text.isprintable() else text.translate(_ESCAPED)


class CortexError(Exception):
    """Anything a person can act on. `hint` says what to do, the message what is wrong; neither
    shows a credential, and what they tell of a foreign file is no more than text."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(redacted(plain(message)))
        self.hint = redacted(plain(hint))


class UsageError(CortexError):
    exit_code = 2


class ManifestError(UsageError):
    """A mistake in a file the user wrote. `where` is `file:line:column`."""

    def __init__(self, message: str, *, where: str, hint: str = "") -> None:
        super().__init__(f"{where}: {message}", hint=hint)
        self.where = where


class LockError(UsageError):
    pass


class DriftError(CortexError):
    exit_code = 3


class RemoteError(CortexError):
    """`passing` says that the same may work in a moment."""

    exit_code = 5

    def __init__(self, message: str, *, hint: str = "", passing: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.passing = passing


class IntegrityError(CortexError):
    exit_code = 6


class BusyError(CortexError):
    exit_code = 4


class ToolError(CortexError):
    pass


class StoreError(CortexError):
    pass


class BuildFailed(CortexError):
    """`failed` maps a step's label to what went wrong with it, `code` is the exit code."""

    def __init__(self, failed: Mapping[str, str], *, hint: str = "", code: int = 1) -> None:
        count = "1 step" if len(failed) == 1 else f"{len(failed)} steps"
        super().__init__(f"{count} failed: {', '.join(sorted(failed))}", hint=hint)
        self.failed, self.exit_code = failed, code
