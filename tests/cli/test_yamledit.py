"""What `add` and `remove` do to cortex.yaml: one entry more or less, and no other change."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cortexbuild.cli.yaml.editing import add_entry, add_item, remove
from cortexbuild.cli.yaml.reading import parse_yaml
from cortexbuild.errors import UsageError

CHAT = {"source": "hf:acme/chat@main", "targets": ["mlx-4bit"]}
NEW = "  chat:\n    source: hf:acme/chat@main\n    targets: [mlx-4bit]\n"


def added(text: str, at: tuple[str, ...] = ("models",)) -> str:
    return add_entry(text.encode(), "cortex.yaml", at, ("chat", CHAT)).decode()


def removed(text: str, *at: str | int) -> str:
    return remove(text.encode(), "cortex.yaml", at).decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("models: {}\n", "models:\n" + NEW),
        ("models: {} # none yet\n", "models: # none yet\n" + NEW),
        ("schema: 1\nmodels:\n", "schema: 1\nmodels:\n" + NEW),
        ("models:\n  # soon\nschema: 1\n", "models:\n  # soon\n" + NEW + "schema: 1\n"),
        ("schema: 1\n", "schema: 1\nmodels:\n" + NEW),
        ("models:\n  a: {b: 1}", "models:\n  a: {b: 1}\n" + NEW),
        ("models:\n  a: {b: 1} # yes\n\n# the end\n", "models:\n  a: {b: 1} # yes\n" + NEW + "\n# the end\n"),
        ("models:\n  a:\n    b: 1\n\n    # - c\n  # d\n\nx: 1\n", "models:\n  a:\n    b: 1\n\n    # - c\n  # d\n" + NEW + "\nx: 1\n"),
        ("models:\n  a: |\n    text\n\nx: 1\n", "models:\n  a: |\n    text\n\n" + NEW + "x: 1\n"),
        ("models: {a: 1}\n", "models: {a: 1, chat: {source: 'hf:acme/chat@main', targets: [mlx-4bit]}}\n"),
        ("models: {a: 1,} # x\n", "models: {a: 1, chat: {source: 'hf:acme/chat@main', targets: [mlx-4bit]},} # x\n"),
        ("b: &b {c: 1}\nmodels:\n  a: *b\n", "b: &b {c: 1}\nmodels:\n  a: *b\n" + NEW),
        ("models: &all\n  a: 1\nx: *all\ny: 1\n", None),
        ("models: *all\n", None),
        ("m: &m {}\nmodels: *m\n", None),
    ],
)  # fmt: skip
def test_an_entry_is_put_at_the_end_of_its_table(before, after):
    at = ("models",)
    if after is None:
        with pytest.raises(UsageError) as error:
            added(before)
        assert "*all" in before or "by hand" in error.value.hint
    else:
        assert added(before, at) == after


def test_the_author_s_own_indentation_and_line_breaks_are_kept():
    before = "\ufeffmodels:\r\n    a:\r\n        b: 1\r\n"
    lines = ["    chat:", "        source: hf:acme/chat@main", "        targets: [mlx-4bit]", ""]
    assert added(before) == before + "\r\n".join(lines)


@pytest.mark.parametrize(
    ("before", "at", "after"),
    [
        ("m:\n  a:\n    b: 1\n    # in a\n  # of c\n  c: 2\n", ("m", "a"), "m:\n  # of c\n  c: 2\n"),
        ("m:\n  a: 1 # x\n  c: 2\n", ("m", "a"), "m:\n  c: 2\n"),
        ("m:\n  a: 1\n  c: 2\n# end\n", ("m", "c"), "m:\n  a: 1\n# end\n"),
        ("m:\n  # why\n  a: 1\nx: 1\n", ("m", "a"), "m: {}\n  # why\nx: 1\n"),
        ("m: {a: 1, b: 2, c: 3}\n", ("m", "a"), "m: {b: 2, c: 3}\n"),
        ("m: {a: 1, b: 2, c: 3}\n", ("m", "b"), "m: {a: 1, c: 3}\n"),
        ("m: {a: 1, b: 2, c: 3}\n", ("m", "c"), "m: {a: 1, b: 2}\n"),
        ("m: {a: 1}\n", ("m", "a"), "m: {}\n"),
        ("m: {a: 1, # one\n  b: 2}\n", ("m", "b"), "m: {a: 1, # one\n  }\n"),
        ("m: {a: 1 # one\n  , b: 2}\n", ("m", "a"), "m: { b: 2}\n"),
        ("m:\n  - a\n  - b # x\n  - c\n", ("m", 1), "m:\n  - a\n  - c\n"),
        ("m:\n- a\n- b\n", ("m", 1), "m:\n- a\n"),
        ("m: [a, b]\n", ("m", 0), "m: [b]\n"),
        ("m:\n  'a': 1\n  b: 2\n", ("m", "a"), "m:\n  b: 2\n"),
    ],
)  # fmt: skip
def test_an_entry_is_cut_out_and_comments_around_it_stay(before, at, after):
    assert removed(before, *at) == after


def test_what_others_stand_on_is_not_cut_out():
    with pytest.raises(UsageError) as error:
        removed("m:\n  a: &a {x: 1}\n  b: *a\n", "m", "a")
    assert error.value.hint == "remove `m.a` by hand"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("m: [a, b] # x\n", "m: [a, b, c] # x\n"),
        ("m:\n  - a # x\n  # - b\nx: 1\n", "m:\n  - a # x\n  # - b\n  - c\nx: 1\n"),
        ("m: &m\n- a\n", "m: &m\n- a\n- c\n"),
    ],
)
def test_a_word_is_put_at_the_end_of_a_list(before, after):
    assert add_item(before.encode(), "x", ("m",), "c").decode() == after


# Manifests as people write them: spacing, quotes, comments, anchors and blank lines of their own.
NOTES = st.sampled_from(["", " # why", "   #  aligned ", " "])
BETWEEN = st.sampled_from(["", "\n", "# about it\n", "  # deeper: x\n", "\n\n  #- a\n\n"])
TARGETS = st.sampled_from(
    ["[a,  b]", "{a: {recipe: b} , 'c': {recipe: d}}", "\n    - a\n    - b", "\n      a: {recipe: a}",
     "&t\n      a:\n        recipe: a", '["a",\n      b]']
)  # fmt: skip


@st.composite
def manifests(draw):
    names = draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True))
    text = draw(st.sampled_from(["schema:  1\n", "# yaml-language-server: x\nschema: 1   # one\n"]))
    text += f"models:{draw(NOTES)}\n"
    anchored = False
    for name in names:
        targets = draw(TARGETS)
        targets = targets.replace("&t", "") if anchored else targets
        anchored = anchored or "&t" in targets
        text += draw(BETWEEN)
        if draw(st.booleans()):
            text += f"  {name}:{draw(NOTES)}\n    source:   'path:x'{draw(NOTES)}\n"
            text += f"    targets: {targets}{draw(NOTES)}\n"
        else:
            text += f'  "{name}": {{source: path:x,targets: [ a ]}}{draw(NOTES)}\n'
    text += draw(BETWEEN) + draw(st.sampled_from(["", "policy: {}\n", "x: |+\n  1\n\n"]))
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return names, text if draw(st.booleans()) else text.rstrip()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(manifests())
def test_every_other_line_stays_as_it_is_byte_for_byte(made):
    names, before = made
    after = added(before)
    lines, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    begin = next(n for n, line in enumerate(new) if line.startswith("  chat:"))
    kept = new[:begin] + new[begin + 3 :]
    assert (
        "".join(kept).removesuffix("\n").removesuffix("\r")
        == before.removesuffix("\n").removesuffix("\r")
        or kept == lines
    )
    assert parse_yaml(after.encode(), "x").data["models"]["chat"] == CHAT
    assert removed(after, "models", "chat").splitlines() == before.splitlines()
    for name in names:
        less = removed(before, "models", name)
        left = iter(before.splitlines())
        assert len(names) == 1 or all(line in left for line in less.splitlines())
        assert name not in parse_yaml(less.encode(), "x").data["models"]
