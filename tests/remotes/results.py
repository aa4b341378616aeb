"""Results of a few steps, made up, and a key to sign them with."""

from __future__ import annotations

import random

from cortexbuild.core.step import Trace, key_of
from cortexbuild.remotes.signing import SigningKey
from cortexbuild.store.local import LocalStore
from cortexbuild.store.scratch import scratch

KEY = SigningKey("ci", bytes(32))
TRUSTED = {"ci": KEY.public()}


def built(store: LocalStore, count=3, size=1 << 20) -> list[Trace]:
    """Some results of two files each, in a store."""
    found = []
    for number in range(count):
        with scratch(store.root) as folder:
            out = folder / "out"
            out.mkdir()
            (out / "config.json").write_text(f"{number}")
            (out / "model.bin").write_bytes(random.Random(number).randbytes(size))
            tree = store.add_folder(out)
            ingredients = {
                "schema": 1,
                "kind": "x",
                "tool": {},
                "format": "",
                "params": {"n": number},
            }
            trace = Trace(key_of(ingredients), ingredients, tree, f"m:t{number}", {})
            found.append(store.keep_trace(trace, folder))
    return found
