"""A model's chat template, written out: in a process of its own, which is ended if need be.

The one place where templates of models are rendered, whatever format they came in.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from ..errors import ToolError, brief
from ..processes import Late, tell
from .rendering import MOST_SECONDS

LONGEST = 1 << 18
"""Characters; the longest templates of known models have some 20 thousand."""

PATIENCE = 120.0
"""Seconds on the clock: a busy machine is no reason to give up on a template."""

_PROGRAM = Path(__file__).with_name("rendering.py")


def render(template: str, message: str, tokens: Mapping[str, str]) -> str:
    """A message of the user, with what the template puts around it.

    `tokens` are texts by the names that templates know them by, `bos_token` for one. Raises
    ToolError when the template refuses the message, is wrong, or asks for too much.
    """
    if len(template) > LONGEST:
        raise _unusable(f"it has {len(template)} characters, and at most {LONGEST} are allowed")
    asked = json.dumps({"template": template, "message": message, "tokens": dict(tokens)})
    try:
        done = tell([sys.executable, "-P", str(_PROGRAM)], asked, PATIENCE)
    except Late as error:
        raise _unusable(f"it did not end in {PATIENCE:.0f} seconds") from error
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise _unusable(f"it did not end in {MOST_SECONDS} seconds of computing")
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
        if "jinja2" in said:
            raise ToolError("jinja2 is not installed", hint="pip install jinja2")
        raise _unusable(said)
    answer = json.loads(done.stdout)
    if "why" in answer:
        raise ToolError(
            f"the model's chat template refuses this: {brief(answer['why'])}",
            hint="leave `--chat` out, or write the prompt as the template asks for",
        )
    return str(answer["text"])


def _unusable(why: str) -> ToolError:
    return ToolError(
        f"the model's chat template cannot be used: {brief(why)}", hint="leave `--chat` out"
    )
