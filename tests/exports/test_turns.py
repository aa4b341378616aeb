"""What a chat template writes around turns is found by asking it, or not at all."""

from __future__ import annotations

import pytest

from cortexbuild.formats.jinja import rendering
from cortexbuild.formats.turns import find_turns

GENERATE = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
EACH = "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
PLAIN = "{% for m in messages %}" + EACH + "{% endfor %}" + GENERATE
DEFAULT = (
    "{% for m in messages %}{% if loop.first and m.role != 'system' %}"
    "{{ '<|im_start|>system\nBe kind.<|im_end|>\n' }}{% endif %}" + EACH + "{% endfor %}" + GENERATE
)
ALTERNATE = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no') }}"
    "{% endif %}{% set who = 'model' if m.role == 'assistant' else m.role %}"
    "{{ '<start_of_turn>' + who + '\n' + m.content | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{{ '<start_of_turn>model\n' if add_generation_prompt }}"
)
BRACKETS = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}"
    "{% elif m.role == 'assistant' %}{{ m.content + eos_token }}{% endif %}{% endfor %}"
)


def turns_of(template):
    return find_turns(rendering(template, bos="<s>", eos="</s>"))


@pytest.mark.parametrize("template", [PLAIN, DEFAULT, ALTERNATE, BRACKETS])
def test_a_talk_is_written_as_the_template_writes_it(template):
    render, found = rendering(template, bos="<s>", eos="</s>"), turns_of(template)
    roles = ["user", "assistant"] * 2 + ["user"]
    for given in (["user"], roles, ["system", *roles]):
        if given[0] == "system" and found.system is None:
            continue
        talk = [{"role": role, "content": f"{n} says"} for n, role in enumerate(given)]
        assert found.prompt(talk) == render(talk)


def test_a_template_with_no_place_for_a_system_has_none():
    assert turns_of(PLAIN).system and turns_of(DEFAULT).system
    assert turns_of(ALTERNATE).system is None and turns_of(BRACKETS).system is None


def test_what_a_talk_begins_with_is_for_talks_without_a_system():
    assert turns_of(DEFAULT).silent.startswith("<|im_start|>system\nBe kind.")
    assert turns_of(DEFAULT).to_go().startswith("{{ if not .System }}<|im_start|>system\nBe kind.")


@pytest.mark.parametrize(
    "template",
    [
        "",
        "{{ raise_exception('never') }}",
        "{{ messages[9].content }}",
        "{{ strftime_now('%Y') }}" + PLAIN,
        "{% for m in messages %}{{ m.content | upper }}{% endfor %}",
        "{% for m in messages %}{{ m.role ~ loop.index ~ m.content }}{% endfor %}",
        "{% for m in messages %}{{ m.role ~ m.content }}{% if loop.index == 4 %}!{% endif %}{% endfor %}assistant",
        "{% for m in messages %}{{ m.content }}{% endfor %}{{ ''.__class__.__mro__ }}",
    ],
)
def test_a_template_that_does_more_is_not_guessed_at(template):
    assert turns_of(template) is None


@pytest.mark.parametrize("text", ["{{", "{"])
def test_a_text_that_would_be_code_is_not_written(text):
    each = "{{ '" + text + "' + m.content + '}' }}"
    template = "{% for m in messages %}" + each + "{% endfor %}{{ '" + text + "' }}"
    assert turns_of(template).to_go() is None


def test_what_is_no_template_is_refused():
    with pytest.raises(ValueError, match="it is no template"):
        rendering("{% if %}", bos="", eos="")
