"""The cortex.yaml to start from: what this machine is, and the models that are on it already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.digest import File, Tree, digest_bytes
from ..core.lock import NO_FILES, Pinned
from ..core.naming import unlike, word_of
from ..core.ports import Toolbox
from ..errors import CortexError
from ..formats.code import code_files
from ..formats.detection import detect
from ..formats.listing import local_files
from ..sources._found import Found
from ..store.drafts import replace_text
from . import words
from .adding import entry_of, path_from, recipe_for
from .hardware import Hardware
from .recipes import Recipes
from .yaml.entries import entry_lines, one_line

EXAMPLE = (
    "One looks like this; `cortexbuild add hf:org/name` writes it, and pins it in cortex.lock:",
    "",
    "my-model:",
    "  source: hf:org/name@main # or path:folder, or https://host/model.gguf#sha256=…",
)


@dataclass(frozen=True, slots=True)
class Offer:
    """A model that was found, and what to build it into; without a `recipe`, `problem` says why
    nothing can be built of it."""

    found: Found
    name: str
    source: str
    size: int = 0
    recipe: str = ""
    problem: str = ""


def offers(
    found: Iterable[Found], root: Path, usual: Sequence[str], toolbox: Toolbox
) -> Iterator[Offer]:
    """Each with a name of its own. Headers are read, and no more."""
    recipes, taken = Recipes(root), set[str]()
    for one in found:
        source = one.source
        if source.startswith("path:"):
            source = f"path:{path_from(one.place, root)}"
        name = unlike(word_of(_short(one.name)), taken)
        try:
            facts = detect(one.place).to_plain()
            pinned = Pinned(one.source, NO_FILES, facts, code=_code(one.place))
            recipe = recipe_for(pinned, recipes, usual, toolbox)
        except CortexError as error:
            problem = "; ".join(filter(None, (str(error), error.hint)))
            yield Offer(one, name, source, problem=problem)
            continue
        taken.add(name)
        yield Offer(one, name, source, int(str(facts["size_bytes"])), recipe)


def _code(place: Path) -> Tree:
    """What the model asks to be run."""
    named = code_files(local_files(place)) if place.is_dir() else ()
    contents = {name: (place / name).read_bytes() for name in named}
    return Tree.of(File(name, digest_bytes(text), len(text)) for name, text in contents.items())


def _short(name: str) -> str:
    word = name.rstrip("/").rpartition("/")[2]
    return word.removesuffix(".gguf").partition("--")[2] or word.removesuffix(".gguf")


def starter(hardware: Hardware, usual: str, found: Sequence[Offer], *, active: bool) -> str:
    """A manifest. Models that were found are comments in it, unless they are to be `active`."""
    accelerator = "" if hardware.accelerator == "none" else f", {hardware.accelerator}"
    engines = ", ".join(hardware.engines) or "none: pip install 'cortexbuild[all]'"
    lines = [
        "# The models this project wants, and what each is built into. Then: cortexbuild sync",
        f"# Written on {hardware.chip}, {words.size(hardware.memory)} of memory{accelerator};"
        f" engines: {engines}.",
        f"# There, `{usual}` is a good first target; `cortexbuild recipes` lists them all.",
        "schema: 1",
        "models:",
    ]
    good = [offer for offer in found if offer.recipe]
    if good and not active:
        lines += ["  # These are on this machine. Take the `# ` away from those that you want.", ""]
    for offer in good:
        lines += _entry(offer, active=active)
    if not good:
        example = (*EXAMPLE, f"  targets: [{usual}]")
        lines += [f"  # {line}".rstrip() for line in example]
    unfit = [offer for offer in found if not offer.recipe]
    if unfit:
        lines += ["", "# Found too, and nothing can be built of it:"]
        told = [f"{one.found.where}, {one.found.name}: {one.problem}" for one in unfit]
        lines += [f"# - {one_line(line)}" for line in told]
    return "\n".join(lines) + "\n"


def _entry(offer: Offer, *, active: bool) -> list[str]:
    notes = [f"{offer.found.where}, {words.size(offer.size)}", *offer.found.notes]
    lines = entry_lines((offer.name, entry_of(offer.source, [offer.recipe])), 0, 2, notes)
    return [f"  {line}" if active or line[0] == "#" else f"  # {line}" for line in lines] + [""]


def ignore(root: Path, line: str) -> Path | None:
    """Have git ignore what is only kept beside the manifest, where there is git; gives the file
    that was changed."""
    if not any((folder / ".git").exists() for folder in (root, *root.parents)):
        return None
    file = root / ".gitignore"
    before = file.read_text() if file.exists() else ""
    if line in before.split():
        return None
    end = "" if before.endswith("\n") or not before else "\n"
    replace_text(file, f"{before}{end}{line}\n")
    return file
