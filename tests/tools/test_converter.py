"""How llama.cpp's converter is run, with one that is not llama.cpp's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Event

import pytest

from cortexbuild.errors import ToolError
from cortexbuild.testing import plain_run
from cortexbuild.tools.toolchain import PROGRESS, START, Wanted, quantize_converted, run_converter

BASE = "class TextModel:\n    def get_vocab_base_pre(self, tokenizer): raise NotImplementedError\n"


def call(argv: Sequence[str]) -> None:
    if subprocess.run(argv, capture_output=True).returncode:
        raise ToolError("`python` ended with 1")


@pytest.fixture
def convert(tmp_path):
    """Runs a converter of this body; gives the error."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "config.json").write_text('{"model_type": "../llama"}')
    (tmp_path / "conversion").mkdir()
    (tmp_path / "conversion" / "base.py").write_text(BASE)

    def run(body: str, run_program=call) -> ToolError:
        script = "import logging, sys\nfrom pathlib import Path\nfrom conversion.base import *\n"
        (tmp_path / "convert_hf_to_gguf.py").write_text(f"{script}def main():\n    {body}\n")
        with pytest.raises(ToolError) as caught:
            run_converter(run_program, tmp_path, source, tmp_path / "out", "f16")
        return caught.value

    return run


@pytest.mark.parametrize(
    ("body", "message", "hint"),
    [
        ("logging.error('no such model'); sys.exit(1)", "llama.cpp's converter: no such model", ""),
        ("sys.exit('usage: me')", "llama.cpp's converter: usage: me", ""),
        ("sys.exit(1)", "llama.cpp's converter: it ended without a reason", ""),
        ("raise KeyError('w')", "the conversion stopped: KeyError: 'w'", ""),
        (
            "import sentence_pieces",
            "the conversion stopped: ModuleNotFoundError: No module named 'sentence_pieces'",
            "pip install 'cortexbuild[gguf]'",
        ),
        (
            "raise ValueError(Path(sys.argv[1]).name)",
            "the conversion stopped: ValueError: model",
            "",
        ),
        (
            "import numpy; numpy.float32(1e9).astype(numpy.float16)",
            "a weight is too large for f16",
            "`set: {dtype: bf16}` has the range",
        ),
    ],
)
def test_the_reason_comes_back_from_the_process(convert, body, message, hint):
    error = convert(body)
    assert str(error) == message
    assert error.hint == hint or (not hint and "log of the step" in error.hint)


def test_a_process_that_dies_without_a_reason_is_an_error_too(convert):
    assert str(convert("import os; os._exit(3)")) == "`python` ended with 1"


def test_the_choice_by_tokenizer_json_is_the_converters_last_resort(convert, tmp_path: Path):
    before = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    body = "model = TextModel(); model.dir_model = Path(sys.argv[1]); raise ValueError(model.get_vocab_base_pre(0))"
    write(tmp_path / "source" / "tokenizer.json", before)
    assert str(convert(body)) == "the conversion stopped: ValueError: gpt-2"
    write(tmp_path / "source" / "tokenizer.json", {"type": "Whitespace"})
    assert "no pre-tokenizer that splits text as this model's" in str(convert(body))


def write(path: Path, before: dict) -> None:
    path.write_text(json.dumps({"pre_tokenizer": before, "model": {"type": "BPE"}}))


def test_how_far_it_is_is_told_while_it_runs_and_nothing_of_it_stays(tmp_path: Path):
    told, heard = [], Event()

    def run(argv: Sequence[str]) -> None:
        scratch = Path(argv[-2])
        assert json.loads(argv[-1]) == [{"mixture": "Q8_0", "out": "o", "fallback": "allow"}]
        (scratch / PROGRESS).write_text("3 half of it is w")
        (scratch / PROGRESS).write_text("3 7")
        assert heard.wait(30)

    def hear(done: int, total: int) -> None:
        told.append((done, total))
        heard.set()

    inputs = {"model": tmp_path / "m", "toolchain": tmp_path / "t"}
    out = tmp_path / "out"
    out.mkdir()
    quantize_converted(plain_run(inputs, out, run, hear), "f16", [Wanted("Q8_0", "o", "allow")])
    assert set(told) == {(3, 7)} and not list(out.iterdir())


def test_its_process_says_all_and_ends_at_once(tmp_path):
    tools = tmp_path / "cortexbuild" / "tools"
    tools.mkdir(parents=True)
    (tools / "converting.py").write_text(
        "import atexit\ndef main(argv): print(argv); atexit.register(print, 'in order')\n"
    )
    # -I and -S: without what is installed or named in the environment, this `cortexbuild` is alone.
    argv = [sys.executable, "-I", "-S", "-c", START, str(tmp_path), "source"]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "['source']\n"), done.stderr
