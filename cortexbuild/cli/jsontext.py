"""JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping


def document(schema: str, fields: Mapping[str, object]) -> Mapping[str, object]:
    """`schema` names the form of a document and its version."""
    return {"schema": f"cortexbuild/{schema}", **fields}


def print_json(schema: str, fields: Mapping[str, object]) -> None:
    """One document on stdout."""
    json.dump(document(schema, fields), sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")
