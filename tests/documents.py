"""Whether a JSON document is what its schema says, to the letter: a key too many is one too."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping


def differences(name: str, document: Mapping[str, object]) -> list[str]:
    plain = json.loads(json.dumps(document))
    return [f"{name}: {error.json_path}: {error.message}" for error in _judge(name, plain)]


def _judge(name: str, plain: object):
    from cortexbuild.cli.documents import DOCUMENTS

    return _validator(name, DOCUMENTS[name].__qualname__).iter_errors(plain)


@functools.cache
def _validator(name: str, _of: str):
    import jsonschema

    from cortexbuild.cli.documents import schema_of

    return jsonschema.Draft202012Validator(_strict(schema_of(name)))


def _strict(schema):
    """The same, where objects have no keys but those that are named."""
    if isinstance(schema, dict):
        strict = {key: _strict(value) for key, value in schema.items()}
        if isinstance(schema.get("properties"), dict) and "type" in schema:
            strict.setdefault("additionalProperties", False)
        return strict
    return [_strict(one) for one in schema] if isinstance(schema, list) else schema
