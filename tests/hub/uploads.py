"""The endpoints by which the client writes: a repository, large files, a commit."""

from __future__ import annotations

import base64
import hashlib
import json
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

from hub.model import Answer, Refused

if TYPE_CHECKING:
    from hub.routes import Call


def create_repo(call: Call) -> Answer:
    """HfApi.create_repo: 409 for one that is there, which `exist_ok` allows."""
    _write(call)
    asked = json.loads(call.body)
    name = f"{asked['organization']}/{asked['name']}"
    said = {"url": f"{call.hub.url}/{name}", "name": name, "id": "0"}
    if name in call.hub.repos:
        return _json(said | {"error": "You already created this model repo"}, 409)
    call.hub.commit(name, {".gitattributes": b""}, private=asked.get("visibility") == "private")
    return _json(said)


def validate_yaml(call: Call) -> Answer:
    """HfApi.create_commit asks whether the card's head is right before it sends anything."""
    import yaml

    head = json.loads(call.body)["content"].split("---")[1]
    assert isinstance(yaml.safe_load(head), dict)
    return _json({"errors": [], "warnings": []})


def create_branch(call: Call) -> Answer:
    """HfApi.create_branch."""
    _write(call)
    repo = call.repo()
    if call.rev in repo.branches:
        raise Refused(409, "", "Reference already exists")
    repo.branches[call.rev] = repo.branches["main"]
    return _json({})


def preupload(call: Call) -> Answer:
    """Whether each file is for LFS, and what the repository has under its name."""
    from hub import LFS

    _write(call)
    _, _, tree = call.commit()
    rows = []
    for file in json.loads(call.body)["files"]:
        lfs = any(fnmatch(file["path"], each) for each in LFS)
        held = tree.get(file["path"])
        oid = None if held is None else held.sha256 if held.lfs else held.oid
        mode = "lfs" if lfs else "regular"
        rows.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
    return _json({"files": rows})


def lfs_batch(call: Call) -> Answer:
    """Where to put large files; nothing to do for those that are there."""
    _write(call)
    rows: list[dict[str, Any]] = []
    for item in json.loads(call.body)["objects"]:
        row: dict[str, Any] = {"oid": item["oid"], "size": item["size"]}
        if item["oid"] not in call.hub.stored:
            row["actions"] = {"upload": {"href": f"{call.hub.cdn}/upload/{item['oid']}"}}
        rows.append(row)
    return _json({"transfer": "basic", "objects": rows})


def lfs_upload(call: Call) -> Answer:
    if hashlib.sha256(call.body).hexdigest() != call.name:
        raise Refused(400, "", "The content is not what was announced")
    call.hub.stored[call.name] = call.body
    return Answer(200, b"")


def create_commit(call: Call) -> Answer:
    """What is there, and the files of the commit: lines of JSON, the first a header."""
    _write(call)
    _, _, tree = call.commit()
    files = {path: blob.data for path, blob in tree.items()}
    for line in call.body.splitlines():
        row = json.loads(line)
        value = row["value"]
        if row["key"] == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif row["key"] == "lfsFile":
            files[value["path"]] = call.hub.stored[value["oid"]]
        else:
            assert row["key"] == "header" and value["summary"], row
    sha = call.hub.commit(call.name, files, branch=call.rev)
    return _json(
        {"success": True, "commitOid": sha, "commitUrl": f"{call.hub.url}/{call.name}/commit/{sha}"}
    )


def _write(call: Call) -> None:
    if call.token is None or call.token in call.hub.revoked:
        raise Refused(401, "", "Invalid username or password.")
    if call.token not in call.hub.tokens:
        raise Refused(403, "", "You don't have the rights to create a model under this namespace")


def _json(value: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"})
