"""Files in the Hub's xet storage, brought by hf_xet from a storage on loopback.

Each fetch has a process of its own: hf_xet starts threads that stay, and reads its settings once.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hub import Cut, Drop, Flip, Hub, Slow, Status
from hub.model import Blob, Request
from hub.xet import PIECE

pytest.importorskip("hf_xet")

REPO = "org/model"
WEIGHTS = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(20_000))
FILES = {"model.safetensors": WEIGHTS, "config.json": b"{}"}

FETCH = """
import json, sys
from contextlib import closing
from pathlib import Path
from cortexbuild.core.digest import Digest, File, Tree
from cortexbuild.core.lock import Pinned
from cortexbuild.errors import CortexError
from cortexbuild.sources.hf import fetch
from cortexbuild.store.delivery import StoreDelivery
from cortexbuild.store.local import LocalStore
from cortexbuild.store.scratch import scratch

commit, files = sys.argv[2], json.loads(sys.argv[3])
tree = Tree.of([File(path, Digest(digest), size) for path, digest, size in files])
store = LocalStore(Path(sys.argv[1]))
tell = lambda done, total: print(done, flush=True)
try:
    with scratch(store.root) as folder, closing(StoreDelivery(store, tree, folder, tell)) as to:
        fetch(Pinned("hf:org/model", tree, {}, commit), Path(), to)
except CortexError as error:
    sys.exit(f"{type(error).__name__}: {error}")
finally:
    store.close()
