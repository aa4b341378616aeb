"""CycloneDX 1.6, as far as built models need it: https://cyclonedx.org/docs/1.6/json.

The same set gives the same bytes on every machine: there is no time in it, and its serial number is
made of what it says.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence, Set
from typing import Any, TypeAlias
from urllib.parse import quote, urlsplit
from uuid import NAMESPACE_URL, uuid5

from ..redaction import without_logins
from ..version import VERSION
from .digest import Tree, digest_value
from .lock import Pinned
from .spdx import spdx_expression, spdx_id

SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
REPOSITORY = re.compile(r"hf:([^/@]+)/([^/@]+)")
MODEL = "machine-learning-model"

Component: TypeAlias = Mapping[str, Any]


def document(
    components: Mapping[str, Component], below: Mapping[str, Set[str]], name: str, at: str = ""
) -> Mapping[str, Any]:
    """Of components and what each depends on, by reference, in a project of that name. `at` is a
    time to be told of."""
    tops = {ref for ref in components if ref.startswith("target:")}
    ours = {"type": "application", "name": "cortexbuild", "version": VERSION}
    metadata = {
        "tools": {"components": [{**ours, "purl": pypi("cortexbuild", VERSION)}]},
        "component": {"type": "application", "bom-ref": "project", "name": name},
    }
    said: Mapping[str, Any] = {
        "metadata": metadata,
        "components": [components[ref] for ref in sorted(components)],
        "dependencies": [
            {"ref": ref, "dependsOn": sorted(others)}
            for ref, others in sorted({**below, "project": tops}.items())
        ],
    }
    serial = uuid5(NAMESPACE_URL, digest_value("cyclonedx", said))
    told = {**metadata, "timestamp": at} if at else metadata
    head = {"$schema": SCHEMA, "bomFormat": "CycloneDX", "specVersion": "1.6"}
    return {**head, "serialNumber": f"urn:uuid:{serial}", "version": 1, **said, "metadata": told}


def source(pinned: Pinned, type_: str) -> Component:
    origin = without_logins(pinned.origin)
    names = REPOSITORY.match(pinned.origin)
    found: dict[str, Any] = {"type": type_, "bom-ref": f"source:{origin}", "name": origin}
    found["version"] = pinned.commit or pinned.tree.digest
    if names is not None:
        owner, name = (quote(part, safe="") for part in names.groups())
        found["purl"] = f"pkg:huggingface/{owner}/{name}@{pinned.commit}"
        found["name"], found["group"] = names[2], names[1]
    elif pinned.origin.startswith("https:"):
        url = urlsplit(origin)._replace(query="", fragment="").geturl()
        found["externalReferences"] = [{"type": "distribution", "url": url}]
    facts = pinned.facts
    if licence := facts.get("licence"):
        found |= licences([str(licence)])
    if type_ == MODEL and (told := card(facts.get("architecture"), (), {})):
        found["modelCard"] = told
    notes = {n: facts.get(n) for n in ("format", "parameters", "quantization", "base_model")}
    return {**found, **contents(f"source:{origin}", pinned.tree, notes)}


def package(name: str, version: str) -> Component:
    purl = pypi(name, version)
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def pypi(name: str, version: str) -> str:
    return f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{quote(version, safe='.')}"


def contents(ref: str, tree: Tree, notes: Mapping[str, object]) -> Component:
    """The files of an artifact with their hashes, and what else is known of it."""
    files = [
        {
            "type": "file",
            "bom-ref": f"{ref}/{file.path}",
            "name": file.path,
            "hashes": [{"alg": "SHA-256", "content": file.digest}],
            "properties": [{"name": "cortexbuild:size", "value": str(file.size)}],
        }
        for file in tree.files
    ]
    told = {**notes, "tree": tree.digest, "size": tree.size}
    listed = [
        {"name": f"cortexbuild:{name}", "value": str(value)}
        for name, value in told.items()
        if value is not None
    ]
    return {"properties": listed, "components": files}


def card(architecture: object, texts: Collection[str], measured: Mapping[str, float]) -> Component:
    """What a model is and how good; `texts` are references of what it was tried on and made by."""
    about: dict[str, Any] = {"modelArchitecture": str(architecture)} if architecture else {}
    if texts:
        about["datasets"] = [{"ref": ref} for ref in sorted(texts)]
    found: dict[str, Any] = {"modelParameters": about} if about else {}
    if measured:
        metrics = [{"type": name, "value": str(measured[name])} for name in sorted(measured)]
        found["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    return found


def licences(names: Sequence[str]) -> Mapping[str, Any]:
    """All of these apply. As an expression, which says so, where SPDX has each of them."""
    if len(names) > 1 and (expression := spdx_expression(names)):
        return {"licenses": [{"expression": expression}]}
    listed = [{"id": known} if (known := spdx_id(name)) else {"name": name} for name in names]
    return {"licenses": [{"license": one} for one in listed]}
