"""Models written piece by piece: any order of pieces, several files, and going on after a stop."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortexbuild.formats.safetensors.header import read_header
from cortexbuild.formats.safetensors.shards import entry_bytes, into_shards
from cortexbuild.formats.safetensors.stream import INDEX, SafetensorsWriter
from cortexbuild.formats.safetensors.tensors import NUMPY_TYPES, open_tensors
from cortexbuild.testing import PlainOutput

WIDTHS = ("U8", "F16", "F32", "U32")


def nothing(_done, _total):
    """Nobody looks on."""


@st.composite
def models(draw):
    """Entries of modules, each with a matrix and perhaps what belongs to it."""
    entries = []
    for module in range(draw(st.integers(1, 5))):
        for leaf in ("weight", "scales", "bias")[: draw(st.integers(1, 3))]:
            shape = (draw(st.integers(0, 6)), draw(st.integers(1, 4)))
            entries.append((f"m{module}.{leaf}", draw(st.sampled_from(WIDTHS)), shape))
    return entries


def numbers_of(entries):
    found, start = {}, 0
    for name, dtype, shape in entries:
        count = shape[0] * shape[1]
        found[name] = np.arange(start, start + count).astype(NUMPY_TYPES[dtype]).reshape(shape)
        start += count
    return found


@settings(deadline=None, max_examples=100)
@given(models(), st.integers(1, 60), st.data())
def test_whatever_the_order_of_pieces_each_tensor_is_what_was_given(
    tmp_path_factory, entries, largest, pick
):
    folder = tmp_path_factory.mktemp("model")
    (folder / "config.json").write_text("{}")
    numbers, shards = numbers_of(entries), into_shards(entries, largest)
    pieces = [(name, row) for name, rows in numbers.items() for row in rows]
    order = pick.draw(st.permutations(range(len(pieces)))) if pick.draw(st.booleans()) else ()
    if order:  # rows of one tensor stay in their order
        by_name = {name: iter(rows) for name, rows in numbers.items()}
        pieces = [(pieces[at][0], next(by_name[pieces[at][0]])) for at in order]
    with SafetensorsWriter(PlainOutput(folder), shards, {}, nothing) as out:
        for name, row in pieces:
            out.append(name, row)
    found = open_tensors(folder)
    assert found.keys() == numbers.keys()
    for name, expected in numbers.items():
        assert np.array_equal(found[name].numbers, expected)
    assert (folder / INDEX).exists() == (len(shards) > 1)


@settings(max_examples=200)
@given(models(), st.integers(1, 60))
def test_shards_have_every_tensor_once_and_keep_modules_together(entries, largest):
    shards = into_shards(entries, largest)
    assert sorted(e for shard in shards for e in shard.entries) == sorted(entries)
    for shard in shards:
        modules = [name.rpartition(".")[0] for name, _, _ in shard.entries]
        assert shard.size <= largest or len(set(modules)) == 1
    of = {name.rpartition(".")[0]: set() for name, _, _ in entries}
    for shard in shards:
        for name, _, _ in shard.entries:
            of[name.rpartition(".")[0]].add(shard.name)
    assert all(len(files) == 1 for files in of.values())


ENTRIES = [(f"m{n}.weight", "F32", (4, 2)) for n in range(3)]
SHARDS = into_shards(ENTRIES, 32)


def test_a_file_that_was_finished_is_not_written_again(tmp_path):
    numbers = numbers_of(ENTRIES)
    out = SafetensorsWriter(PlainOutput(tmp_path), SHARDS, {}, nothing)
    with pytest.raises(KeyboardInterrupt), out:
        out.append("m0.weight", numbers["m0.weight"])
        out.append("m1.weight", numbers["m1.weight"][:2])
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == [SHARDS[0].name]
    before = (tmp_path / SHARDS[0].name).stat()
    seen = []
    output = PlainOutput(tmp_path)
    with SafetensorsWriter(output, SHARDS, {}, lambda *at: seen.append(at)) as out:
        assert [out.has(name) for name, _, _ in ENTRIES] == [True, False, False]
        out.append("m0.weight", np.zeros((4, 2), np.float32))
        for name in ("m1.weight", "m2.weight"):
            out.append(name, numbers[name])
    assert (tmp_path / SHARDS[0].name).stat() == before
    assert seen == [(64, 96), (96, 96)], "what was there counts as done"
    places = json.loads((tmp_path / INDEX).read_text())["weight_map"]
    for name, expected in numbers.items():
        path = tmp_path / places[name]
        info = read_header(path).tensors[name]
        assert path.read_bytes()[info.start : info.end] == expected.tobytes()


def test_a_tensor_that_is_short_or_long_is_a_bug_of_the_caller(tmp_path):
    out = SafetensorsWriter(PlainOutput(tmp_path), SHARDS, {}, nothing)
    with pytest.raises(AssertionError, match=r"m1.weight.*shorter"), out:
        out.append("m0.weight", np.zeros((4, 2), np.float32))
        out.append("m2.weight", np.zeros((4, 2), np.float32))
    out = SafetensorsWriter(PlainOutput(tmp_path), SHARDS, {}, nothing)
    with pytest.raises(AssertionError, match="longer"), out:
        out.append("m1.weight", np.zeros((5, 2), np.float32))


def test_wide_numbers_come_first_within_a_file():
    entries = [("a.norm", "F16", (3,)), ("b.weight", "U32", (2, 2)), ("b.scales", "F16", (2, 1))]
    (shard,) = into_shards(entries)
    assert [name for name, _, _ in shard.entries] == ["b.weight", "b.scales", "a.norm"]
    assert shard.size == sum(map(entry_bytes, entries)) == 6 + 16 + 4
