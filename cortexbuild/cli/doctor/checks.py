"""All checks, in the order in which they are told of."""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import CortexError
from . import engines, home, sharing, stored
from .finding import Check, Finding, Ground

CHECKS: tuple[tuple[str, Check], ...] = (
    ("python", engines.python),
    ("engines", engines.engines),
    ("compiler", engines.compiler),
    ("home", home.may_write),
    ("disk", home.room),
    ("disk", home.same_file_system),
    ("file system", home.not_over_a_network),
    ("file system", home.abilities),
    ("store", stored.form),
    ("store", stored.index),
    ("store", stored.in_use),
    ("store", stored.debris),
    ("projects", stored.projects),
    ("clock", stored.clock),
    ("keys", sharing.keys),
    ("tokens", sharing.tokens),
    ("remotes", sharing.remotes),
)


def examine(ground: Ground) -> Iterator[tuple[str, Finding]]:
    """What each check found. One that cannot be made is a finding, and the others go on."""
    for name, check in CHECKS:
        try:
            for finding in check(ground):
                yield name, finding
        except CortexError as reason:
            yield name, Finding("error", str(reason), reason.hint)
        except OSError as reason:
            said = f"{reason.filename or name}: {reason.strerror or reason}"
            yield name, Finding("error", said, "see who owns it and who may use it: `ls -ld`")
