"""llama.cpp's library, by way of llama-cpp-python: silent, with its own log kept.

Only its C functions are used. The Python class on top of them redirects this process's output,
takes a seed of 0 for a random one, and knows of a context before it knows how long it must be.
"""

from __future__ import annotations

import ctypes
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from weakref import finalize

from ..errors import LOOK_AT_FILE, ToolError
from ..formats.files import shard_of

WARNING, ERROR, CONTINUED = 3, 4, 5
"""`enum ggml_log_level` of ggml.h."""

KEPT_LINES = 200


@dataclass(slots=True)
class Log:
    """The last lines that the library wrote, with their level. `hear` is told of each."""

    lines: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    hear: Callable[[str], None] = lambda _line: None

    def write(self, level: int, text: str) -> None:
        if level == CONTINUED and self.lines:
            level, start = self.lines.pop()
            text = start + text
        self.lines.append((level, text))
        self.hear(text)

    def reason(self) -> str:
        """What it called errors, or else the last warning. The first of several is the cause."""
        errors = [text.strip() for level, text in self.lines if level >= ERROR and text.strip()]
        if errors:
            return "; ".join(dict.fromkeys(errors[-3:]))
        warnings = [text.strip() for level, text in self.lines if level >= WARNING and text.strip()]
        return warnings[-1] if warnings else "it does not say why"


@dataclass(frozen=True, slots=True)
class Library:
    """`api` has llama.h's functions under their own names."""

    api: Any
    log: Log
    callback: Any  # the library has only its address, so it must not be collected


@cache
def library() -> Library:
    """Load the library, once. Raises ToolError when it is not installed."""
    try:
        import llama_cpp as api
    except (ImportError, RuntimeError) as error:  # RuntimeError: there, but it does not load
        raise ToolError(
            f"llama-cpp-python is not usable: {error}", hint="pip install 'cortexbuild[gguf]'"
        ) from error
    log = Log()

    @api.llama_log_callback  # type: ignore[untyped-decorator]
    def write(level: int, text: bytes, _user: object) -> None:
        log.write(level, text.decode(errors="replace"))

    api.llama_log_set(write, ctypes.c_void_p(0))
    api.llama_backend_init()
    return Library(api, log, write)


class GgufFile:
    """An open model: its vocabulary, and its weights unless `only_vocabulary`.

    `close` gives all of it back, contexts first; so does the end of the process, where Metal
    would stop with an error over what is still open.
    """

    def __init__(self, path: Path, *, only_vocabulary: bool = False) -> None:
        self._library = library()
        self.api = api = self._library.api
        wanted = api.llama_model_default_params()
        wanted.vocab_only = only_vocabulary
        self._library.log.lines.clear()
        self.model = api.llama_model_load_from_file(str(path).encode(), wanted)
        if not self.model:
            raise ToolError(
                f"llama.cpp cannot open {path.name}: {self._library.log.reason()}",
                hint=LOOK_AT_FILE,
            )
        self._contexts: list[Any] = []
        self.close = finalize(self, _give_back, api, self.model, self._contexts)
        self.vocabulary = api.llama_model_get_vocab(self.model)
        self.tokens = int(api.llama_vocab_n_tokens(self.vocabulary))
        self.longest = int(api.llama_model_n_ctx_train(self.model))
        kind = api.llama_vocab_type(self.vocabulary)
        self.is_sentencepiece = bool(kind == api.LLAMA_VOCAB_TYPE_SPM)

    def encode(self, text: str, *, add_special: bool = True) -> list[int]:
        """Token ids. Special tokens that stand in the text are read as such; with `add_special`,
        those that the model expects around a text are put there."""
        content = text.encode()
        room = len(content) + 16
        ids = (self.api.llama_token * room)()
        count = self.api.llama_tokenize(
            self.vocabulary, content, len(content), ids, room, add_special, True
        )
        if count < 0:
            raise ToolError(
                f"llama.cpp cannot tokenize {len(content)} bytes of text", hint=LOOK_AT_FILE
            )
        return list(ids[:count])

    def piece(self, token: int) -> bytes:
        """The bytes that a token adds to a text; none for a special one."""
        room = 64
        while True:
            held = ctypes.create_string_buffer(room)
            size = self.api.llama_token_to_piece(self.vocabulary, token, held, room, 0, False)
            if size >= 0:
                return held.raw[:size]
            room = -size

    def text(self, token: int) -> str:
        """A token as the vocabulary writes it, `<s>` for one; empty when there is no such token."""
        found = self.api.llama_vocab_get_text(self.vocabulary, token) if token >= 0 else None
        return found.decode(errors="replace") if found else ""

    @contextmanager
    def context(self, length: int, batch: int) -> Iterator[Any]:
        """Room for `length` tokens, `batch` of them at a time."""
        wanted = self.api.llama_context_default_params()
        wanted.n_ctx, wanted.n_batch, wanted.n_ubatch = length, batch, batch
        # Threads wait for each other by spinning. With one for each processor, another program
        # that is busy makes a step take ten times as long (0.06 s to 0.64 s, on two).
        wanted.n_threads = wanted.n_threads_batch = max(1, (os.cpu_count() or 1) // 2)
        context = self.api.llama_init_from_model(self.model, wanted)
        if not context:
            raise ToolError(
                f"no room for a context of {length} tokens: {self._library.log.reason()}",
                hint="shorten the prompt or `--max-tokens`, or end what else takes memory",
            )
        self._contexts.append(context)
        try:
            yield context
        finally:
            if context in self._contexts:
                self._contexts.remove(context)
                self.api.llama_free(context)


def _give_back(api: Any, model: Any, contexts: list[Any]) -> None:
    while contexts:
        api.llama_free(contexts.pop())
    api.llama_model_free(model)


def gguf_file(path: Path) -> Path:
    """The file to open: `path` itself, or the one model in it. Of shards it is the first."""
    if not path.is_dir():
        return path
    found = sorted(path.glob("*.gguf"))
    if not found:
        raise ToolError(f"{path} has no .gguf file", hint="name the .gguf file itself")
    shard = shard_of(found[0].name)
    stems = {other.stem if (other := shard_of(file.name)) else file.name for file in found}
    if len(stems) > 1:
        raise ToolError(
            f"{path} has {len(stems)} GGUF models, the first is {found[0].name}",
            hint="name one of the files",
        )
    return path / shard.sibling(1) if shard else found[0]
