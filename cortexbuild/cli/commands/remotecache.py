"""`cache … --remote NAME`: what a shared cache has, whether it is right, and making room there."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from contextlib import closing

from ...core.address import Address
from ...core.manifest import Manifest
from ...core.remote import Area, Remote
from ...core.step import StepKey
from ...errors import IntegrityError, UsageError
from ...remotes import open_remote
from ...remotes.audit import audit
from ...remotes.collect import collect
from ...remotes.keys import trusted_keys
from ...remotes.tiers import weigh
from ...remotes.traces import read_text
from ...remotes.transfer import persist
from .. import words
from ..beside import read_manifest
from ..sharing import keys_folder
from .command import open_store, print_json, print_rows, root_of

AREAS: tuple[Area, ...] = ("ac", "cas", "roots")


def ls(args: argparse.Namespace) -> int:
    """Every record: whose it is, and how much it stands for."""
    manifest, address, remote = _open(args)
    trusted = trusted_keys(keys_folder(), manifest.trust)
    there = {one.name for one in persist(lambda: list(remote.entries("cas")))}
    rows = []
    for one in persist(lambda: list(remote.entries("ac"))):
        key = StepKey(one.name)
        text = persist(lambda key=key: read_text(remote, key))  # type: ignore[misc]
        trace, why = weigh(text or "", key, trusted, unsigned=address.unsigned)
        if trace is None:
            rows.append(("-", "-", words.day(one.modified), why, key[:12]))
            continue
        whole = all(file.digest in there for file in trace.tree.files)
        state = "whole" if whole else "record only"
        signers = ", ".join(sorted(trace.signatures)) or "not signed"
        size = words.size(trace.tree.size)
        rows.append((state, size, words.day(one.modified), signers, trace.label))
    if args.json:
        names = ("state", "size", "modified", "signed", "label")
        print_json(
            "cache-ls-remote/1", {"records": [dict(zip(names, r, strict=True)) for r in rows]}
        )
    else:
        print_rows(sorted(rows, key=lambda row: row[-1]))
    return 0


def stats(args: argparse.Namespace) -> int:
    _, address, remote = _open(args)
    counts, sizes = Counter[str](), Counter[str]()
    for area in AREAS:
        for one in persist(lambda area=area: list(remote.entries(area))):  # type: ignore[misc]
            counts[area] += 1
            sizes[area] += one.size
    if args.json:
        listed = {area: {"count": counts[area], "bytes": sizes[area]} for area in AREAS}
        print_json("cache-stats-remote/1", {"remote": address.name, "areas": listed})
        return 0
    print(
        f"{address.url}: {words.count(counts['ac'], 'record')}, "
        f"{words.count(counts['cas'], 'file')}, {words.size(sizes['cas'])}, "
        f"{words.count(counts['roots'], 'push')}"
    )
    return 0


def gc(args: argparse.Namespace) -> int:
    if args.older_than is None:
        raise UsageError(
            "a remote is collected by age, since many use it",
            hint="say how old may go: `--older-than 90d`",
        )
    _, address, remote = _open(args)
    before = time.time() - args.older_than.total_seconds()
    found = collect(remote, before, dry=args.dry_run)
    counts = {area: len(gone) for area, gone in found.gone.items()}
    if args.json:
        fields = {"dry_run": args.dry_run, "remote": address.name, "gone": counts}
        print_json("gc-remote/1", {**fields, "freed": found.size, "after": found.kept_size})
        return 0
    said = "would go" if args.dry_run else "gone"
    print(
        f"{said}: {words.count(counts['cas'], 'file')} and {words.count(counts['ac'], 'record')}, "
        f"{words.size(found.size)}; {words.size(found.kept_size)} stay"
    )
    return 0


def verify(args: argparse.Namespace) -> int:
    manifest, address, remote = _open(args)
    trusted = trusted_keys(keys_folder(), manifest.trust)
    with closing(open_store()) as store:
        found = audit(address, remote, trusted, store.index, lambda _: None)
    if args.json:
        fields = {"remote": address.name, "records": found.records, "files": found.contents}
        more = {"bytes": found.size, "record_only": found.bare, "damaged": found.damaged}
        print_json("verify-remote/1", {**fields, **more, "doubted": dict(found.doubted)})
    else:
        for why, count in sorted(found.doubted.items()):
            print(f"{words.count(count, 'record')} not believed: {why}", file=sys.stderr)
        for name in found.damaged:
            print(f"damaged: {name}", file=sys.stderr)
    if found.damaged:
        raise IntegrityError(
            f"{words.count(len(found.damaged), 'object')} of {address.name} damaged",
            hint="`cortexbuild push` from here puts right what is built here",
        )
    if not args.json:
        files = f"{words.count(found.contents, 'file')} ({words.size(found.size)})"
        print(
            f"{words.count(found.records, 'record')} and {files} as they should be", file=sys.stderr
        )
    return 0


def _open(args: argparse.Namespace) -> tuple[Manifest, Address, Remote]:
    manifest = read_manifest(args.manifest)
    address = manifest.cache.remote(args.remote)
    return manifest, address, open_remote(address, root_of(args))
