"""For tests of ours and of people who write plug-ins: checks of a contract, and small plans."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from .core.digest import File, Tree
from .core.params import Params
from .core.plan import Goal, Plan
from .core.ports import Progress, Run, Tool, Writable
from .core.step import FETCH, Kind, Step
from .formats.files import model_files
from .store.hashing import sums_of


def tree_of(folder: Path) -> Tree:
    """The files of a folder, as an artifact."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    found = []
    for path in paths:
        sums = sums_of(path)
        found.append(File(path.relative_to(folder).as_posix(), sums.sha256, sums.size))
    return Tree.of(found)


def fetch_step(origin: str, folder: Path) -> Step:
    """The step that brings a folder of model files."""
    files = tree_of(folder).files
    names = set(model_files(file.path for file in files))
    tree = Tree.of(file for file in files if file.path in names)
    return Step(Kind.FETCH, FETCH, {}, {}, f"{origin}/fetch", origin=origin, tree=tree)


def text_plan(step: Step) -> Plan:
    """A plan of one step, wanted by one target."""
    return Plan({step.id: step}, {"m:t": Goal(step.id, (), "text", "text")})


def check_tool(tool: Tool, inputs: Mapping[str, Path], settings: Mapping[str, object]) -> Tree:
    """Run a tool twice as the worker does, and check what every tool promises.

    Raises AssertionError when it changes an input, makes nothing, or, being `bit-exact`, makes
    other bytes the second time, or `together`. Gives what it made.
    """
    params = tool.params.model_validate(dict(settings))
    assert tool.params.from_plain(params.plain()) == params, "settings do not read back"
    before = {role: tree_of(folder) for role, folder in inputs.items()}
    made = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as scratch:
            out = Path(scratch) / "out"
            out.mkdir()
            tool.run(plain_run(inputs, out), params)
            made.append(tree_of(out))
    together = _made_together(tool, inputs, params)
    for role, folder in inputs.items():
        assert tree_of(folder) == before[role], f"`{tool.name}` changed its input `{role}`"
    assert made[0].files, f"`{tool.name}` made nothing"
    if tool.determinism == "bit-exact":
        assert made[0] == made[1], f"`{tool.name}` is not bit-exact"
        assert {*together} <= {made[0]}, f"`{tool.name}` makes other bytes together"
    return made[0]


def _made_together(tool: Tool, inputs: Mapping[str, Path], params: Params) -> list[Tree]:
    """What each of two has of one call, where a tool can do several."""
    if tool.together is None:
        return []
    with tempfile.TemporaryDirectory() as scratch:
        outs = [Path(scratch) / name for name in ("one", "other")]
        for out in outs:
            out.mkdir()
        tool.together([(plain_run(inputs, out), params) for out in outs])
        return [tree_of(out) for out in outs]


def plain_run(
    inputs: Mapping[str, Path],
    out: Path,
    call: Callable[[Sequence[str]], None] | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Run:
    """What a tool is given, without a store: all that it makes comes to lie in the folder `out`."""
    return Run(inputs, out, call or _call, progress, PlainOutput(out))


class PlainOutput:
    """An `Output` (`core/ports.py`) into a folder. It has what lies there already."""

    def __init__(self, folder: Path) -> None:
        self.scratch = self._folder = folder

    @contextmanager
    def create(self, name: str) -> Iterator[Writable]:
        draft = self._folder / f"{name}.draft"
        try:
            with draft.open("xb") as file:
                yield file
            draft.rename(self._folder / name)
        finally:
            draft.unlink(missing_ok=True)

    def has(self, name: str) -> bool:
        return (self._folder / name).exists()


def _call(argv: object) -> None:
    raise AssertionError(f"no program is expected here: {argv}")
