"""Run a model in Hugging Face's layout, quantized or not, with PyTorch and transformers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.ports import Runtime, Sampling
from ..errors import ToolError
from .pieces import text_pieces
from .pretrained import load_exact, load_model, load_tokenizer, quiet
from .prompting import prompt_of, templated
from .sampling import choose
from .stopping import until_stop

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class TorchModel:
    def __init__(self, folder: Path, *, allow_code: bool = False) -> None:
        self._folder, self._allow_code = folder, allow_code
        self._tokenizer = load_tokenizer(folder, allow_code=allow_code)
        self._model = load_model(folder, allow_code=allow_code)
        self._exact: Any = None

    def encode(self, text: str, *, whole: bool = True) -> list[int]:
        with quiet():  # it warns of texts that are longer than the context
            return list(self._tokenizer.encode(text, add_special_tokens=whole))

    def generate(self, prompt: str, sampling: Sampling) -> Iterator[str]:
        ids = prompt_of(self, prompt, sampling)
        pieces = text_pieces(self._decode, ids, self._tokens(ids, sampling))
        yield from until_stop(pieces, sampling.stop)

    def logits(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Computed with the weights dequantized to float32, as for every other format.

        So this tells of the weights alone, and not of the precision of this machine's kernels.
        """
        import torch

        model = self.exact()
        with torch.inference_mode():
            ids = torch.tensor([list(tokens)], device=model.device)
            try:
                scores = model(input_ids=ids).logits[0]
            except IndexError as error:  # its table of positions is shorter
                raise ToolError(
                    f"a window of {len(tokens)} tokens does not fit the model",
                    hint="choose a smaller `window`",
                ) from error
        found: NDArray[np.float32] = scores.float().cpu().numpy()
        return found

    def _tokens(self, ids: Sequence[int], sampling: Sampling) -> Iterator[int]:
        import numpy as np

        random = np.random.default_rng(sampling.seed)
        stops = self._stop_tokens()
        text, read, cache = list(ids), list(ids), None
        for _ in range(sampling.max_tokens):
            scores, cache = self._step(read, cache)
            token = choose(scores, text, sampling, random)
            if token in stops:
                return
            yield token
            text.append(token)
            read = [token] if cache is not None else text

    def _step(self, ids: Sequence[int], cache: Any) -> tuple[NDArray[np.float32], Any]:
        """The scores of the next token, and the cache to go on from.

        A model without such a cache is given the whole text again.
        """
        import torch

        with torch.inference_mode():
            out = self._model(
                input_ids=torch.tensor([list(ids)], device=self._model.device),
                past_key_values=cache, use_cache=True,
            )  # fmt: skip
        scores: NDArray[np.float32] = out.logits[0, -1].float().cpu().numpy()
        return scores, getattr(out, "past_key_values", None)

    def _decode(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)
        return text

    def _stop_tokens(self) -> set[int]:
        config = getattr(self._model, "generation_config", None)
        named = getattr(config, "eos_token_id", None)
        stops = set(named if isinstance(named, list) else [named])
        return {token for token in (*stops, self._tokenizer.eos_token_id) if token is not None}

    def chat(self, message: str) -> str | None:
        return templated(self._tokenizer, message)

    def exact(self) -> Any:
        """The model with its weights dequantized to float32, as `logits` computes it."""
        if self._exact is None:
            self._exact = load_exact(self._folder, allow_code=self._allow_code)
        return self._exact


RUNTIME = Runtime(
    formats=("safetensors", "int8", "int4", "torchao-8bit", "bnb-nf4"),
    load=TorchModel,
    load_with_code=partial(TorchModel, allow_code=True),
)