"""


@pytest.fixture
def hub():
    with Hub(xet=True, tokens={"good"}) as hub:
        yield hub


class Machine:
    """A store, into which one process after the other fetches. `said` is of the last, `told` how
    many bytes it told of in the end."""

    def __init__(self, hub: Hub, home: Path) -> None:
        self.hub, self.store = hub, home / "store"
        self.said, self.told = "", 0
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "CORTEX_"))}
        self.env = inherited | {
            "HF_ENDPOINT": hub.url, "HF_HOME": str(home / "hf"), "HOME": str(home),
            "HF_TOKEN": "good", "NO_PROXY": "127.0.0.1", "HF_XET_CLIENT_RETRY_BASE_DELAY": "10ms",
        }  # fmt: skip

    def starts(self, files: Mapping[str, bytes] = FILES) -> subprocess.Popen[str]:
        commit = self.hub.commit(REPO, files)
        rows = [(path, hashlib.sha256(c).hexdigest(), len(c)) for path, c in files.items()]
        return subprocess.Popen(
            [sys.executable, "-c", FETCH, str(self.store), commit, json.dumps(rows)],
            env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def fetches(self, files: Mapping[str, bytes] = FILES, code: int = 0) -> None:
        with self.starts(files) as process:
            out, self.said = process.communicate(timeout=60)
        assert process.returncode == code, self.said
        self.told = int(out.splitlines()[-1]) if out else 0

    def has(self, content: bytes) -> bool:
        digest = hashlib.sha256(content).hexdigest()
        kept = self.store / "cas/sha256" / digest[:2] / digest
        return kept.exists() and kept.read_bytes() == content

    def parts(self) -> list[str]:
        return [path.name for path in (self.store / "partial").iterdir()]


@pytest.fixture
def machine(hub, tmp_path):
    return Machine(hub, tmp_path)


def asked(hub: Hub, start: str) -> list[Request]:
    return [request for request in hub.log if request.path.startswith(start)]


def test_a_large_file_comes_from_the_storage_with_a_token_of_it_and_a_small_one_by_http(
    hub, machine
):
    machine.fetches()
    assert machine.has(WEIGHTS) and machine.has(b"{}")
    assert (machine.parts(), machine.said, machine.told) == ([], "", len(WEIGHTS) + 2)
    plain = [(each.method, each.path.rpartition("/")[2]) for each in asked(hub, "/org/model")]
    assert plain.count(("GET", "config.json")) == 1
    assert ("GET", "model.safetensors") not in plain and asked(hub, "/cdn/") == []
    (token,) = asked(hub, f"/api/models/{REPO}/xet-read-token/")
    assert token.token == "good"
    (file,) = asked(hub, "/cas/v2/")
    assert {file.token} == hub.storage.tokens and file.range == (0, len(WEIGHTS) - 1)
    xorbs = asked(hub, "/cas/xorbs/")
    assert len(xorbs) == len(WEIGHTS) // PIECE + 1
    assert all(each.status == 206 and each.range[0] > 0 for each in xorbs)
    assert {each.token for each in xorbs} == {None}
    assert "POST" not in {each.method for each in hub.log}, "it reports on nobody"


@pytest.mark.parametrize(
    ("fault", "where", "tries"),
    [
        (Status(500), "/cas/v2/*", 4),
        (Status(403), "/cas/v2/*", 1),
        (Drop(after=1000, reset=True), "/cas/xorbs/*", 4),
        (Cut(by=PIECE), "/cas/xorbs/*", 4),
        (Status(403), "*/xet-read-token/*", 1),
    ],
    ids=["busy", "refuses", "drops", "cuts", "no-token"],
)
def test_when_the_storage_fails_http_brings_that_file_and_the_next(
    hub, machine, fault, where, tries
):
    hub.fault(fault, where, times=99)
    machine.fetches(FILES | {"next.safetensors": WEIGHTS[::-1]})
    assert machine.has(WEIGHTS) and machine.has(WEIGHTS[::-1]) and machine.parts() == []
    assert machine.told == 2 * len(WEIGHTS) + 2
    assert "model.safetensors: not by xet: " in machine.said
    assert machine.said.count("not by xet") == 1, "it is not asked for the next file"
    whole = [(None, len(WEIGHTS))] * 2
    assert [(each.range, each.sent) for each in asked(hub, "/cdn/")] == whole
    met = [each.path for each in hub.log if hub.armed[0].meets(each)]
    assert max(met.count(path) for path in met) == tries


def test_what_came_before_it_failed_is_not_built_upon(hub, machine):
    """The first part comes, and is wrong; the second never does."""
    first, second, *_ = hub.storage.files[hub.storage.keep(Blob(WEIGHTS, lfs=True))]
    hub.fault(Flip(at=100_000), f"/cas/xorbs/{first.xorb}")
    hub.fault(Drop(after=1000), f"/cas/xorbs/{second.xorb}", times=99)
    machine.fetches()
    assert machine.has(WEIGHTS) and [each.range for each in asked(hub, "/cdn/")] == [None]
    assert machine.told == len(WEIGHTS) + 2


def test_a_moment_of_weakness_is_waited_for(hub, machine):
    hub.fault(Status(503), "/cas/v2/*")
    hub.fault(Drop(after=1000), "/cas/xorbs/*")
    machine.fetches()
    assert machine.has(WEIGHTS) and machine.said == "" and asked(hub, "/cdn/") == []


def test_wrong_bytes_are_refused_and_none_are_kept(hub, machine):
    """hf_xet does not see it; the pin does."""
    hub.fault(Flip(at=100_000), "/cas/xorbs/*")
    machine.fetches(code=1)
    assert (
        "IntegrityError: hf:org/model: `model.safetensors` is not what was pinned" in machine.said
    )
    kept = [path.stat().st_size for path in (machine.store / "cas").rglob("*") if path.is_file()]
    assert machine.parts() == [] and kept == [2], "of config.json"
    machine.fetches()
    assert machine.has(WEIGHTS) and asked(hub, "/cdn/") == []


def test_when_it_is_switched_off_the_storage_is_not_asked(hub, machine):
    machine.env["HF_HUB_DISABLE_XET"] = "1"
    machine.fetches()
    assert machine.has(WEIGHTS) and len(asked(hub, "/cdn/")) == 1
    assert asked(hub, "/cas/") == [] == asked(hub, f"/api/models/{REPO}/xet-read-token/")


def test_it_tells_of_what_came_and_http_goes_on_there_when_it_was_killed(hub, machine):
    _, second, *_ = hub.storage.files[hub.storage.keep(Blob(WEIGHTS, lfs=True))]
    hub.fault(Slow(20), f"/cas/xorbs/{second.xorb}")
    with machine.starts({"model.safetensors": WEIGHTS}) as process:
        assert process.stdout is not None and int(process.stdout.readline()) == PIECE
        process.kill()
    assert machine.parts() == [f"{hashlib.sha256(WEIGHTS).hexdigest()}.part"]
    machine.fetches({"model.safetensors": WEIGHTS})
    assert machine.has(WEIGHTS) and machine.parts() == []
    assert [each.range for each in asked(hub, "/cdn/")] == [(PIECE, None)]
