"""Find a source by scheme: `path:models/base` is read by sources/path.py."""

from __future__ import annotations

import importlib
import pkgutil

from ..core.document import did_you_mean
from ..core.ports import Source
from ..errors import UsageError
from ._network import is_offline

__all__ = ["find_source", "is_offline", "source_schemes"]


def source_schemes() -> list[str]:
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in names if not name.startswith("_"))


def find_source(origin: str) -> Source:
    scheme, known = origin.partition(":")[0], source_schemes()
    if scheme not in known:
        raise UsageError(
            f"no source `{scheme}:`",
            hint=did_you_mean(scheme, known, f"one of {', '.join(f'`{s}:`' for s in known)}"),
        )
    source: Source = importlib.import_module(f"{__name__}.{scheme}").SOURCE
    return source
