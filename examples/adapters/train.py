"""Train the adapter `docstrings` for examples/models/stdlib-llama-6m, with mlx-lm.

    python examples/adapters/train.py [FOLDER]

The model answers "What does this do?" with a sentence; with the adapter it goes on to name the
arguments. The questions are functions of the standard library, and the answers come from their
own docstrings and signatures. The form of the answer is learnt in the four minutes that this
takes on a CPU; to name the right arguments takes longer. Seeded, and written for CPython 3.11,
whose library the model was trained on.
"""

from __future__ import annotations

import ast
import json
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
MODEL = HERE.parent / "models" / "stdlib-llama-6m"

MODULES = (
    "argparse", "asyncio/base_events", "bisect", "codecs", "concurrent/futures/_base",
    "configparser", "contextlib", "copy", "ctypes/util", "datetime", "difflib", "email/utils",
    "enum", "filecmp", "fileinput", "fnmatch", "fractions", "functools", "genericpath", "getopt",
    "glob", "gzip", "hmac", "html/__init__", "http/client", "http/cookiejar", "imaplib",
    "importlib/util", "inspect", "io", "ipaddress", "json/__init__", "linecache", "locale",
    "logging/__init__", "mailbox", "mimetypes", "multiprocessing/pool", "ntpath", "operator", "os",
    "pathlib", "pickle", "pickletools", "pkgutil", "platform", "poplib", "posixpath", "pprint",
    "random", "re/__init__", "shlex", "shutil", "smtplib", "socket", "string",
    "subprocess", "tarfile", "tempfile", "threading", "timeit", "tokenize", "traceback",
    "types", "typing", "unittest/case", "unittest/mock", "urllib/parse", "urllib/request", "uuid",
    "warnings", "weakref", "xml/dom/minidom", "xml/etree/ElementTree", "zipfile",
)  # fmt: skip
"""None of these is in examples/data/heldout-stdlib.txt."""

SEED, STEPS, BATCH, LEARNING_RATE = 7, 120, 4, 1e-3
MOST_TOKENS = 97
LORA = {
    "rank": 8,
    "scale": 2.0,
    "dropout": 0.0,
    "keys": ["self_attn.q_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.down_proj"],
}


def main(folder: Path) -> None:
    import mlx.core as mx
    import mlx.optimizers as optimizers
    import numpy as np
    from mlx_lm.tuner.datasets import CacheDataset, ChatDataset
    from mlx_lm.tuner.trainer import TrainingArgs, train
    from mlx_lm.tuner.utils import linear_to_lora_layers
    from mlx_lm.utils import load

    mx.random.seed(SEED)
    np.random.seed(SEED)
    model, tokenizer = load(str(MODEL))
    model.set_dtype(mx.float32)  # a CPU adds up better, and faster, in 32 bits
    model.freeze()
    linear_to_lora_layers(model, len(model.layers), LORA)
    examples = CacheDataset(ChatDataset(list(conversations()), tokenizer, mask_prompt=True))
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / "adapters.safetensors"
    settings = TrainingArgs(
        batch_size=BATCH, iters=STEPS, steps_per_report=10, steps_per_save=STEPS + 1,
        max_seq_length=MOST_TOKENS, adapter_file=str(weights),
    )  # fmt: skip
    train(model, optimizers.Adam(LEARNING_RATE), examples, args=settings)
    config = {
        "fine_tune_type": "lora",
        "model": "stdlib-llama-6m",
        "num_layers": len(model.layers),
        "lora_parameters": LORA,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")


def conversations() -> Iterator[dict[str, list[dict[str, str]]]]:
    library = Path(sysconfig.get_path("stdlib"))
    for module in MODULES:
        tree = ast.parse((library / f"{module}.py").read_text(encoding="utf-8"))
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef) and (answer := _answer(function)):
                question = f"What does this do?\ndef {function.name}({_arguments(function)}):"
                yield {
                    "messages": [
                        {"role": "user", "content": question},
                        {"role": "assistant", "content": answer},
                    ]
                }


def _answer(function: ast.FunctionDef) -> str | None:
    """The first sentence of the docstring, and the names of the arguments."""
    paragraph = (ast.get_docstring(function) or "").split("\n\n")[0]
    sentence = " ".join(paragraph.split()).partition(". ")[0].rstrip(".")
    if not 12 <= len(sentence) <= 70 or len(_arguments(function)) > 40:
        return None
    names = [it.arg for it in function.args.args if it.arg not in ("self", "cls")]
    told = f"Its arguments are {', '.join(names)}." if names else "It takes no arguments."
    return f"{sentence}. {told}"


def _arguments(function: ast.FunctionDef) -> str:
    return ast.unparse(function.args)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "docstrings")
