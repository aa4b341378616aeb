"""What may happen to two homes: each operation chooses by its own dice what it does, and to whom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from .life import OPERATIONS, Life
from .world import FAILS, KEEPS, TEXTS

CLOCKS = (0.0, 0.0, 10.0, 10.0, 10.0, 86_500.0, -86_500.0, 40 * 86_400.0)
"""Ahead of the files: what was written a moment ago is at rest then, and a seal may be made."""
NAMES = ("a", "a", "b", "c")
WAYS = ((), (), (), (), ("-k",), ("--force",), ("--prune",), ("--offline",),
        ("--no-intermediates",), ("--locked",))  # fmt: skip
COMMANDS = tuple(
    tuple(words.split())
    for words in (
        "sync", "sync", "sync", "sync -k", "sync --force", "sync --no-intermediates",
        "sync --cache=remote:rw", "sync --prune", "push", "push --closure", "pull",
        "pull --allow-missing", "verify", "cache gc --keep=0", "cache gc --older-than=0h",
        "lock --upgrade", "cache ls",
    )
)  # fmt: skip
"""What may be killed, or run beside another."""
LOOKS = ("plan", "list", "status", "why", "cache ls", "cache stats", "diff a b", "report --json")
DAMAGES = ("flip", "flip", "cut", "junk", "lose")


def edit_source(life: Life, dice: Random) -> None:
    OPERATIONS["edit source"] += 1
    name, text, how = (
        dice.choice(NAMES),
        dice.choice(TEXTS),
        dice.choice(("anew", "quietly", "renamed")),
    )
    life.note(f"{name}: source is {text!r} {how}")
    life.world.projects[name].write_source(text, how)


def edit_manifest(life: Life, dice: Random) -> None:
    OPERATIONS["edit manifest"] += 1
    name, target = dice.choice(NAMES), dice.choice(("t0", "t1", "t2"))
    keep = dice.choice((*KEEPS, *KEEPS, *KEEPS, FAILS, None, None))
    life.note(f"{name}: {target} is {keep}")
    project = life.world.projects[name]
    if keep is not None:
        project.targets[target] = keep
    elif len(project.targets) > 1:
        project.targets.pop(target, None)
    life.world.write_manifest(project)


def check_out(life: Life, dice: Random) -> None:
    del dice
    OPERATIONS["check out elsewhere"] += 1
    life.note("c is what a is")
    life.world.copy_checkout(life.world.projects["a"], life.world.projects["c"])


def sync(life: Life, dice: Random) -> None:
    sync_of(dice.choice(NAMES), life, dice)


def sync_of(name: str, life: Life, dice: Random) -> None:
    targets = sorted(life.world.projects[name].targets)
    some = dice.sample(targets, dice.randint(1, len(targets))) if dice.random() < 0.3 else ()
    life.sync(
        name, *dice.choice(WAYS), targets=some, clock=dice.choice(CLOCKS),
        remote=dice.random() < 0.3,
    )  # fmt: skip


def sync_a_part(life: Life, dice: Random) -> None:
    name, kind = dice.choice(NAMES), dice.choice(("fetch", "convert", "quantize"))
    (end,) = life.run(life.command(name, "sync", "--until", kind))
    fails = FAILS in life.world.projects[name].targets.values()
    assert end.code == (1 if fails and kind == "quantize" else 0), end.err


def look(life: Life, dice: Random) -> None:
    name = dice.choice(NAMES)
    words = dice.choice(LOOKS).split()
    project = life.world.projects[name]
    if words == ["why"]:
        words.append(f"{project.model}:{min(project.targets)}")
    (end,) = life.run(life.command(name, *words, clock=dice.choice(CLOCKS)))
    assert end.code == 0 or words[0] == "diff", end.err


def verify_or_lock(life: Life, dice: Random) -> None:
    command = life.command(dice.choice(NAMES), *dice.choice((("verify",), ("lock", "--upgrade"))))
    (end,) = life.run(command)
    assert end.code in (0, 6), end.err
    (end,) = life.run(command)
    assert end.code == 0, end.err


def collect(life: Life, dice: Random) -> None:
    how = dice.choice((["--keep=0"], ["--older-than=0h"], ["--keep=150"], ["--older-than=1d"]))
    more = ["--include-unrefetchable"] if dice.random() < 0.3 else []
    command = ("cache", "gc", *how, *more)
    (end,) = life.run(life.command(dice.choice(NAMES), *command, clock=dice.choice(CLOCKS)))
    assert end.code in (0, 1), end.err


def push(life: Life, dice: Random) -> None:
    more = ["--closure"] if dice.random() < 0.5 else []
    (end,) = life.run(life.command(dice.choice(NAMES), "push", *more))
    assert end.code in (0, 1, 6), end.err


def pull(life: Life, dice: Random) -> None:
    name = dice.choice(NAMES)
    (end,) = life.run(life.command(name, "pull", "--json"))
    project = life.world.projects[name]
    assert end.code in (0, 5) or FAILS in project.targets.values(), end.err
    for target in project.targets if end.code == 0 else ():
        life.check_view(project, target)


def carry_a_bundle(life: Life, dice: Random) -> None:
    file = str(life.world.base / "bundle.tar")
    more = ["--final"] if dice.random() < 0.5 else []
    (end,) = life.run(life.command(dice.choice("ab"), "bundle", "export", "-o", file, *more))
    assert end.code in (0, 1, 6), end.err
    if end.code == 0:
        (end,) = life.run(life.command("c", "bundle", "import", file))
        assert end.code == 0, end.err


def kill(life: Life, dice: Random) -> None:
    """A cold sync has some 400 operations on files, one with nothing to do 70."""
    name, moment = dice.choice(NAMES), dice.randint(1, dice.choice((40, 100, 250, 420)))
    words, clock = dice.choice(COMMANDS), dice.choice(CLOCKS)
    life.run(life.command(name, *words, kill_at=moment, clock=clock))
    if dice.random() < 0.6:
        sync_of(name, life, dice)


def two_at_once(life: Life, dice: Random) -> None:
    one, other = dice.choice(NAMES), dice.choice(NAMES)
    moment = dice.randint(1, 250) if dice.random() < 0.3 else 0
    clock = dice.choice(CLOCKS)
    ended = life.run(
        life.command(one, *dice.choice(COMMANDS), clock=clock),
        life.command(other, *dice.choice(COMMANDS), kill_at=moment, clock=clock),
    )
    for end in ended:
        assert end.was_killed or end.code in (0, 1, 5, 6), end.err


def damage_a_store(life: Life, dice: Random) -> None:
    name = dice.choice(NAMES)
    store = life.world.projects[name].home / "build" / "v1"
    where = dice.choice(("cas", "cas", "cas", "ac", "ac", "trees", "seals", "index.sqlite*"))
    _damage_one(life, sorted(store.glob(where)), dice)
    if dice.random() < 0.5:
        sync_of(name, life, dice)


def lose_the_index(life: Life, dice: Random) -> None:
    for part in life.world.projects[dice.choice(NAMES)].home.glob("build/v1/index.sqlite*"):
        life.damage(part, "lose", 0)


def damage_the_remote(life: Life, dice: Random) -> None:
    _damage_one(life, [life.world.remote], dice)


def damage_notes(life: Life, dice: Random) -> None:
    _damage_one(life, [life.world.projects[dice.choice(NAMES)].root / ".cortex"], dice)


def _damage_one(life: Life, places: Sequence[Path], dice: Random) -> None:
    found = sorted(p for place in places for p in [place, *place.rglob("*")] if p.is_file())
    if found:
        life.damage(dice.choice(found), dice.choice(DAMAGES), dice.randrange(100_000))


WEIGHTS: dict[Callable[[Life, Random], None], int] = {
    edit_source: 12, edit_manifest: 12, check_out: 3, sync: 18, sync_a_part: 3, look: 5,
    verify_or_lock: 4, collect: 8, push: 5, pull: 4, carry_a_bundle: 3, kill: 14, two_at_once: 10,
    damage_a_store: 14, lose_the_index: 2, damage_the_remote: 4, damage_notes: 2,
}  # fmt: skip


def act(life: Life, number: int) -> None:
    """The operation of a number."""
    dice = Random(number)
    (operation,) = dice.choices(list(WEIGHTS), list(WEIGHTS.values()))
    operation(life, dice)
