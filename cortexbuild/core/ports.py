"""Everything that can be plugged in, on one page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from .address import Address
from .digest import Digest, File, Plain, Tree
from .lock import Pinned
from .needs import PROCESS, TellNeeds, holding
from .step import Failure, Ingredients, Kind, Step, StepId, StepKey, Trace

if TYPE_CHECKING:
    import numpy as np
    from _typeshed import ReadableBuffer as Buffer
    from numpy.typing import NDArray

    from .params import Params


Progress = Callable[[int, int], None]
"""Told the bytes done and the bytes in all."""


class Writable(Protocol):
    def write(self, content: Buffer, /) -> object: ...


class Output(Protocol):
    """Files of an output that are written from their beginning to their end, and hashed meanwhile.

    A file that was finished outlives a run that was cut off: the next run of the same step, by its
    key, finds it. So a tool that writes several need not begin again with the first.
    """

    scratch: Path
    """A folder for what is gone when the run ends."""

    def create(self, name: str) -> AbstractContextManager[Writable]:
        """A new file. It is finished where the `with` ends; after an exception there is none."""
        ...

    def has(self, name: str) -> bool:
        """Whether an earlier run finished this file; it is part of the output then."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """What a tool is given: inputs to read, a way to call programs, and two to give files.

    What is in the folder `out` at the end belongs to the output, and what `output` was told to
    create. Only with `allow_code` may code be run that a model brings.
    """

    inputs: Mapping[str, Path]
    out: Path
    call: Callable[[Sequence[str]], None]
    progress: Progress
    output: Output
    allow_code: bool = False


@dataclass(frozen=True, slots=True)
class Tool:
    """One way to do one kind of step. A module in cortexbuild/tools lists its own in TOOLS.

    `accepts` are patterns of the formats of its `model` input, `makes` is the format of its
    output. A `bridge` is a conversion that a plan may put before a recipe's own steps. `reads`
    are patterns of the files it looks at, by role. `wants` are roles beside `model`: those
    of `core/roles.py`, and names of tools that measure, for what these find. `engine` gives the
    versions of what it calls, and raises ToolError when that is not installed. `predict`
    estimates the bytes of its output from those of its input, and `needs` what it takes while it
    runs from those of each input; both decide when and where it runs, and nothing of what it
    makes. `check` raises UsageError for a source that it would fail on, as far as its facts
    (`core/lock.py`) tell. `knows` tells whether it can do its work on a model of this
    architecture that brings code, without running any; one that `runs_code` can do it on others
    by running that, where the manifest allows it.

    `together` does several steps at once that have the same inputs and other settings: each gets
    the very output that `run` would give it, and all take no more memory than one. Where it
    raises, each is run alone, so it need not tell whose fault it is. What one run is told of
    progress counts for all.
    """

    name: str
    kind: Kind
    params: type[Params]
    run: Callable[[Run, Any], None]
    revision: int
    accepts: tuple[str, ...]
    makes: str
    reads: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    wants: tuple[str, ...] = ()
    engine: Callable[[], Mapping[str, str]] = dict
    predict: Callable[[Any, int], int] = lambda _, size: size
    needs: TellNeeds = holding(PROCESS, 1)
    determinism: Literal["bit-exact", "seeded", "best-effort"] = "bit-exact"
    bridge: bool = False
    check: Callable[[Mapping[str, Plain]], None] = lambda _: None
    knows: Callable[[str], bool] = lambda _: True
    runs_code: bool = False
    together: Callable[[Sequence[tuple[Run, Any]]], None] | None = None


@dataclass(frozen=True, slots=True)
class Toolbox:
    """`find` gives the tool of a name that does a kind of step, the one for a format if several
    do; it raises UsageError when there is none. `edges` are the bridges between formats."""

    find: Callable[[str, Kind, str], Tool]
    edges: Callable[[], Sequence[Tool]]


class Looks(Protocol):
    """Looks at files of the user's, and remembers what it saw of those that did not change."""

    def sum_of(self, path: Path) -> tuple[Digest, int]:
        """A file's sha256 and its size in bytes."""
        ...

    def sums_of(self, paths: Sequence[Path]) -> Sequence[tuple[Digest, int]]:
        """The same of many files, several of which are read at once."""
        ...

    def facts_of(self, place: Path, tree: Tree) -> Mapping[str, Plain]:
        """What the model at `place` is, a folder or a file whose content is `tree`."""
        ...


class Delivery(Protocol):
    """Where a source puts what it brings. Each file is hashed on the way in and compared with
    the pin, so a source cannot cheat: IntegrityError names a file that is not as it was."""

    def copy(self, files: Mapping[str, Path]) -> None:
        """Take files that stay where they are, by the paths they shall have; several at once."""
        ...

    def write(self, path: str, chunks: Iterable[bytes]) -> None: ...
    def link(self, path: str, source: Path) -> None:
        """Take a file that is not ours, and share its bytes where the file system can."""
        ...

    def part(self, file: File) -> Path:
        """Where to collect the bytes of a file; what an earlier try left is there."""
        ...

    def take(self, path: str, part: Path) -> None:
        """Move what was collected in; what is wrong is deleted."""
        ...

    def moved(self, count: int) -> None:
        """Tell of bytes that came."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """A place weights come from. Origins are relative to the folder of cortex.yaml.

    `pin` reads as little as it can and says what the bytes are; `fetch` brings those files, as
    they were pinned. A `local` one is looked at by every command, since that costs no more than
    some stats; another is pinned once, and then cortex.lock says what it is. `has` tells whether
    a `fetch` would find those files, as far as that can be known without bringing them. `places`
    are the files and folders that `pin` looks at, of a local one. An origin `floats` when its name
    may come to stand for something else, as a branch does, and what was pinned may be `dated`.
    """

    scheme: str
    pin: Callable[[str, Path, Looks], Pinned]
    fetch: Callable[[Pinned, Path, Delivery], None]
    local: bool = False
    has: Callable[[Pinned, Path, Looks], bool] = lambda _pinned, _root, _looks: True
    places: Callable[[str, Path], Iterable[Path]] = lambda _origin, _root: ()
    floats: Callable[[str], bool] = lambda _origin: False
    dated: Callable[[Pinned], str] = lambda _pinned: ""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to continue a prompt. The same fields mean the same in every runtime.

    `temperature` 0 is greedy. `top_p` 1 and `top_k` 0 leave the distribution as it is, and so
    does `repetition_penalty` 1. With `chat` the prompt is one user message in the model's own
    template. `stop` ends the text before the first of these strings.
    """

    max_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    chat: bool = False


