"""The documents that commands print with `--json`: a type each, from which comes its JSON Schema.

Names end in a version. Keys may be added to a version; one that goes or means something else makes
a new version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import building, looking, planning, projects, sharing, storing

DOCUMENTS: Mapping[str, Any] = {
    **building.DOCUMENTS,
    **planning.DOCUMENTS,
    **looking.DOCUMENTS,
    **projects.DOCUMENTS,
    **sharing.DOCUMENTS,
    **storing.DOCUMENTS,
}
"""What each is, by the name that stands in its key `schema`, without `cortexbuild/`."""


def schema_of(name: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a document. Raises KeyError for a name that is none."""
    from pydantic import TypeAdapter
    from pydantic.json_schema import GenerateJsonSchema

    class Printed(GenerateJsonSchema):
        def field_is_required(self, field: Any, total: bool) -> bool:
            """What has a default is printed too."""
            return field["type"] == "dataclass-field" or super().field_is_required(field, total)

    whole = TypeAdapter(DOCUMENTS[name])
    schema = whole.json_schema(mode="serialization", schema_generator=Printed)
    named = {"schema": {"const": f"cortexbuild/{name}"}}
    schema["properties"] = named | schema.get("properties", {})
    schema["required"] = ["schema", *schema.get("required", [])]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
