"""JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping


def print_json(schema: str, fields: Mapping[str, object]) -> None:
    """One document on stdout; `schema` names its form and version."""
    document = {"schema": f"cortexbuild/{schema}", **fields}
    json.dump(document, sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")