class LoadedModel(Protocol):
    """A built model in memory."""

    def generate(self, prompt: str, sampling: Sampling) -> Iterator[str]:
        """The continuation, in pieces as they come."""
        ...

    def encode(self, text: str, *, whole: bool = True) -> list[int]:
        """Token ids, with the special tokens that the model expects around a `whole` text."""
        ...

    def chat(self, message: str) -> str | None:
        """A message in the model's own template, up to where the answer begins; None without a
        template. ToolError when the template refuses the message."""
        ...

    def logits(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Raw scores of the next token after each token: shape (len(tokens), vocabulary)."""
        ...


@dataclass(frozen=True, slots=True)
class Server:
    """A runtime's own OpenAI-compatible server: a Python module, and what it is told. `model` is
    what a client calls the model, `extra` is what installs all of `modules`."""

    module: str
    arguments: tuple[str, ...]
    model: str
    modules: tuple[str, ...]
    extra: str


@dataclass(frozen=True, slots=True)
class Runtime:
    """A way to run built models of some formats (patterns); `path` is their folder or file.

    `server` tells how to serve one, by its path, its target, a host and a port; None where nothing
    here does. `load_with_code` runs code that the model brings, and so belongs in a step's process;
    None where it would run none.
    """

    formats: tuple[str, ...]
    load: Callable[[Path], LoadedModel]
    server: Callable[[Path, str, str, int], Server] | None = None
    load_with_code: Callable[[Path], LoadedModel] | None = None


class Store(Protocol):
    """This machine's cache, as the application sees it."""

    root: Path

    def trace(self, key: StepKey, ingredients: Ingredients) -> Trace | None: ...
    def read_trace(self, key: StepKey) -> Trace | None: ...
    def traces(self) -> Iterator[Trace]: ...
    def has_tree(self, tree: Tree) -> bool: ...
    def set_aside(self, digest: Digest) -> None: ...
    def note_use(self, tree: Tree) -> None: ...
    def blob(self, digest: Digest) -> Path: ...
    def blobs(self) -> Iterator[Digest]: ...
    def known_specs(self, digests: Iterable[Digest]) -> set[Digest]: ...


class Shared(Protocol):
    """The shared caches, as the application sees them: all of them, in their order. What goes
    wrong with one is said once, and then it is as if it were empty."""

    def trace(self, key: StepKey, ingredients: Ingredients) -> Trace | None:
        """What somebody who is trusted recorded under a key."""
        ...

    def can_pull(self, step: Step, tree: Tree) -> bool:
        """Whether all bytes of a step's output that are not here can be had."""
        ...


class Views(Protocol):
    """The links under CORTEX_HOME by which built targets are found."""

    def path(self, target: str, format_: str) -> Path: ...
    def check_ours(self, target: str, format_: str) -> None: ...
    def shows(self, target: str, format_: str) -> Digest | None: ...
    def is_whole(self, target: str, format_: str, tree: Tree) -> bool: ...
    def show(self, target: str, format_: str, tree: Tree) -> None: ...
    def has_note(self, target: str, format_: str) -> bool: ...
    def note(self, target: str, format_: str, text: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Pull:
    """What a job brings instead of making it: a tree, from these remotes in turn. `trace` is what
    is then recorded; a source that was pinned needs none."""

    tree: Tree
    trace: Trace | None
    remotes: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """A step ready to run anywhere: plain data, no open handles.

    `patience` is for how many seconds it waits for another process that makes the same; None
    is for ever. With `again` it runs even if it was made before, to `compare` what comes out,
    or to `replace` what was kept. With a `pull` it is not run.
    """

    id: StepId
    key: StepKey
    step: Step
    ingredients: Ingredients
    inputs: Mapping[str, Tree]
    store: str
    root: str
    log: str
    patience: float | None = None
    again: Literal["no", "compare", "replace"] = "no"
    pull: Pull | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """`reused` when another process had made it by the time this one came to it. `pulled` says
    from which remotes how many bytes came, within so many `seconds`."""

    id: StepId
    outcome: Trace | Failure
    reused: bool = False
    pulled: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0


class Executor(Protocol):
    """Where jobs run: how many more may start, start one, wait for any one, stop all.

    Several that are started by one call are for one tool, which can do them `together`. They count
    as one until the last of them is done.
    """

    def free(self) -> int: ...
    def start(self, *jobs: Job) -> None: ...
    def wait(self) -> Done: ...
    def close(self) -> None: ...
