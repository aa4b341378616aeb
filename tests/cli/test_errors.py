"""What the program says when something is wrong: all of it, to be read from top to bottom.

`python tests/cli/test_errors.py` writes docs/reference/errors.md anew. Then read what changed in
it, as a user would.
"""

from __future__ import annotations

from itertools import groupby

from raised import Raised, all_raised
from workspace import ROOT

PAGE = ROOT / "docs" / "reference" / "errors.md"
PARTS = {
    "core": "The manifest, the lock and the plan",
    "cli": "Commands",
    "app": "What commands do",
    "sources": "Sources",
    "formats": "What models are made of; said of a step, with its log",
    "quality": "Budgets; said of a step",
    "tools": "What makes one artifact from another; said of a step, with its log",
    "fitting": "Bits by a budget; said of a step, with its log",
    "streaming": "Weights a few rows at a time; said of a step, with its log",
    "runtimes": "Running a model",
    "exec": "Where steps run",
    "store": "The store",
    "remotes": "Shared caches",
    "exports": "Other programs' folders, and the Hub",
}
HEAD = """\
# Errors

Every error that cortexbuild raises on purpose, as its source has it. `…` and ‹names› are filled in
when it happens. The number is the [exit code](exit-codes.md) of a command that ends so; an error of
a step is told with the step's name, the last lines of its log and where the log is
([when something fails](../guides/when-something-fails.md)).
Written by `python tests/cli/test_errors.py`.
"""


def page(raised: list[Raised]) -> str:
    said = [HEAD]
    order = list(PARTS)
    found = {(order.index(one.part), one.message, one.code, one.hint) for one in raised}
    for number, errors in groupby(sorted(found, key=str), key=lambda one: one[0]):
        rows = [f"{code}  {message}\n   hint: {hint}\n" for _, message, code, hint in errors]
        said.append(f"## {PARTS[order[number]]}\n\n```text\n{''.join(rows)}```\n")
    return "\n".join(said)


def test_every_error_says_what_to_do():
    without = [f"{one.place}: {one.message}" for one in all_raised() if not one.hint]
    assert not without, (
        "these say what is wrong, and not what to do about it. Give each a `hint=` of one plain "
        "sentence; errors.py has some that many share (REPORT where it can only be our mistake):\n"
        + "\n".join(without)
    )


def test_messages_have_one_form():
    """As the rest of a sentence that begins with `error:`: no capital, no full stop, no shouting."""
    odd = [
        f"{one.place}: {text}"
        for one in all_raised()
        for text in (one.message, one.hint or "")
        if text.endswith((".", "!")) or "please " in text.replace("please report", "")
        or any(word in text.lower() for word in ("invalid", "illegal", "fatal", "failed to", "bad "))
    ]  # fmt: skip
    assert not odd, "begin small, end without a full stop, and blame nobody:\n" + "\n".join(odd)


def test_the_page_of_errors_is_as_the_source_is():
    assert PAGE.read_text() == page(all_raised()), (
        "an error was added or changed: `python tests/cli/test_errors.py` writes the page anew; "
        "read the lines that changed as a user would"
    )


if __name__ == "__main__":
    PAGE.write_text(page(all_raised()))
