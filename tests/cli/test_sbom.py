"""`report --sbom`: what a built set is made of, by the official schema of CycloneDX 1.6."""

from __future__ import annotations

import hashlib
import json
import shutil
from importlib.resources import files as resources

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from cortexbuild.core.cyclonedx import document, licences, package, source
from cortexbuild.core.digest import Digest, File, Tree
from cortexbuild.core.lock import Pinned
from cortexbuild.core.spdx import HUB, IDS, spdx_expression, spdx_id

COMMIT = "a" * 40


def check(text: str) -> dict:
    """Raises what the schema has against a document."""
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    assert error is None, error
    return json.loads(text)


def bill(space, *args: str) -> dict:
    return check(space.run("report", "--sbom", *args).stdout)


def by_ref(found: dict) -> dict:
    return {component["bom-ref"]: component for component in found["components"]}


def properties(component: dict) -> dict:
    return {p["name"].removeprefix("cortexbuild:"): p["value"] for p in component["properties"]}


@pytest.fixture
def built(space):
    space.write("weights/README.md", "---\nlicense: apache-2.0\n---\n")
    space.manifest(t={}, other={"keep": 2})
    space.sync()
    return space


def test_each_target_has_its_files_licence_measures_and_all_that_it_was_made_of(built):
    found = bill(built)
    components = by_ref(found)
    target = components["target:m:t"]
    content = (built.view() / "model.txt").read_bytes()
    (file,) = target["components"]
    assert file["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}]
    assert target["type"] == "machine-learning-model"
    assert target["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    notes = properties(target)
    assert notes["recipe"] == "short" and notes["size"] == str(len(content))
    assert json.loads(notes["step:quantize"])["params"]["keep"] == 4
    metrics = target["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert metrics == [{"type": "nonfinite_logits", "value": "0"}]
    needs = {one["ref"]: one["dependsOn"] for one in found["dependencies"]}
    assert needs["target:m:t"] == ["pkg:pypi/text@1.0", "source:path:weights"]
    assert needs["project"] == ["target:m:other", "target:m:t"]
    assert set(needs) == {"project", *components}
    source = components["source:path:weights"]
    assert [file["name"] for file in source["components"]] == ["config.json", "model.safetensors"]

    # Only what is built as the manifest has it is told of.
    built.manifest(t={"keep": 3}, other={"keep": 2})
    done = built.run("report", "--sbom", "-o", "set.cdx.json")
    assert done.stdout.strip() == str(built.root / "set.cdx.json")
    assert "m:t is not built as cortex.yaml has it" in done.stderr
    found = check((built.root / "set.cdx.json").read_text())
    assert [ref for ref in by_ref(found) if ref.startswith("target:")] == ["target:m:other"]
    assert "`cortexbuild sync`" in built.run("report", "--sbom", "m:t", code=1).stderr


def test_the_same_set_has_the_same_bytes_on_another_machine_and_a_time_only_when_asked(
    built, tmp_path
):
    first = built.run("report", "--sbom").stdout
    assert built.run("report", "--sbom").stdout == first and "timestamp" not in first
    shutil.copytree(
        built.root, tmp_path / "elsewhere" / "project", ignore=shutil.ignore_patterns(".cortex")
    )
    before = built.root, built.home
    built.root, built.home = tmp_path / "elsewhere" / "project", tmp_path / "other"
    built.sync()
    assert built.run("report", "--sbom").stdout == first
    built.root, built.home = before
    timed = bill(built, "--timestamp")
    assert timed["metadata"].pop("timestamp") and timed == json.loads(first)
    built.manifest(t={"keep": 1}, other={"keep": 2})
    built.sync()
    assert bill(built)["serialNumber"] != timed["serialNumber"]


def test_hostile_words_are_words_in_it_and_nothing_else(space):
    licence = '</script><img src=x onerror=alert(1)>\u2028"}],'
    space.write("weights/config.json", json.dumps({"text": "hello", "license": licence}))
    space.sync()
    text = space.run("report", "--sbom").stdout
    found = check(text)
    shown = licence.replace("\u2028", " ")
    assert [{"license": {"name": shown}}] in [one.get("licenses") for one in found["components"]]
    assert "\u2028" not in text and text.isascii()


def test_sources_have_urls_by_which_others_know_them():
    tree = Tree((File("model.gguf", Digest("0" * 64), 1),))
    facts = {"licence": "llama3.1", "architecture": "llama", "parameters": 8}
    found = [
        source(
            Pinned("hf:org/some.model@main/model.gguf", tree, facts, COMMIT),
            "machine-learning-model",
        ),
        source(
            Pinned("https://me:pw@h/m.gguf?sig=secret#sha256=00", tree, {}),
            "machine-learning-model",
        ),
        source(Pinned("builtin:evaluation", tree, {}), "data"),
        package("llama_cpp.python", "0.3+cpu"),
    ]
    text = json.dumps(document({c["bom-ref"]: c for c in found}, {}, "p"))
    assert len(check(text)["components"]) == 4 and "secret" not in text and "pw@" not in text
    hub, web, _, tool = found
    assert PackageURL.from_string(hub["purl"]).to_dict() == {
        "type": "huggingface", "namespace": "org", "name": "some.model", "version": COMMIT,
        "qualifiers": None, "subpath": None,
    }  # fmt: skip
    assert hub["licenses"] == [{"license": {"name": "llama3.1"}}]
    assert hub["modelCard"]["modelParameters"] == {"modelArchitecture": "llama"}
    assert web["externalReferences"] == [{"type": "distribution", "url": "https://h/m.gguf"}]
    assert PackageURL.from_string(tool["purl"]).version == "0.3+cpu"
    assert tool["purl"].startswith("pkg:pypi/llama-cpp-python@")


def test_licences_are_those_of_spdx():
    schema = json.loads(
        resources("cyclonedx.schema").joinpath("_res/spdx.SNAPSHOT.schema.json").read_text()
    )
    assert set(IDS) | set(HUB.values()) <= set(schema["enum"])
    assert [spdx_id(name) for name in ("apache-2.0", "MIT", "odbl", "gemma")] == [
        "Apache-2.0",
        "MIT",
        "ODbL-1.0",
        None,
    ]
    assert spdx_expression(["mit", "apache-2.0", "MIT"]) == "Apache-2.0 AND MIT"
    assert licences(["apache-2.0", "mit"]) == {"licenses": [{"expression": "Apache-2.0 AND MIT"}]}
    assert licences(["gemma", "mit"]) == {
        "licenses": [{"license": {"name": "gemma"}}, {"license": {"id": "MIT"}}]
    }
