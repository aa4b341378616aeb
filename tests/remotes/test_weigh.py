"""Which records of a remote are believed."""

from __future__ import annotations

import json

import pytest

from cortexbuild.core.digest import Digest, File, Tree
from cortexbuild.core.step import StepKey, Trace, key_of
from cortexbuild.remotes.signing import SigningKey, signed
from cortexbuild.remotes.tiers import weigh
from cortexbuild.store.traces import MOST, trace_to_text

CI, ALICE = SigningKey("ci-2026", bytes(range(32))), SigningKey("alice", bytes(32))
TRUSTED = {"ci-2026": CI.public()}
INGREDIENTS = {"kind": "quantize", "params": {"bits": 4}}
KEY = key_of(INGREDIENTS)
TREE = Tree((File("model.txt", Digest("a" * 64), 4),))
TRACE = Trace(KEY, INGREDIENTS, TREE, "m:t/quantize", {"at": "today", "seconds": "1.5"})


def said(trace_or_text, key=KEY, trusted=TRUSTED, unsigned=False):
    text = trace_or_text if isinstance(trace_or_text, str) else trace_to_text(trace_or_text)
    found, why = weigh(text, key, trusted, unsigned=unsigned)
    assert (found is None) == bool(why)
    return why or "believed"


def changed(**values):
    value = json.loads(trace_to_text(signed(TRACE, CI)))
    del value["sum"]  # which whoever changes it would make anew
    return json.dumps(value | values)


def test_who_signed_decides():
    assert said(signed(TRACE, CI)) == "believed"
    assert said(signed(signed(TRACE, ALICE), CI)) == "believed"
    assert said(signed(TRACE, ALICE)) == "signed by alice, which is not trusted"
    assert said(TRACE) == "not signed"
    assert said(TRACE, unsigned=True) == "believed"
    assert said(signed(TRACE, SigningKey("ci-2026", ALICE.seed))) == "wrongly signed by ci-2026"


@pytest.mark.parametrize(
    "values",
    [
        {"tree": [["model.txt", "b" * 64, 4]]},
        {"tree": [["model.txt", "a" * 64, 5]]},
        {"tree": [["other.txt", "a" * 64, 4]]},
        {"tree": []},
        {"label": "m:t/other"},
        {"made": {"at": "yesterday", "seconds": "1.5"}},
        {"signatures": {"ci-2026": "AAAA"}},
        {"signatures": {"ci-2026": "no base64"}},
    ],
)
def test_nothing_of_a_record_can_be_changed(values):
    assert said(changed(**values)) == "wrongly signed by ci-2026"


def test_a_bit_that_flipped_in_a_record_is_damage():
    text = trace_to_text(TRACE).replace("model.txt", "mndel.txt")
    assert said(text, unsigned=True) == "damaged, not a trace: it is not as it was written"


def test_a_record_of_before_there_were_sums_is_read():
    assert said(changed()) == "believed"


def test_a_record_is_no_record_of_another_key():
    assert "the record of another key" in said(signed(TRACE, CI), key=StepKey("0" * 64))
    assert "its key is not that of its ingredients" in said(
        changed(key="0" * 64), key=StepKey("0" * 64)
    )
    assert "its key is not that of its ingredients" in said(changed(ingredients={}))


@pytest.mark.parametrize(
    "paths",
    [
        ["../evil"], ["/etc/evil"], ["a//b"], ["a/./b"], ["a\\b"], ["C:/x"], [""], ["a\0b"],
        ["a\nb"], ["a\x1b[2Jb"], ["Model.txt", "model.txt"], ["b", "a"], ["a", "a"],
        ["a", "a/b"], ["x" * 300],
    ],
)  # fmt: skip
def test_a_tree_stays_in_its_folder_even_where_all_is_believed(paths):
    tree = [[path, "a" * 64, 4] for path in paths]
    assert said(changed(tree=tree), unsigned=True).startswith("damaged")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"key": ' + "[" * 200_000,
        changed(ingredients=1.5),
        changed(ingredients={"x": 1.5}),
        changed(tree=[["model.txt", "a" * 64, -1]]),
        changed(tree=[["model.txt", "a" * 64, True]]),
        changed(tree=[["model.txt", "A" * 64, 4]]),
        changed(tree=[["model.txt", 5, 4]]),
        changed(tree={"model.txt": 4}),
        changed(made=[]),
        changed(signatures=[]),
        changed(key=None),
        changed(label="\ud800"),
        changed(label="\x1b[2J"),
        changed(made={"at": "\ud800"}),
        changed(signatures={"\x1b[2J": "x"}),
        '{"size": ' + "9" * 10_000 + "}",
        "{}", "", "null", "[]", "NaN", "\ufffd\ufffd",
        " " * (MOST + 1),
    ],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_a_record_that_is_none_is_damaged_and_no_crash(text):
    assert said(text, unsigned=True).startswith("damaged")
