"""Disks that lack something, and moments at which another process comes between."""

from __future__ import annotations

import os
from collections.abc import Callable

from cortexbuild.store.system import System


class Lacking(System):
    """Refuses one of its calls, with an error of this number."""

    def __init__(self, name: str, number: int) -> None:
        def refuse(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        setattr(self, name, refuse)


class Before(System):
    """Just before one of its calls `meanwhile` happens, with what the call is given; once."""

    def __init__(self, name: str, meanwhile: Callable[..., object]) -> None:
        real = getattr(super(), name)

        def call(*given):
            delattr(self, name)
            meanwhile(*given)
            return real(*given)

        setattr(self, name, call)
