"""Whether the tensors of a checkpoint are those of its family: none too many, none too few.

transformers fills what is missing with random numbers and only warns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import FETCH_AGAIN, OTHER_PUBLICATION, IntegrityError, ToolError
from .counting import is_buffer_name
from .families import is_tied
from .names.tensors import tensors_expected


def is_left_out(name: str, config: Mapping[str, Any]) -> bool:
    """Whether loaders leave a tensor out, since they compute it or have it twice."""
    tied = name.startswith("lm_head.") and is_tied(config)
    return tied or is_buffer_name(name)


def check_complete(names: Iterable[str], config: Mapping[str, Any]) -> None:
    """Compare with what a model with this config.json has.

    Raises ToolError for a tensor too many, and for a family that is not known here;
    IntegrityError when one is missing.
    """
    expected, found = tensors_expected(config), set(names)
    if extra := sorted(found - expected):
        raise ToolError(
            f"{len(extra)} tensors are not those of a {config['model_type']}, "
            f"the first is `{extra[0]}`",
            hint=OTHER_PUBLICATION,
        )
    if missing := sorted(expected - found):
        raise IntegrityError(
            f"the model lacks {len(missing)} tensors, the first is `{missing[0]}`", hint=FETCH_AGAIN
        )
