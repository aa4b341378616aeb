"""Chat templates are programs of strangers: they write text, and can do nothing else."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cortexbuild.errors import ToolError
from cortexbuild.runtimes import rendering
from cortexbuild.runtimes.templates import LONGEST, render

CHATML = (
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def test_a_template_writes_a_chat() -> None:
    assert render(CHATML, "héllo", {"bos_token": "<s>"}) == "<s><|user|>héllo\n<|assistant|>"


def test_it_has_what_templates_of_models_count_on() -> None:
    template = (
        "  {% generation %}\n{{ messages | tojson }}{% endgeneration %}\n"
        "{% for n in range(9) %}{% if n == 2 %}{% break %}{% endif %}{{ n }}{% endfor %}"
        "{% set ns = namespace(x=1) %}{% set ns.x = 2 %}{{ ns.x }}{{ strftime_now('%%') }}"
        "{{ tools is none }}{{ undefined_thing is defined }}"
    )
    assert render(template, "é", {}) == '[{"role": "user", "content": "é"}]012%TrueFalse'


def test_what_transformers_writes_is_written() -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    for template in (
        CHATML,
        "{%- if messages %}\n  {{ messages[0]['content'] | trim }}\n{%- endif %}\n",
    ):
        chats, _ = render_jinja_template(
            conversations=[[{"role": "user", "content": " hi "}]], chat_template=template,
            add_generation_prompt=True, bos_token="<s>",
        )  # fmt: skip
        assert render(template, " hi ", {"bos_token": "<s>"}) == chats[0]


HOSTILE = {
    "counts": ("{% for i in range(10**9) %}{% endfor %}", "Range too big"),
    "counts without a range": (
        "{% set a = 'x' * 9999 %}{% for b in a %}{% for c in a %}{% endfor %}{% endfor %}", "in 1 sec"),
    "writes": ("{% for a in 'x' * 99999 %}{{ 'y' * 99 }}{% endfor %}", "more than 1048576 characters"),
    "is large": ("{{ ('x' * (2 * 10**9)) | length }}", "more than 1024 MiB"),
    "pads": ("{{ '%2000000000d' % 1 }}", "more than 1024 MiB"),
    "centres": ("{{ 'x' | center(2000000000) }}", "more than 1024 MiB"),
    "computes": ("{{ 10 ** (10 ** 8) % 7 }}", "in 1 seconds of computing"),
    "calls itself": ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "without end"),
    "is nested": ("{{ " + "(" * 50_000 + "1" + ")" * 50_000 + " }}", ""),
    "asks for Python": ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "unsafe"),
    "asks by a filter": ("{{ (''|attr('__class__')).__mro__ }}", "unsafe"),
    "asks by a format": ("{{ '{0.__class__.__init__.__globals__}'.format(messages) }}", "unsafe"),
    "asks a function": ("{{ raise_exception.__globals__.x }}", "unsafe"),
    "changes a message": ("{{ messages.append(1) }}", "unsafe"),
    "includes a file": ("{% include '/etc/passwd' %}", "no loader"),
    "refuses": ("{{ raise_exception('roles must \x1b[31malternate') }}", "refuses this: roles must \\x1b"),
    "is wrong": ("{% for %}", "refuses this"),
}  # fmt: skip


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What came of each, in a copy of the program that has less patience."""
    program = tmp_path_factory.mktemp("program") / "rendering.py"
    text = Path(rendering.__file__).read_text()
    assert text.count("MOST_SECONDS, MOST_MEMORY = 10, 1 << 30") == 1
    program.write_text(text.replace("= 10, 1 << 30", "= 1, 1 << 30"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cortexbuild.runtimes.templates._PROGRAM", program)
        patch.setattr("cortexbuild.runtimes.templates.MOST_SECONDS", 1)
        patch.setattr("cortexbuild.runtimes.templates.PATIENCE", 30.0)
        with ThreadPoolExecutor(2) as pool:
            answers = pool.map(lambda one: _refusal(one[0]), HOSTILE.values())
            return dict(zip(HOSTILE, answers, strict=True))


def _refusal(template: str) -> str:
    try:
        return f"it wrote {render(template, 'x', {})[:200]!r}"
    except ToolError as error:
        return str(error)


@pytest.mark.parametrize("what", HOSTILE)
def test_a_template_that(said: dict[str, str], what: str) -> None:
    assert "the model's chat template" in said[what]
    assert HOSTILE[what][1] in said[what]


def test_a_template_that_is_too_long_is_not_begun() -> None:
    with pytest.raises(ToolError, match="characters, and at most"):
        render("x" * (LONGEST + 1), "x", {})


@pytest.mark.parametrize(
    "act",
    ["open('/etc/passwd')", "import os; os.system('true')", "import socket; socket.socket()",
     "import wave", "exec('1')", "import ctypes"],
)  # fmt: skip
def test_what_breaks_out_of_the_sandbox_finds_the_door_closed(act: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import os, socket\nimport rendering\nrendering.close()\n{act}"],
        cwd=Path(rendering.__file__).parent, capture_output=True, text=True,
    )  # fmt: skip
    assert "a template may not" in done.stderr


def test_the_program_has_nothing_of_the_users_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    seen: dict[str, str] = {}

    def run(argv: list[str], **how: object) -> subprocess.CompletedProcess[str]:
        seen.update(how["env"])  # type: ignore[call-overload]
        return subprocess.CompletedProcess(argv, 0, '{"text": ""}', "")

    monkeypatch.setattr(subprocess, "run", run)
    render("", "", {})
    assert "PATH" in seen and "HF_TOKEN" not in seen
