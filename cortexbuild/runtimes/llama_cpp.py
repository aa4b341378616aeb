"""Run a GGUF model, with llama.cpp."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.ports import Runtime, Sampling, Server
from ..errors import LOOK_AT_FILE, ToolError
from .llama_library import GgufFile, gguf_file
from .prompting import prompt_of
from .sampling import choose
from .stopping import until_stop
from .templates import render

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BATCH = 512
"""Tokens computed at once, as in llama.cpp's own programs. Each has a score of 4 bytes for every
token of the vocabulary."""


class GgufModel:
    """The weights as they are stored, with the kernels that llama.cpp has for them here."""

    def __init__(self, path: Path) -> None:
        self._file = GgufFile(gguf_file(path))

    def encode(self, text: str, *, whole: bool = True) -> list[int]:
        return self._file.encode(text, add_special=whole)

    def generate(self, prompt: str, sampling: Sampling) -> Iterator[str]:
        tokens = prompt_of(self, prompt, sampling)
        if not 0 < len(tokens) < self._file.longest:
            raise ToolError(
                f"the prompt has {len(tokens)} tokens; from 1 to {self._file.longest - 1} fit",
                hint="change the prompt",
            )
        yield from until_stop(_texts(self._pieces(tokens, sampling)), sampling.stop)

    def logits(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Computed as it is deployed: with the stored types, and a key-value cache of 16 bits."""
        import numpy as np

        if not 0 < len(tokens) <= self._file.longest:
            raise ToolError(
                f"a window of {len(tokens)} tokens; from 1 to {self._file.longest} fit the model",
                hint="choose a smaller `window`",
            )
        found = np.empty((len(tokens), self._file.tokens), np.float32)
        with self._file.context(len(tokens), min(len(tokens), BATCH)) as context:
            for start in range(0, len(tokens), BATCH):
                part = tokens[start : start + BATCH]
                self._decode(context, part, start, every=True)
                scores = self._file.api.llama_get_logits(context)
                shape = (len(part), self._file.tokens)
                found[start : start + len(part)] = np.ctypeslib.as_array(scores, shape)
        return found

    def close(self) -> None:
        """Give the memory back now; the model is of no more use."""
        self._file.close()

    def _pieces(self, prompt: list[int], sampling: Sampling) -> Iterator[bytes]:
        import numpy as np

        file, tokens = self._file, list(prompt)
        random = np.random.default_rng(sampling.seed)
        most = min(file.longest, len(prompt) + sampling.max_tokens)
        with file.context(most, min(most, BATCH)) as context:
            start = 0
            while len(tokens) < most:
                for at in range(start, len(tokens), BATCH):
                    self._decode(context, tokens[at : at + BATCH], at, every=False)
                start = len(tokens)
                scores = file.api.llama_get_logits_ith(context, -1)
                row = np.ctypeslib.as_array(scores, (file.tokens,))
                token = choose(row, tokens, sampling, random)
                if file.api.llama_vocab_is_eog(file.vocabulary, token):
                    return
                tokens.append(token)
                yield file.piece(token)

    def _decode(self, context: Any, tokens: Sequence[int], start: int, *, every: bool) -> None:
        """Compute `tokens`, which stand at `start` and after; the scores of the last, or of all."""
        api = self._file.api
        batch = api.llama_batch_init(len(tokens), 0, 1)
        try:
            batch.n_tokens = len(tokens)
            for at, token in enumerate(tokens):
                batch.token[at], batch.pos[at] = token, start + at
                batch.n_seq_id[at], batch.seq_id[at][0] = 1, 0
                batch.logits[at] = every or at == len(tokens) - 1
            failed = api.llama_decode(context, batch)
        finally:
            api.llama_batch_free(batch)
        if failed:
            raise ToolError(
                f"llama.cpp could not compute {len(tokens)} tokens (code {failed})",
                hint=LOOK_AT_FILE,
            )

    def chat(self, message: str) -> str | None:
        file = self._file
        template = file.api.llama_model_chat_template(file.model, None)
        if not template:
            return None
        tokens = {
            "bos_token": file.text(file.api.llama_vocab_bos(file.vocabulary)),
            "eos_token": file.text(file.api.llama_vocab_eos(file.vocabulary)),
        }
        return render(template.decode(errors="replace"), message, tokens)


def _texts(pieces: Iterator[bytes]) -> Iterator[str]:
    """Text as far as it is whole: a character may be spread over several tokens."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for piece in pieces:
        if text := decoder.decode(piece):
            yield text
    if rest := decoder.decode(b"", final=True):
        yield rest


def server(path: Path, target: str, host: str, port: int) -> Server:
    where = ("--host", host, "--port", str(port))
    arguments = ("--model", str(gguf_file(path)), "--model_alias", target, "--n_gpu_layers", "-1")
    needs = ("llama_cpp", "fastapi", "uvicorn", "sse_starlette", "starlette_context")
    return Server("llama_cpp.server", (*arguments, *where), target, needs, "gguf,serve")


RUNTIME = Runtime(formats=("gguf", "gguf-*"), load=GgufModel, server=server)
