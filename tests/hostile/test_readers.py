"""Bytes of strangers: what was found once, what is made up anew, and what is meant to explode."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from functools import cache
from pathlib import Path
from random import Random

import pytest
from hostile.bombs import BOMBS
from hostile.mutations import mutate
from hostile.readers import READERS, try_on
from hostile.seeds import seeds
from hypothesis import given, settings
from hypothesis import strategies as st

CORPUS = Path(__file__).parent / "corpus"
MOST_MEMORY = 64 << 20
"""Bytes that one example of up to 64 kB may take."""

examples = cache(seeds)


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_takes_what_is_well_formed(reader: str) -> None:
    assert any(try_on(reader, data) is not None for data in examples(reader))


@pytest.mark.parametrize("reader", READERS)
def test_what_the_fuzzer_found_is_read_or_refused(reader: str) -> None:
    found = sorted((CORPUS / reader).iterdir())
    assert found, "each reader has a corpus"
    for path in found:
        tracemalloc.start()
        try:
            try_on(reader, path.read_bytes())
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most < MOST_MEMORY, f"{path.name} takes {most >> 20} MiB"


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=60, deadline=None)
@given(chance=st.integers(0, 2**32), which=st.integers(0, 99))
def test_no_change_of_what_is_well_formed_breaks_a_reader(
    reader: str, chance: int, which: int
) -> None:
    begun = examples(reader)
    try_on(reader, mutate(begun[which % len(begun)], Random(chance)))


@pytest.fixture(scope="module")
def said() -> dict[str, str]:
    """What came of every bomb. One that ends the process is told by that; the others go on."""
    answers: dict[str, str] = {}
    while left := [name for name in BOMBS if name not in answers]:
        done = subprocess.run(
            [sys.executable, "-m", "hostile.bombs", *left],
            cwd=CORPUS.parent.parent, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        for line in done.stdout.splitlines():
            name, answer = json.loads(line)
            answers[name] = answer if answer is not None else f"ended with {done.returncode}"
        if done.returncode and not done.stdout:
            pytest.fail(done.stderr)
    return answers


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_in_words(said: dict[str, str], bomb: str) -> None:
    expected = BOMBS[bomb][2]
    assert "ended with" not in said[bomb], said[bomb]
    if expected:
        assert expected in said[bomb]
