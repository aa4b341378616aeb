"""A job on its way to a worker, and what comes back: plain data, and little of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...core.address import Address
from ...core.digest import Digest, File, Tree, digest_bytes
from ...core.ports import Done, Job
from ...errors import IntegrityError
from ...store.hashing import sums_of
from ...store.local import LocalStore
from ...store.scratch import scratch

MOST = 64 << 10
"""Bytes of a parcel. A scheduler handles those of all steps, and it is one process."""
MOST_DETAILS = 16 << 10
"""Bytes of the lists of files of a job, beyond which they go as a content of the store."""
LOG = 64 << 10
"""Bytes of the end of a step's log that come back."""
DETAILS = "job.json"


@dataclass(frozen=True, slots=True)
class Parcel:
    """A job for a worker. `ticket` names this try of it, and `run` the sync that it is of.

    What is missing of its inputs comes from `remotes`; what it makes is sent `to` one, unless the
    worker's store is the client's. `certificates` are what `ca` of these names, as text. With
    `details`, the lists of files and the settings of the job are in that content.
    """

    ticket: str
    run: str
    job: Job
    remotes: tuple[Address, ...] = ()
    to: Address | None = None
    certificates: Mapping[str, str] = field(default_factory=dict)
    details: File | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a parcel, with the end of its log."""

    done: Done
    log: str


def with_certificates(
    addresses: Sequence[Address], root: Path
) -> tuple[tuple[Address, ...], Mapping[str, str]]:
    """Addresses as they can be used elsewhere: the files that `ca` names, by other names."""
    found, texts = [], {}
    for address in addresses:
        if address.ca is not None:
            text = (root / address.ca).read_text()
            name = f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.pem"
            texts[name] = text
            address = address.model_copy(update={"ca": name})  # noqa: PLW2901
        found.append(address)
    return tuple(found), texts


def lighten(job: Job, store: LocalStore) -> tuple[Job, File | None]:
    """A job to be sent: one whose lists of files and settings are long has them as a content of
    `store`, which goes by the way that contents go."""
    step = job.step
    text = json.dumps(
        {
            "ingredients": job.ingredients,
            "params": step.params,
            "inputs": {role: _rows(tree) for role, tree in job.inputs.items()},
            "tree": _rows(step.tree) if step.tree is not None else None,
        },
        sort_keys=True,
    )
    if len(text) <= MOST_DETAILS:
        return job, None
    with scratch(store.root) as folder:
        draft = folder / DETAILS
        draft.write_text(text)
        sums = sums_of(draft)
        store.add_file(draft, sums)
    bare = replace(step, params={}, tree=None)
    return (
        replace(job, ingredients={}, inputs={}, step=bare),
        File(DETAILS, sums.sha256, sums.size),
    )


def whole_job(parcel: Parcel, store: LocalStore) -> Job:
    """The job of a parcel with all that belongs to it; the content of its details is here."""
    job, details = parcel.job, parcel.details
    if details is None:
        return job
    content = store.blob(details.digest).read_bytes()
    if digest_bytes(content) != details.digest:
        raise IntegrityError(
            f"the details of {job.step.label} are not what they were",
            hint="run the command again; if it stays, the scheduler is not to be trusted",
        )
    said = json.loads(content)
    tree = _tree(said["tree"]) if said["tree"] is not None else None
    inputs = {role: _tree(rows) for role, rows in said["inputs"].items()}
    step = replace(job.step, params=said["params"], tree=tree)
    return replace(job, step=step, ingredients=said["ingredients"], inputs=inputs)


def take_log(log: Path) -> str:
    """The end of a log, which is where an error stands. One that is not all of it stays."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - LOG))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    if size > LOG:
        return f"… {size - LOG} bytes before this are on the worker, in {log}\n{text}"
    log.unlink()
    return text


def _rows(tree: Tree) -> list[list[str | int]]:
    return [[file.path, file.digest, file.size] for file in tree.files]


def _tree(rows: Sequence[Sequence[object]]) -> Tree:
    return Tree(tuple(File(str(p), Digest(str(d)), int(str(s))) for p, d, s in rows))
