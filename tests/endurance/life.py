"""One life of two homes: commands are run, files are edited and damaged, and after each of them all
is looked at that must hold (`docs/internals/long-use.md`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import NamedTuple

from . import snapshot
from .host import BROKEN, Command, Ended, Host
from .world import FAILS, Project, Truth, World, config, result, sha

OPERATIONS: Counter[str] = Counter()
"""How often each kind of operation was done, in all lives."""


class Before(NamedTuple):
    """A home before a command, and the contents that each of its views shows."""

    seen: snapshot.Snapshot
    shown: Mapping[Path, Set[str]]


class Life:
    def __init__(self, base: Path, host: Host) -> None:
        self.world, self.host, self.truth = World(base), host, Truth()
        self.said: list[str] = []
        self.tainted: dict[Path, bytes | None] = {}  # what was damaged, as it was left
        self.past: dict[Path, set[bytes]] = {}  # all that each view may ever have shown

    # -- commands

    def command(self, name: str, *args: str, kill_at: int = 0, clock: float = 0.0) -> Command:
        project = self.world.projects[name]
        return Command(args, str(project.root), str(project.home), self.world.env, kill_at, clock)

    def run(self, *commands: Command) -> list[Ended]:
        """Run them at the same time, and look at everything afterwards."""
        before = self._before()
        ended = self.host.run(*commands)
        for command, end in zip(commands, ended, strict=True):
            killed = " KILLED" if end.was_killed else f" -> {end.code}"
            OPERATIONS[_kind(command, end)] += 1
            self.note(f"{Path(command.folder).name}: {' '.join(command.args)}"
                       f" kill={command.kill_at} clock={command.clock:g}{killed}")  # fmt: skip
            assert end.code not in (70, BROKEN), f"a bug shows\n{end.err}"
            assert "Traceback" not in end.err, end.err
        self._after(before, commands)
        return ended

    def sync(
        self, name: str, *args: str, targets: Sequence[str] = (), clock: float = 0.0,
        remote: bool = False,
    ) -> None:  # fmt: skip
        """A sync to its end. What it runs is foretold, by what lies in the store before it."""
        project = self.world.projects[name]
        chosen = list(targets) or sorted(project.targets)
        seen = snapshot.take(project.home, self.tainted)
        due = snapshot.steps_due(seen, project, chosen)
        cache = [] if remote else ["--cache=remote:off"]
        words = ["sync", *(f"{project.model}:{t}" for t in targets), "--json", *cache, *args]
        (end,) = self.run(self.command(name, *words, clock=clock))
        fails = [name for name in chosen if project.targets[name] == FAILS]
        if "--locked" in args and end.code == 3:
            return
        assert end.code == (1 if fails else 0), f"exit {end.code}\n{end.out}\n{end.err}"
        built = _built(end)
        if "--force" not in args:
            ran = Counter(step.rpartition("/")[2] for step in built)
            assert ran <= due.most, f"ran {ran}, and nothing was missing but {due.most}"
            assert ran >= due.least or remote or fails, f"ran {ran}, and was to run {due.least}"
        if fails and "-k" not in args:
            return
        for target in set(chosen) - set(fails):
            self.check_view(project, target)
        if not fails:
            (again,) = self.run(self.command(name, *[w for w in words if w != "--force"],
                                             clock=clock))  # fmt: skip
            assert again.code == 0 and not _built(again), f"again: {again.out}"

    def check_view(self, project: Project, target: str) -> None:
        expected = {"model.txt": result(project.text, project.targets[target])}
        assert project.shown(target) == expected, f"{target}: {project.shown(target)}"

    # -- what is done to the files

    def damage(self, path: Path, how: str, at: int) -> None:
        OPERATIONS[f"damage: {how} {_area(path)}"] += 1
        self.note(f"damage: {how} {path.relative_to(self.world.base)} {at}")
        stat, content = path.stat(), path.read_bytes()
        if how == "lose":
            path.unlink()
            self.tainted[path] = None
            return
        if how == "cut":
            content = content[: at % (len(content) or 1)]
        elif how == "junk":
            content = b"\0junk\n" * 40
        elif content:
            place = at // 8 % len(content)
            flipped = content[place] ^ (1 << at % 8)
            content = content[:place] + bytes([flipped]) + content[place + 1 :]
        path.chmod(0o600)
        path.write_bytes(content)
        path.chmod(stat.st_mode)
        for home in self.world.homes:  # a file has a name in cas, and others in trees
            for other in home.glob("build/v1/cas/sha256/*/*"):
                if other.stat().st_ino == stat.st_ino:
                    self.tainted[other] = content
        self.tainted[path] = content

    def note(self, text: str) -> None:
        self.said.append(text)

    # -- what must hold

    def _before(self) -> Mapping[Path, Before]:
        for project in self.world.projects.values():
            for name in project.good_targets():
                past = self.past.setdefault(project.view(name), set())
                past.add(result(project.text, project.targets[name]))
        self._forget_healed()
        taken = {home: snapshot.take(home, self.tainted) for home in self.world.homes}
        return {home: Before(seen, self._shown(home)) for home, seen in taken.items()}

    def _after(self, before: Mapping[Path, Before], commands: Sequence[Command]) -> None:
        self.world.check_neighbours()
        excused = set(self.tainted)
        self._forget_healed()
        for home in self.world.homes:
            now = snapshot.take(home, self.tainted)
            mine = [command for command in commands if command.home == str(home)]
            self._check_store(home, now)
            self._check_losses(home, before[home], now, mine, excused)
        self._check_views()

    def _check_store(self, home: Path, now: snapshot.Snapshot) -> None:
        """No record says what is not so, and no content is another than its name says."""
        store = home / "build" / "v1"
        for record in now.records.values():
            self.truth.check(record)
        for path in now.unreadable:
            assert path in self.tainted, f"a record that nobody can read: {path}"
        for digest in now.blobs:
            path = store / f"cas/sha256/{digest[:2]}/{digest}"
            assert now.is_right(digest) or path in self.tainted, f"wrong bytes: {path}"

    def _check_losses(
        self, home: Path, then: Before, now: snapshot.Snapshot, commands: Sequence[Command],
        excused: Set[Path],
    ) -> None:  # fmt: skip
        """Nothing that was good is gone, but for what a command was asked to take away."""
        store, before = home / "build" / "v1", then.seen
        collects = any(c.args[:2] == ("cache", "gc") for c in commands)
        lets_go = collects or any("--no-intermediates" in c.args for c in commands)
        for key, record in before.records.items():
            path = store / f"ac/v1/{key[:2]}/{key}.json"
            if key not in now.records and path not in excused | self.tainted.keys():
                assert not before.has(record["tree"]), f"a record is lost: {record['label']}"
        kept = self._still_shown(home, then) if lets_go else set(before.blobs)
        if not any("--include-unrefetchable" in c.args for c in commands) and lets_go:
            kept |= self._only_copies(home, before)
        for digest in kept:
            path = store / f"cas/sha256/{digest[:2]}/{digest}"
            if before.is_right(digest) and path not in excused:
                assert digest in now.blobs, f"lost: {before.blobs[digest]!r}"

    def _still_shown(self, home: Path, then: Before) -> set[str]:
        """What views showed and show still. A sync beside a collection may have moved one on; one
        that shows nothing any more has not moved on."""
        now = self._shown(home)
        left = (set(was) for view, was in then.shown.items() if now[view] in (was, set()))
        return set().union(*left) & then.seen.blobs.keys()

    def _shown(self, home: Path) -> dict[Path, set[str]]:
        """What views show of targets that there are."""
        return {
            project.view(target): set(map(sha, (project.shown(target) or {}).values()))
            for project in self._of(home)
            for target in project.targets
        }

    def _only_copies(self, home: Path, before: snapshot.Snapshot) -> set[str]:
        """Sources whose very bytes lie in the folder of no project any more, and of which there is
        a record: without one, nobody knows what a content is."""
        here = {sha(config(project.text)) for project in self._of(home)}
        fetched = {digest for tree in before.fetched() for _, digest, _ in tree}
        return {digest for digest in self.truth.texts if digest not in here} & fetched

    def _check_views(self) -> None:
        """Whatever a view shows was right for its target at some time, if nobody damaged it."""
        damaged = {content for content in self.tainted.values() if content is not None}
        for project in self.world.projects.values():
            for target in project.targets:
                shown = project.shown(target)
                if not shown:
                    continue
                assert shown.keys() == {"model.txt"}, shown
                if shown["model.txt"] not in damaged:
                    right = self.past.get(project.view(target), set())
                    assert shown["model.txt"] in right, f"{target} shows {shown}"

    def _of(self, home: Path) -> list[Project]:
        return [project for project in self.world.projects.values() if project.home == home]

    def _forget_healed(self) -> None:
        for path, content in list(self.tainted.items()):
            now = path.read_bytes() if path.exists() else None
            if now != content:
                del self.tainted[path]


def _built(end: Ended) -> list[str]:
    return [s["step"] for s in json.loads(end.out)["steps"] if s["change"] == "built"]


def _kind(command: Command, end: Ended) -> str:
    verb = " ".join(
        word for word in command.args[:2] if not word.startswith("-") and ":" not in word
    )
    return f"kill {verb}" if end.was_killed else verb


AREAS = ("cas", "ac", "trees", "roots", "seals", "index.sqlite", "index.sqlite-wal", ".cortex")


def _area(path: Path) -> str:
    for name in AREAS:
        if name in path.parts:
            return f"shared {name}" if "shared" in path.parts else name
    return path.name
