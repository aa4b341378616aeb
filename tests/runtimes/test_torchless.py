"""Whose PyTorch it is: transformers' import of it takes seconds, and most have no use for it."""

import os
import subprocess
import sys

SCRIPT = """
import sys
{first}
from cortexbuild.runtimes.torchless import leave_torch_to_others
leave_torch_to_others()
from transformers import AutoConfig, LlamaConfig
LlamaConfig().to_dict()
print("torch" in sys.modules)
import torch
print(torch.__file__)
"""


def run_script(folder, first=""):
    # To transformers, what is installed is PyTorch; what is imported is quicker.
    (folder / "torch.py").write_text("class nn: Module = object\nTensor = device = object\n")
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, "-c", SCRIPT.format(first=first)], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )  # fmt: skip


def test_transformers_does_without_what_others_import(tmp_path):
    done = run_script(tmp_path)
    assert done.stdout.splitlines() == ["False", str(tmp_path / "torch.py")], done.stderr
    assert not done.stderr, "nothing says that there is no PyTorch"


def test_pytorch_that_is_there_already_stays(tmp_path):
    done = run_script(tmp_path, "import torch")
    assert "torch" in done.stderr, "transformers wants what this one does not have"
