"""One job in a process of its own, so that what it takes is known: `jobs.py CLIENT push|pull ...`.

A push sends files under their names, a pull brings them and compares their sha256: as they come,
or of the file afterwards for a client that is a program. At the end all is on the disk, synced.

Ours is all of what `push` and `pull` do: from a store, looked at first, with a signed record; and
into a store.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

PIECE = 1 << 20


@dataclass(frozen=True)
class Task:
    """`address` is as in cortex.yaml; `files` are the names of what is in `folder`, which are
    their sha256; `ca` and `user` (with a password) are for the clients that take no address."""

    address: Mapping[str, Any]
    folder: Path
    files: tuple[str, ...]
    ca: str = ""
    user: str = ""

    def url(self, name: str) -> str:
        return f"{self.address['url']}/cas/{name}"


def checked(name: str, pieces: Iterable[bytes], path: Path) -> None:
    summing = hashlib.sha256()
    with path.open("wb", buffering=0) as stream:
        for piece in pieces:
            summing.update(piece)
            stream.write(piece)
        os.fsync(stream.fileno())
    assert summing.hexdigest() == name


Move: TypeAlias = Callable[[str], None]
"""Moves the file of a name. What comes before the first is not measured."""


def ours(task: Task, push: bool) -> Callable[[], None]:
    from cortexbuild.core.address import Address
    from cortexbuild.core.digest import Digest, File, Tree
    from cortexbuild.core.step import Trace, key_of
    from cortexbuild.remotes import open_remote
    from cortexbuild.remotes.receive import receive
    from cortexbuild.remotes.send import Sender, send
    from cortexbuild.remotes.signing import SigningKey
    from cortexbuild.store.delivery import StoreDelivery
    from cortexbuild.store.hashing import sums_of
    from cortexbuild.store.local import LocalStore
    from cortexbuild.store.scratch import scratch

    address = Address(**task.address)
    remote = open_remote(address, task.folder)
    place = task.folder.with_name("store") if push else task.folder / "store"
    store = LocalStore(place)
    sizes = remote.sizes("cas", task.files) if not push else {}
    sizes = sizes or {name: (task.folder / name).stat().st_size for name in task.files}
    tree = Tree.of(File(name, Digest(name), sizes[name]) for name in task.files)
    ingredients = {"schema": 1, "kind": "x", "tool": {}, "format": "", "params": {}}
    trace = Trace(key_of(ingredients), ingredients, tree, "bench", {})
    if push:
        for name in task.files:
            remote.remove("cas", name)
            if not store.blob(Digest(name)).exists():
                os.link(task.folder / name, place / name)
                store.add_file(place / name, sums_of(place / name))

    def pushed() -> None:
        sender = Sender(address, remote, SigningKey("bench", bytes(32)), {}, store)
        with scratch(store.root) as folder:
            send(sender, [(trace, True)], folder, lambda _: None)

    def pulled() -> None:
        with scratch(store.root) as folder:
            delivery = StoreDelivery(store, tree, folder, lambda _done, _total: None)
            receive(tree, [(address, remote)], store, delivery, print)

    return pushed if push else pulled


def urllib3(task: Task, push: bool) -> Move:
    from urllib3 import PoolManager, make_headers

    options: dict[str, Any] = {"ca_certs": task.ca} if task.ca else {}
    pool = PoolManager(blocksize=PIECE, **options)
    headers = make_headers(basic_auth=task.user) if task.user else {}

    def move(name: str) -> None:
        if push:
            length = {"Content-Length": str((task.folder / name).stat().st_size)}
            with (task.folder / name).open("rb", buffering=0) as stream:
                pool.request("PUT", task.url(name), stream, headers={**headers, **length})
        else:
            answer = pool.request("GET", task.url(name), preload_content=False)
            checked(name, iter(lambda: answer.read(PIECE), b""), task.folder / name)

    return move


def curl(task: Task, push: bool) -> Move:
    command = ["curl", "-sSf", *(["--cacert", task.ca] if task.ca else [])]
    command += ["-u", task.user] if task.user else []
    way = "-T" if push else "-o"

    def move(name: str) -> None:
        run(*command, way, str(task.folder / name), task.url(name))
        if not push:
            run("sync", str(task.folder / name))
            check(task.folder / name)

    return move


def obstore(task: Task, push: bool) -> Move:
    from obstore.store import S3Store

    parts = urlsplit(task.address["url"])
    endpoint = task.address.get("endpoint")
    config = {"endpoint": endpoint, "virtual_hosted_style_request": False} if endpoint else {}
    store = S3Store(parts.netloc, prefix=parts.path.strip("/"), config=config,
                    client_options={"allow_http": True})  # fmt: skip

    def move(name: str) -> None:
        if push:
            store.put(f"cas/{name}", task.folder / name)
        else:
            checked(name, store.get(f"cas/{name}").stream(PIECE), task.folder / name)

    return move


def cp(task: Task, push: bool) -> Move:
    there = Path(urlsplit(task.address["url"]).path) / "cas"
    there.mkdir(exist_ok=True)

    def move(name: str) -> None:
        if push:
            run("cp", str(task.folder / name), str(there / name))
            run("sync", str(there / name))
        else:
            run("cp", str(there / name), str(task.folder / name))
            run("sync", str(task.folder / name))
            check(task.folder / name)

    return move


def check(path: Path) -> None:
    with path.open("rb") as stream:
        assert hashlib.file_digest(stream, "sha256").hexdigest() == path.name


def run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


CLIENTS: Mapping[str, Callable[[Task, bool], Move]] = {
    "urllib3": urllib3,
    "curl": curl,
    "obstore": obstore,
    "cp": cp,
}


def used() -> tuple[float, float]:
    spent = os.times()
    return spent.elapsed, spent.user + spent.system + spent.children_user + spent.children_system


def main(client: str, job: str, text: str) -> None:
    plain = json.loads(text)
    plain["folder"], plain["files"] = Path(plain["folder"]), tuple(plain["files"])
    task = Task(**plain)
    if client == "ours":
        work = ours(task, job == "push")
    else:
        move = CLIENTS[client](task, job == "push")

        def work() -> None:
            for name in task.files:
                move(name)

    begun = used()
    work()
    seconds, processor = (end - start for end, start in zip(used(), begun, strict=True))
    unit = 1 if sys.platform == "darwin" else 1024
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    print(json.dumps({"seconds": seconds, "processor": processor, "memory": memory}))


if __name__ == "__main__":
    main(*sys.argv[1:])
