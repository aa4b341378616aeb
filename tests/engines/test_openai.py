"""Built models are served by their runtimes' own servers, and OpenAI's own client talks to them."""

from __future__ import annotations

import json
import os
import signal
from contextlib import ExitStack, contextmanager

import pytest
from openai import OpenAI
from workspace import Workspace

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("engine")]

RECIPE = """\
schema: 1
summary: what an MLX model has, in GGUF
steps:
  - {do: convert, tool: gguf, set: {dtype: f16}}
  - {do: quantize, tool: gguf, set: {type: Q4_1}}
lossless:
  - {from: mlx-4bit, tool: transcode}
"""


@contextmanager
def serving(space, target):
    """What `serve` says when it is ready, and its process. It leaves nothing when it ends."""
    with space.start("serve", target, "--port", "0", "--json") as process:
        text = ""
        for line in process.stdout:
            text += line
            if line.startswith("}"):
                break
        assert text, process.stderr.read()
        said = json.loads(text)
        try:
            yield said
        finally:
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            assert (process.returncode, out) == (130, ""), err
            with pytest.raises(ProcessLookupError):
                os.kill(said["pid"], 0)


@pytest.fixture(scope="module")
def served(shipped, tmp_path_factory):
    """One server for each format: both start while the other does."""
    space = Workspace(tmp_path_factory.mktemp("project"), shipped.home)
    space.write("recipes/q4_1.yaml", RECIPE)
    source = (shipped.home / "mlx_models" / "stdlib-llama--mlx-4bit").resolve()
    text = f"schema: 1\nmodels:\n  m:\n    source: path:{source}\n    targets: [q4_1]\n"
    space.write("cortex.yaml", text)
    space.run("sync")
    with ExitStack() as stack:
        yield {
            "mlx": stack.enter_context(serving(shipped, "stdlib-llama:mlx-4bit")),
            "gguf": stack.enter_context(serving(space, "m:q4_1")),
        }


@pytest.mark.parametrize("form", ["mlx", "gguf"])
def test_openais_client_talks_to_it(served, form):
    said = served[form]
    assert said["url"].startswith("http://127.0.0.1:")
    with OpenAI(base_url=said["url"], api_key="none", max_retries=0) as client:
        (model,) = client.models.list().data
        assert form == "mlx" or model.id == said["model"] == "m:q4_1"
        asked = {
            "model": said["model"],
            "messages": [{"role": "user", "content": "def read(path):"}],
            "max_tokens": 8,
            "temperature": 0,
        }
        whole = client.chat.completions.create(**asked)
        assert whole.usage.completion_tokens == 8
        pieces = client.chat.completions.create(**asked, stream=True)
        text = [c.choices[0].delta.content or "" for c in pieces if c.choices]
        assert "".join(text) == whole.choices[0].message.content and len(text) > 2


def test_a_target_that_nothing_serves_is_told_so(shipped):
    done = shipped.run("serve", "stdlib-llama:int8", code=1)
    assert "nothing here serves int8 models" in done.stderr and "gguf-q4_k_m" in done.stderr
