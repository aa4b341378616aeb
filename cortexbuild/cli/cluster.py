"""Steps on other machines, with the real parts: what cortex.yaml, options and variables say."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..app.estimates import needs_of
from ..app.project import Project
from ..core.cluster import HERE, Cluster
from ..core.events import Event
from ..core.needs import Capacity, Needs
from ..core.plan import Scope
from ..core.step import Step, StepId
from ..errors import ToolError, UsageError
from ..exec.cluster.executor import ClusterExecutor
from ..exec.cluster.reach import Reach
from ..exec.cluster.security import Place
from ..exec.cluster.terms import Terms
from ..exec.pool import Pool
from ..remotes import open_remote
from . import wire
from .machine import children
from .sharing import Sharing

if TYPE_CHECKING:
    from ..exec.cluster.connect import Link, Put

PLENTY = Capacity(net=1 << 20)
"""What steps may take together on machines that each know what they have."""


@dataclass(frozen=True, slots=True)
class Machines:
    """Where steps run: at a scheduler's `place`, or on a cluster of this machine. `reach` is of
    the shared caches, where one is written to."""

    place: Place | None
    patience: float
    reach: Reach | None


def add_place(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument(
        "--scheduler", metavar="ADDR", default="", required=required,
        help="where the cluster's scheduler is: tls://HOST:8786",
    )  # fmt: skip
    add_certificates(parser)


def add_certificates(parser: argparse.ArgumentParser) -> None:
    for what, text in (
        ("ca", "certificate of the authority (PEM); also CORTEX_TLS_CA"),
        ("cert", "certificate of this side; also CORTEX_TLS_CERT"),
        ("key", "its key, which nobody else can read; also CORTEX_TLS_KEY"),
    ):
        parser.add_argument(f"--tls-{what}", metavar="FILE", default="", help=text)
    parser.add_argument(
        "--insecure", action="store_true",
        help="speak in clear over a network in which everybody may run what they like here",
    )  # fmt: skip


def place_of(args: argparse.Namespace, address: str = "") -> Place:
    """What the options say."""
    files = args.tls_ca, args.tls_cert, args.tls_key
    return Place(address or args.scheduler, *files, insecure=args.insecure)


def machines(
    args: argparse.Namespace, project: Project, sharing: Sharing
) -> tuple[Project, Machines | None]:
    """Where a sync's steps run, None for this machine alone; and the project as that sees it."""
    said = project.manifest.executor
    if args.executor == "local" and args.scheduler:
        raise UsageError(
            "`--scheduler` is for `--executor dask`",
            hint="leave `--executor local` out, or `--scheduler`",
        )
    if args.executor == "local" or not (args.executor or args.scheduler or said):
        return project, None
    said = said or Cluster(dask=HERE)
    address = args.scheduler or said.dask
    if address == HERE:  # its worker has the client's store
        return project, Machines(None, said.wait, None)
    files = {
        what: getattr(args, f"tls_{what}") or _beside(project.root, getattr(said, what))
        for what in ("ca", "cert", "key")
    }
    place, reach = Place(address, **files, insecure=args.insecure), _reach(project, sharing)
    if reach is not None:
        project = replace(project, at_hand=reach.has)
    return project, Machines(place, said.wait, reach)


def open_cluster(
    project: Project, scope: Scope, run: Path, room: Capacity, chosen: Machines,
    tell: Callable[[Event], None],
) -> ClusterExecutor:  # fmt: skip
    store, pool = wire.store_of(project), Pool(children(room))

    def connect(put: Put) -> Link:
        check_dask()
        from ..exec.cluster import connect as dask_side  # a second, where there is something to do
        from ..exec.cluster.site import Site

        if chosen.place is not None:
            return dask_side.connect(chosen.place, put)
        return dask_side.connect_here(store.root, Site(store.root, run, pool), room, put)

    def needs(step: Step, inputs: Mapping[str, int]) -> Needs:
        return needs_of(project, step, inputs)

    terms = Terms(needs, ends(project, scope).__contains__, chosen.patience)
    return ClusterExecutor(store, project.root, pool, connect, chosen.reach, terms, tell)


def ends(project: Project, scope: Scope) -> frozenset[StepId]:
    """The steps whose outputs are for people, whichever way targets end on."""
    goals = [goal for name in scope.targets for goal in project.plan.goals[name].rungs()]
    made = (id_ for goal in goals for id_ in goal.ends)
    return frozenset((*made, *project.plan.ends(scope)))


def check_dask() -> None:
    """Raises ToolError where it is not installed."""
    if find_spec("distributed") is None:
        raise ToolError(
            "Dask is not installed, by which machines are told what to do",
            hint="pip install 'cortexbuild[cluster]'",
        )


def _beside(root: Path, path: str | None) -> str:
    return str(root / path) if path else ""


def _reach(project: Project, sharing: Sharing) -> Reach | None:
    modes = sharing.modes(project.manifest)
    used = sharing.used(project.manifest)
    to = next((address for address in used if modes[address.name] == "rw"), None)
    if to is None:
        return None
    return Reach(
        wire.store_of(project), used, to, lambda address: open_remote(address, project.root)
    )
