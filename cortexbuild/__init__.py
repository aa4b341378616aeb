"""Build local language models from a manifest, and run them.

import cortexbuild
cortexbuild.sync()
print(cortexbuild.load("stdlib-llama:mlx-4bit").generate("def main("))
"""

from __future__ import annotations

from .version import VERSION as __version__

TYPE_CHECKING = False  # to import `typing` for it takes longer than a sync with nothing to do

if TYPE_CHECKING:
    from .cli.python import Model, load, open_manifest, sync

__all__ = ["Model", "__version__", "load", "open_manifest", "sync"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module `cortexbuild` has no attribute `{name}`")
    from .cli import python

    return getattr(python, name)
