"""`add` and `remove`: change cortex.yaml as its author wrote it, and the lock with it."""

from __future__ import annotations

import argparse
import shutil
import sys

from ...app.explain import foresee, outlook
from ...app.project import Project
from ...app.relock import pin_now
from ...core.lock import Pinned
from ...core.manifest import Manifest
from ...core.naming import name_of
from ...core.plan import Scope
from ...errors import UsageError
from ...sources import source_schemes
from .. import hardware, wire, words
from ..adding import entry_of, origin_of, recipe_for
from ..beside import parse_manifest
from ..drafts import lock_draft
from ..machine import capacity
from ..recipes import Recipes
from ..yaml.editing import add_entry, add_item, remove
from ..yaml.reading import read_bytes
from .command import ADD_ONE, Command, add_json, open_store, print_json, root_of


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", metavar="SOURCE|MODEL:RECIPE",
        help="`hf:org/name`, a page of the Hub, a folder or file, `https://…#sha256=…`; or a "
        "recipe for a model that is there",
    )  # fmt: skip
    parser.add_argument("--as", dest="name", metavar="NAME", default="", help="what to call it")
    parser.add_argument(
        "--target", nargs="+", action="extend", metavar="RECIPE", default=[],
        help="what to build it into; left out, what suits this machine",
    )  # fmt: skip
    parser.add_argument(
        "--revision", metavar="R", default="", help="a branch, tag or commit of the Hub"
    )
    parser.add_argument(
        "--allow-code", action="store_true",
        help="have code run that the model brings, after you have read it (`cortexbuild info`)",
    )  # fmt: skip
    parser.add_argument(
        "--no-lock", action="store_true", help="only write it down: nothing is asked or pinned"
    )
    add_json(parser)


def _add(args: argparse.Namespace) -> int:
    before = read_bytes(args.manifest, str(args.manifest))
    manifest = parse_manifest(before, args.manifest)
    model, colon, recipe = args.source.partition(":")
    if colon and model in manifest.models:
        if args.name or args.revision or args.target or args.allow_code:
            raise UsageError(
                "`--as`, `--target`, `--revision` and `--allow-code` are of a source, not of a "
                "target",
                hint="give a source, such as `hf:org/name`; or leave them out",
            )
        return _add_target(args, before, manifest, model, recipe)
    if colon and "/" not in recipe and model not in source_schemes():
        raise UsageError(f"no model `{model}`, and no source of that name", hint=_models(manifest))
    root = root_of(args)
    origin = origin_of(args.source, root, args.revision)
    name = args.name or name_of(origin, manifest.models)
    if name in manifest.models:
        raise UsageError(
            f"{manifest.place('models', name)}: there is a model `{name}` already",
            hint="give another name with `--as NAME`",
        )
    usual = hardware.usual_recipes(hardware.look())
    targets, pinned = args.target or usual[:1], []
    if not args.no_lock:
        pinned = [pin_now(origin, wire.sources_of(root, open_store()))]
    if pinned and not args.target:
        recipes, toolbox = Recipes(root), wire.toolbox()
        targets = [recipe_for(pinned[0], recipes, usual, toolbox, allow_code=args.allow_code)]
    entry = (name, entry_of(origin, targets, allow_code=args.allow_code))
    draft = add_entry(before, str(args.manifest), ("models",), entry)
    kept = lock_draft(args.manifest, before, draft, pinned, lock=not args.no_lock)
    return _say(args, name, *kept)


def _add_target(
    args: argparse.Namespace, before: bytes, manifest: Manifest, model: str, recipe: str
) -> int:
    name, at = str(args.manifest), ("models", model, "targets")
    if recipe in manifest.models[model].targets:
        place = manifest.place(*at, recipe)
        raise UsageError(
            f"{place}: there is a target `{model}:{recipe}` already",
            hint="`cortexbuild list` shows what there is",
        )
    if isinstance(manifest.text.data["models"][model]["targets"], list):
        draft = add_item(before, name, at, recipe)
    else:
        draft = add_entry(before, name, at, (recipe, {"recipe": recipe}))
    return _say(args, model, *lock_draft(args.manifest, before, draft, lock=not args.no_lock))


