"""What may be read and written of which cache: `local:rw,remote:r`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, cast

from ..errors import UsageError
from .document import did_you_mean

Mode: TypeAlias = Literal["off", "r", "rw"]

DEFAULT: Mode = "r"
"""Of remotes: those who write are few, and say so."""

NONE = "cortex.yaml lists no remote; one is added by `cache: {remotes: [s3://bucket/prefix]}`"


def modes(text: str, names: Sequence[str]) -> Mapping[str, Mode]:
    """The mode of each remote of these names, by a text such as `remote:r,team:rw`.

    `remote` is all of them, and a later word counts more than an earlier one. Raises UsageError.
    """
    found: dict[str, Mode] = dict.fromkeys(names, DEFAULT)
    for word in filter(None, (word.strip() for word in text.split(","))):
        name, _, mode = word.partition(":")
        if mode not in ("off", "r", "rw"):
            raise UsageError(
                f"`--cache {text}`: `{word}` has no mode",
                hint="NAME:MODE with MODE one of off, r, rw; such as `local:rw,remote:r`",
            )
        if name == "local":
            if mode != "rw":
                raise UsageError(
                    f"`--cache {text}`: steps work in the local store: `local:rw`",
                    hint="leave `local:` out; `remote:off` leaves the remotes out",
                )
        elif name == "remote":
            found = dict.fromkeys(names, cast(Mode, mode))
        elif name in found:
            found[name] = cast(Mode, mode)
        else:
            known = ["local", "remote", *names]
            others = f"there are {', '.join(known)}" if names else NONE
            raise UsageError(
                f"`--cache {text}`: there is no remote `{name}`",
                hint=did_you_mean(name, known, others),
            )
    return found
