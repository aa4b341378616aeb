"""Where recipes are: the project's own, then ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ..core.recipe import Recipe
from .yaml.reading import read_yaml

RECIPES = "recipes"


class Recipes(Mapping[str, Recipe]):
    """The project's own recipes, then ours. A file is read when its recipe is asked for."""

    def __init__(self, root: Path) -> None:
        package = Path(__file__).parent.parent
        shipped = package / "_recipes"
        if not shipped.is_dir():  # a checkout, not an installed wheel
            shipped = package.parent / "recipes"
        folders = (shipped, root / RECIPES)
        found = [path for folder in folders for path in sorted(folder.glob("*.yaml"))]
        self._files = {path.stem: path for path in found}
        self.places = (*filter(Path.is_dir, folders), *found)
        self._read: dict[str, Recipe] = {}

    def __getitem__(self, name: str) -> Recipe:
        if name not in self._read:
            path = self._files[name]
            self._read[name] = Recipe.parse(read_yaml(path, f"recipes/{path.name}"))
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)