def _say(args: argparse.Namespace, name: str, manifest: Manifest, project: Project | None) -> int:
    source = manifest.models[name].source
    targets = [f"{name}:{target}" for target in manifest.models[name].targets]
    found: dict[str, object] = {"model": name, "source": source, "targets": targets}
    pin_words = sync_words = ""
    if project is not None:
        pin = project.lock.sources[source]
        steps = outlook(project, Scope(project.plan.select([name])))
        coming = foresee(project, steps, capacity(manifest.resources), keep=True)
        found |= {
            "commit": pin.commit or None, "files": len(pin.tree.files), "bytes": pin.tree.size,
            "parameters": pin.facts.get("parameters"), "licence": pin.facts.get("licence"),
            "format": pin.facts.get("format"), "writes": coming.written,
        }  # fmt: skip
        free = shutil.disk_usage(project.store.root).free
        pin_words = _pin_words(pin)
        sync_words = f"writes about {words.size(coming.written)} ({words.size(free)} free)"
    if args.json:
        print_json("add/1", found)
        return 0
    print(f"{name}  {source}{pin_words}")
    for target in targets:
        print(f"  {target}")
    if sync_words:
        print(f"`cortexbuild sync` {sync_words}", file=sys.stderr)
    return 0


def _pin_words(pin: Pinned) -> str:
    commit = f" at {pin.commit[:12]}" if pin.commit else ""
    parameters = pin.facts.get("parameters")
    told = [
        words.count(len(pin.tree.files), "file"),
        words.size(pin.tree.size),
        *([f"{parameters / 1e6:,.0f} M parameters"] if isinstance(parameters, int) else []),
        f"licence: {pin.facts.get('licence') or 'unknown'}",
    ]
    return f"{commit}\n  {', '.join(told)}"


def _remove_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="MODEL|MODEL:TARGET", help="a model, or one target of it")
    parser.add_argument("--no-lock", action="store_true", help="leave cortex.lock as it is")
    add_json(parser)


def _remove(args: argparse.Namespace) -> int:
    name = str(args.manifest)
    before = read_bytes(args.manifest, name)
    manifest = parse_manifest(before, args.manifest)
    model, colon, target = args.what.partition(":")
    if model not in manifest.models or (colon and target not in manifest.models[model].targets):
        raise UsageError(f"{name} has no `{args.what}`", hint=_models(manifest))
    targets = list(manifest.models[model].targets)
    if colon and len(targets) == 1:
        raise UsageError(
            f"`{args.what}` is the only target of `{model}`, and a model has at least one",
            hint=f"`cortexbuild remove {model}` removes the model",
        )
    at: tuple[str | int, ...] = ("models", model)
    if colon:
        listed = isinstance(manifest.text.data["models"][model]["targets"], list)
        at += ("targets", targets.index(target) if listed else target)
    draft = remove(before, name, at)
    lock_draft(args.manifest, before, draft, lock=not args.no_lock)
    gone = [args.what] if colon else [f"{model}:{one}" for one in targets]
    if args.json:
        print_json("remove/1", {"removed": gone})
        return 0
    for one in gone:
        print(f"- {one}")
    told = "what was built stays until `cortexbuild sync --prune`"
    print(f"not in {name} any more; {told}", file=sys.stderr)
    return 0


def _models(manifest: Manifest) -> str:
    names = [name for name, _, _ in manifest.targets()]
    return f"it has {', '.join(names)}" if names else f"it has no models yet; {ADD_ONE}"


COMMANDS = (
    Command("add", "put a model, or a target of one, into cortex.yaml", _add_arguments, _add),
    Command("remove", "take a model or a target out of cortex.yaml", _remove_arguments, _remove),
)
