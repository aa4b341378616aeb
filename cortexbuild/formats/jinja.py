"""A model's chat template in Jinja, as transformers renders it: in a sandbox."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NoReturn

from .turns import Message, Render

_REFUSALS = (TypeError, ArithmeticError, LookupError, AttributeError, RuntimeError)
"""What a template that expects other messages may raise, beside errors of its own."""


def rendering(template: str, *, bos: str, eos: str) -> Render:
    """A template to call. Raises ValueError when it is no template, and so does what is returned
    when it refuses messages. It is not told the day, which would stand in prompts for ever."""
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _as_json
    environment.globals["raise_exception"] = _refuse
    try:
        compiled = environment.from_string(template)
    except TemplateError as error:
        raise ValueError(f"it is no template: {error}") from error

    def render(messages: Sequence[Message]) -> str:
        try:
            return compiled.render(
                messages=messages, add_generation_prompt=True, bos_token=bos, eos_token=eos
            )
        except (TemplateError, *_REFUSALS) as error:
            raise ValueError(str(error)) from error

    return render


def _as_json(value: Any, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=False, **options)


def _refuse(reason: str) -> NoReturn:
    raise ValueError(reason)
