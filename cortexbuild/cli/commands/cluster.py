"""`worker`, `scheduler` and `cluster`: the machines that steps run on."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from functools import partial
from pathlib import Path

from ...core.manifest import Resources
from ...exec.cluster.beacon import beacon
from ...exec.cluster.certificates import certificates
from ...exec.cluster.offer import Offer, offer_from, offer_here
from ...exec.cluster.security import check_place
from ...exec.pool import Pool
from ...store.storelock import store_lock
from .. import wire, words
from ..cluster import add_certificates, add_place, check_dask, place_of
from ..machine import capacity, children
from ..runs import end_run, new_run
from .command import Command, a_count, a_size, add_json, print_json, print_rows


def _worker_arguments(parser: argparse.ArgumentParser) -> None:
    add_place(parser, required=True)
    parser.add_argument("--name", default="", help="what messages call it; made from the host's")
    parser.add_argument("--memory", type=a_size, metavar="N", help="for steps, such as 64GiB")
    parser.add_argument("-j", "--jobs", type=a_count, metavar="N", help="steps at once")
    add_json(parser)


def _worker(args: argparse.Namespace) -> int:
    place = place_of(args)
    check_place(place)
    check_dask()
    from ...exec.cluster.serve import serve_worker
    from ...exec.cluster.site import Site

    store = wire.open_store()
    run = new_run(store)
    room = capacity(Resources(memory=args.memory, jobs=args.jobs))
    name = args.name or f"{socket.gethostname()}-{os.getpid()}"
    hold = partial(store_lock, store.root, "worker", partial(print, file=sys.stderr))
    site = Site(store.root, run, Pool(children(room)), hold)
    try:
        with beacon(store.root) as shown:
            offer = offer_here(name, room, store.root, shown)
            ready = partial(_say_ready, args.json, "  ".join(_row(offer)))
            serve_worker(place, offer, site, ready)
    finally:
        end_run(store, run)
    return 0


def _say_ready(as_json: bool, what: str, address: str) -> None:
    """Both run until they are stopped, so this is all that they print on stdout."""
    if as_json:
        print_json("listening/1", {"address": address})
        sys.stdout.flush()
    print(f"{address}  {what}".rstrip(), file=sys.stderr, flush=True)


def _scheduler_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--listen", metavar="ADDR", default="tls://0.0.0.0:8786", help="tls://0.0.0.0:8786"
    )
    add_certificates(parser)
    add_json(parser)


def _scheduler(args: argparse.Namespace) -> int:
    place = place_of(args, args.listen)
    check_place(place)
    check_dask()
    from ...exec.cluster.serve import serve_scheduler

    serve_scheduler(place, partial(_say_ready, args.json, ""))
    return 0


def _workers_arguments(parser: argparse.ArgumentParser) -> None:
    add_place(parser, required=True)
    add_json(parser)


def _workers(args: argparse.Namespace) -> int:
    check_dask()
    from ...exec.cluster.connect import connect

    link = connect(place_of(args), lambda _what, _value: None)
    try:
        told = link.workers()
    finally:
        link.close()
    offers = [offer_from(one.get("cortexbuild")) for one in told.values()]
    known = sorted((offer for offer in offers if offer is not None), key=lambda offer: offer.name)
    if args.json:
        print_json("cluster/1", {"workers": [offer.plain() for offer in known]})
    else:
        print_rows([_row(offer) for offer in known])
    return 0


def _row(offer: Offer) -> tuple[str, ...]:
    room = offer.room
    gpu = words.count(room.gpu, "accelerator") if room.gpu else "no accelerator"
    return (
        offer.name, words.size(room.memory), words.count(room.jobs, "step") + " at once", gpu,
        ", ".join(offer.abilities) or "no engine", offer.system, f"cortexbuild {offer.cortexbuild}",
    )  # fmt: skip


def _certificates_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("into", type=Path, metavar="DIR", help="where they are kept")
    parser.add_argument("--name", default="cluster", help="whom it is for; one for all will do")
    add_json(parser)


def _certificates(args: argparse.Namespace) -> int:
    files = [str(path) for path in certificates(args.into, args.name)]
    if args.json:
        print_json("certificates/1", {"files": files})
    else:
        print("\n".join(files))
    print(
        "give each machine `ca.pem` and a pair; whoever has these can run programs on all. "
        "`ca.key` stays here",
        file=sys.stderr,
    )
    return 0


COMMANDS = (
    Command("worker", "run steps that others send to this machine", _worker_arguments, _worker),
    Command("scheduler", "tell workers and those who sync of each other", _scheduler_arguments,
            _scheduler),
    Command("cluster", "the machines that steps run on", parts=(
        Command("workers", "who is there, and with what", _workers_arguments, _workers),
        Command("certificates", "make what machines prove themselves with",
                _certificates_arguments, _certificates),
    )),
)  # fmt: skip
