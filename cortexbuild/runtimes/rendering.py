"""Write a chat with a model's own template: the program of a process that may come to any end.

It is run by its path, knows of nothing else here, and has little: no file, no program, no network
once it begins, so much memory and so much time. A template is a stranger's code, and jinja's
sandbox keeps it from Python, but not from counting to 10^9. `templates.py` starts this.

In: {"template": …, "message": …, "tokens": {"bos_token": …}, …}. Out: {"text": …} or {"why": …}.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, NoReturn

MOST_SECONDS, MOST_MEMORY = 10, 1 << 30
"""Of processor time, and bytes of address space. Templates of real models take milliseconds."""

MOST_TEXT = 1 << 20
"""Characters that come of it, beside the message."""

_CLOSED = (
    "open", "import", "exec", "compile", "os", "subprocess", "socket", "ctypes", "shutil", "glob",
    "pty", "tempfile", "urllib", "marshal", "pickle", "code", "sys", "object", "gc", "function",
)  # fmt: skip
"""What audit events begin with (https://docs.python.org/3/library/audit_events.html)."""


_RAISED = (
    ArithmeticError, AssertionError, AttributeError, LookupError, NameError, OSError, RuntimeError,
    TypeError, ValueError,
)  # fmt: skip
"""What expressions of a template may raise."""


def limit() -> None:
    for what, most in ((resource.RLIMIT_CPU, MOST_SECONDS), (resource.RLIMIT_AS, MOST_MEMORY)):
        with suppress(ValueError, OSError):  # macOS has no limit of address space
            resource.setrlimit(what, (most, most))


def close() -> None:
    """From now on this process can compute, and nothing else. There is no way back."""

    def refuse(event: str, _arguments: object) -> None:
        if event.partition(".")[0] in _CLOSED:
            raise PermissionError(f"a template may not: {event}")

    sys.addaudithook(refuse)


def prepared(template: str) -> Any:
    """The template as transformers compiles it (`_compile_jinja_template`, 5.23): with the tags
    and functions that templates of models count on."""
    from jinja2 import TemplateError, nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Sandbox(ImmutableSandboxedEnvironment):
        def handle_exception(self, source: str | None = None) -> NoReturn:
            """As it is: jinja would import, compile and run code to make its traceback nicer."""
            del source
            raise  # it is called where one is handled

    class Generation(Extension):
        tags = {"generation"}  # marks what an assistant said, which is of use to training

        def parse(self, parser: Parser) -> list[nodes.Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    def tojson(value: Any, ensure_ascii: bool = False, **how: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, **how)

    def strftime_now(form: str) -> str:
        return datetime.now().strftime(form)

    environment = Sandbox(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals |= {"raise_exception": raise_exception, "strftime_now": strftime_now}
    return environment.from_string(template)


def write(asked: Mapping[str, Any]) -> str:
    message = asked["message"]
    from jinja2 import TemplateError

    try:
        return _written(prepared(asked["template"]), asked["tokens"], message)
    except TemplateError as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _written(template: Any, tokens: Mapping[str, str], message: str) -> str:
    close()
    pieces: list[str] = []
    room = MOST_TEXT + len(message)
    for piece in template.generate(
        **tokens, messages=[{"role": "user", "content": message}],
        tools=None, documents=None, add_generation_prompt=True,
    ):  # fmt: skip
        room -= len(piece)
        if room < 0:
            raise ValueError(f"it writes more than {MOST_TEXT} characters")
        pieces.append(piece)
    return "".join(pieces)


def main() -> None:
    limit()
    asked = json.load(sys.stdin)
    try:
        answer = {"text": write(asked)}
    except MemoryError:
        answer = {"why": f"it takes more than {MOST_MEMORY >> 20} MiB of memory"}
    except RecursionError:
        answer = {"why": "it calls itself without end"}
    except _RAISED as error:
        answer = {"why": str(error) or type(error).__name__}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
