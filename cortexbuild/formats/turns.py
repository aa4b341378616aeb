"""What a chat template writes around each turn, found by asking it, and the same for Ollama.

Most chat templates only write fixed texts before and after what each side says. These texts are
found by filling in marks. Then the template is asked for longer talks: only if the texts that were
found give exactly those, are they what it means. One that does more (it looks at what is said,
or counts turns) is not guessed at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Message = Mapping[str, str]
Render = Callable[[Sequence[Message]], str]
"""A template: messages to a prompt, up to where the answer begins. ValueError when it refuses."""

_MARKS = ("\u2460first\u2461", "\u2462second\u2463", "\u2464third\u2465", "\u2466fourth\u2467")


@dataclass(frozen=True, slots=True)
class Turns:
    """`asked` stands after what a user says, up to where the answer begins, and `answered` after
    an answer. `silent` is what a talk without a system's message begins with."""

    silent: str
    system: tuple[str, str] | None
    user: str
    asked: str
    answered: str

    def prompt(self, messages: Sequence[Message]) -> str:
        text = "" if messages[0]["role"] == "system" else self.silent
        for message in messages:
            before, after = self._around(message["role"])
            text += before + message["content"] + after
        return text

    def _around(self, role: str) -> tuple[str, str]:
        if role == "system":
            return self.system or ("", "")
        return (self.user, self.asked) if role == "user" else ("", self.answered)

    def to_go(self) -> str | None:
        """As a template of Go's text/template, with what Ollama gives it; None where a text of it
        would be read as code."""
        texts = [self.silent, *(self.system or ()), self.user, self.asked, self.answered]
        if any("{{" in text or text.endswith("{") for text in texts):
            return None
        turns = [("user", self.user, self.asked), ("assistant", "", self.answered)]
        if self.system is not None:
            turns.insert(0, ("system", *self.system))
        cases = "else ".join(
            f'if eq .Role "{role}" }}}}{before}{{{{ .Content }}}}{after}{{{{ '
            for role, before, after in turns
        )
        silent = f"{{{{ if not .System }}}}{self.silent}{{{{ end }}}}" if self.silent else ""
        return f"{silent}{{{{ range .Messages }}}}{{{{ {cases}end }}}}{{{{ end }}}}"


def find_turns(render: Render) -> Turns | None:
    """What a template writes around turns; None when it does more than that."""
    try:
        talk = _between(render, ("user", "assistant", "user"))
    except ValueError:
        return None
    first, answer, again, asked = talk
    user = _common_end(first, again)
    if answer != asked or not again.endswith(user):
        return None
    found = Turns(first.removesuffix(user), None, user, asked, again.removesuffix(user))
    try:
        before, after, *_ = _between(render, ("system", "user"))
    except ValueError:  # it knows no system
        before, after = "", ""
    if after and after.endswith(user):
        system = (before, after.removesuffix(user))
        found = Turns(found.silent, system, user, asked, found.answered)
    return found if _holds(found, render) else None


def _between(render: Render, roles: Sequence[str]) -> list[str]:
    """The texts before, between and after what is said. ValueError when a mark is not there as it
    was given."""
    text = render(_talk(roles))
    places = [0]
    for mark in _MARKS[: len(roles)]:
        start = text.index(mark, places[-1])
        places += [start, start + len(mark)]
    places.append(len(text))
    return [text[start:end] for start, end in list(pairwise(places))[::2]]


def _holds(found: Turns, render: Render) -> bool:
    talks = [("user",), ("user", "assistant", "user", "assistant", "user")]
    if found.system is not None:
        talks += [("system", "user"), ("system", "user", "assistant", "user")]
    try:
        return all(found.prompt(_talk(roles)) == render(_talk(roles)) for roles in talks)
    except ValueError:
        return False


def _talk(roles: Sequence[str]) -> list[Message]:
    return [
        {"role": role, "content": _MARKS[place % len(_MARKS)]} for place, role in enumerate(roles)
    ]


def _common_end(one: str, other: str) -> str:
    length = 0
    while length < min(len(one), len(other)) and one[-length - 1] == other[-length - 1]:
        length += 1
    return one[len(one) - length :]
