"""From what a user says to the token ids that a model goes on from."""

from __future__ import annotations

from typing import Any

from ..core.ports import LoadedModel, Sampling
from ..errors import ToolError
from .templates import render


def prompt_of(model: LoadedModel, prompt: str, sampling: Sampling) -> list[int]:
    """Raises ToolError for a prompt of no tokens, and for a chat without a template."""
    if sampling.chat:
        said = model.chat(prompt)
        if said is None:
            raise ToolError("this model has no chat template", hint="leave `--chat` out")
        ids = model.encode(said, whole=False)  # the template has written what stands around it
    else:
        ids = model.encode(prompt)
    if not ids:
        raise ToolError("the prompt is empty", hint="give the model something to go on from")
    return ids


def templated(tokenizer: Any, message: str) -> str | None:
    """A message of the user in a Hugging Face tokenizer's template; None without one."""
    if not getattr(tokenizer, "chat_template", None):
        return None
    try:
        template = tokenizer.get_chat_template()
    except ValueError as error:  # it has several, and none is the usual one
        raise ToolError(
            f"the model's chat template cannot be chosen: {error}",
            hint="leave `--chat` out, or write the prompt as the template asks for",
        ) from error
    return render(template, message, tokenizer.special_tokens_map)
